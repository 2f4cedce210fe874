"""Runs without tasks: Conure learns its first alone, and goes on as if it had not stopped."""

from __future__ import annotations

import csv
import json
import re

import pytest
import yaml

from recbole_peterrec import UserModel, run
from recbole_peterrec.cli import main
from recbole_peterrec.config import Config
from recbole_peterrec.errors import CheckpointError, ConfigError
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.runs.transfer import TransferRun
from tests.toy import TARGET, TASKS, settings, toy_flags, write_config, write_toy

HISTORIES = [["i1", "i2", "i3"], ["i7"], ["i5", "i9", "i9", "i11", "i2"]]
LEARNER = ("backbone", "ownership", "pretraining_head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def learn(folder, run_dir, model="Conure", **changes):
    quiet = {"show_progress": False, "state": "ERROR", "run_dir": str(run_dir)}
    keys = settings(folder, **{"epochs": 2, "prune_ratio": 0.5, **quiet, **changes})
    return run(model, "toy", config_dict=keys)


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """Run directory of a first task that was learned alone."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    learn(folder, run_dir, tasks=[])
    return run_dir


def results(run_dir):
    told = json.loads((run_dir / "results.json").read_text())
    for record in (told["pretrain"], *told["tasks"].values()):
        del record["seconds"]
    return told


def weights(run_dir):
    return {
        str(path.relative_to(run_dir)): path.read_bytes()
        for path in run_dir.rglob("*.safetensors")
    }


def test_an_empty_order_typed_is_the_first_task_alone(folder, alone, tmp_path, capsys):
    file = write_config(tmp_path / "toy.yaml", folder, epochs=2, prune_ratio=0.5)
    run_dir = tmp_path / "run"
    flags = ["--task_order=[]", "--show_progress=False", f"--run_dir={run_dir}"]
    assert main([*toy_flags(file, "Conure"), *flags]) == 0
    out = capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in out.splitlines() if "|" in line]
    assert [row for row in rows if not set(row) <= set("-")] == ["stage", "pretraining"]
    assert "test before pruning" in out and "weights free" in out
    assert weights(run_dir) == weights(alone)
    assert results(run_dir) == results(alone)


def test_it_leaves_what_any_learner_leaves(alone):
    told = results(alone)
    assert told["tasks"] == {}
    assert told["pretrain"]["test_after_all"] == told["pretrain"]["test"]
    assert told["pretrain"]["capacity_free"] == pytest.approx(0.5, abs=0.02)
    assert set(weights(alone)) == {f"{name}.safetensors" for name in LEARNER}
    assert yaml.safe_load((alone / "config.yaml").read_text())["tasks"] == []
    stages = {row["stage"] for row in csv.DictReader((alone / "curves.csv").open())}
    assert stages == {"pretraining", "pretraining@retrained"}
    assert (alone / "curves.png").stat().st_size
    shares = json.loads((alone / "capacity.json").read_text())
    assert all(list(parts) == ["free", "pretraining"] for parts in shares.values())


def test_it_is_served(alone):
    model = UserModel(alone)
    assert model.tasks == []
    assert model.scores("pretraining", HISTORIES).shape == (3, 30)
    with pytest.raises(CheckpointError, match="has no task 'gender'"):
        model.scores("gender", HISTORIES)


def test_tasks_learned_later_are_those_of_one_run_bit_for_bit(folder, alone, tmp_path):
    buy = {**TARGET, "weight_decay": 0.1}
    learn(folder, tmp_path / "once", tasks=[buy, TASKS[0]])
    learn(folder, tmp_path / "buy", tasks=[buy], continue_from=str(alone))
    later = {"tasks": [TASKS[0]], "continue_from": str(tmp_path / "buy")}
    learn(folder, tmp_path / "gender", **later)
    assert weights(tmp_path / "gender") == weights(tmp_path / "once")
    assert results(tmp_path / "gender") == results(tmp_path / "once")


def test_learning_no_further_task_is_refused(folder, alone, tmp_path):
    for key in ("tasks", "task_order"):
        with pytest.raises(ConfigError, match="tasks or task_order is an empty list"):
            learn(folder, tmp_path / "run", continue_from=str(alone), **{key: []})
    assert not (tmp_path / "run").exists()


def test_a_list_that_was_forgotten_is_not_an_empty_one(folder, tmp_path):
    with pytest.raises(ConfigError, match="tasks must be a list of tasks, got None"):
        learn(folder, tmp_path / "run", tasks=None)
    with pytest.raises(ConfigError, match=r"no task 'buy' \(there are none\)"):
        learn(folder, tmp_path / "run", tasks=[], task_order=["buy"])


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("PeterRec", {}),
        ("PeterRec", {"backbone": "GRec", "pooling": "sum"}),
        ("STL", {}),
    ],
)
def test_pretraining_alone_is_the_command_that_the_refusal_names(
    folder, tmp_path, model, changes
):
    with pytest.raises(ConfigError, match="--model=") as error:
        learn(folder, tmp_path / "none", model, tasks=[], **changes)
    assert not (tmp_path / "none").exists()
    flags = dict(re.findall(r"--(\w+)=(\w+)", str(error.value)))
    backbone = flags.pop("model")
    learn(folder, tmp_path / "backbone", backbone, **flags)
    taken = {"pretrained_path": str(tmp_path / "backbone"), "tasks": [TASKS[0]]}
    told = learn(folder, tmp_path / "run", model, **changes, **taken)["results"]
    learn(folder, tmp_path / "once", model, tasks=[TASKS[0]], **changes)
    once = results(tmp_path / "once")
    assert told["pretrain"]["test"] == once["pretrain"]["test"]
    assert told["tasks"]["gender"]["test"] == once["tasks"]["gender"]["test"]


@pytest.mark.parametrize("model", ["PeterRec", "STL"])
def test_the_named_command_makes_the_same_network_of_the_shipped_settings(model):
    config = Config(model, "ml-100k", config_dict={"tasks": []})
    with pytest.raises(ConfigError) as error:
        TransferRun(config)
    flags = dict(re.findall(r"--(\w+)=(\w+)", str(error.value)))
    assert flags.get("protocol") == config["protocol"]
    protocol = {"protocol": config["protocol"]} if config["protocol"] else {}
    backbone = Config(config["backbone"], "ml-100k", config_dict=protocol)
    described = NextItNetAR.architecture_of
    assert described(backbone, 9) == described(config, 9)
