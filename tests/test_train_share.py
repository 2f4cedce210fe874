"""A share of the training instances as a user asks for it: for all tasks, or for one."""

from __future__ import annotations

import json

import pytest
import yaml

from recbole_peterrec import run
from recbole_peterrec.cli import main
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.tasks import read_tasks
from tests.toy import (
    TARGET,
    TASKS,
    settings,
    toy_flags,
    write_config,
    write_toy,
)

GENDER = TASKS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def instances(run_dir):
    tasks = json.loads((run_dir / "results.json").read_text())["tasks"]
    return {name: list(task["instances"].values()) for name, task in tasks.items()}


@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_a_flag_is_for_all_tasks_and_a_task_s_own_wins(folder, tmp_path, capsys, model):
    tasks = [TARGET, {**GENDER, "train_share": 0.75}]
    file = write_config(tmp_path / "toy.yaml", folder, tasks=tasks)
    found, told = {}, None
    for share in ("1", "0.2"):
        capsys.readouterr()
        flags = [f"--run_dir={tmp_path / share}", f"--train_share={share}"]
        status = main([*toy_flags(file, model), *flags, "--show_progress=False"])
        told = capsys.readouterr()
        assert status == 0, told.err
        found[share] = instances(tmp_path / share)
    train, *others = found["1"]["buy"]
    learned = [round(0.2 * train), *others]
    assert found["0.2"]["buy"] == learned
    assert "/".join(map(str, learned)) in told.out
    assert f"task 'buy': learns {learned[0]} of {train} training" in told.err
    assert found["0.2"]["gender"] == found["1"]["gender"]


def shares(model="Conure", dataset="ml-100k", **keys):
    tasks = read_tasks(Config(model, dataset, config_dict=keys))
    return [task.config["train_share"] for task in tasks]


def test_a_run_s_own_share_wins_over_defaults_of_the_kind():
    assert shares() == [1] * 5
    by_kind = {"task_defaults": {"profile": {"train_share": 0.5}}}
    assert shares(**by_kind) == [1, 1, 0.5, 0.5, 0.5]
    assert shares(**by_kind, train_share=0.2) == [0.2] * 5
    own = [{**GENDER, "train_share": 0.6}]
    assert shares(**by_kind, train_share=0.2, tasks=own) == [0.6]


def test_the_config_of_a_run_gives_the_same_instances(folder, tmp_path):
    keys = settings(folder, tasks=[TARGET, GENDER], train_share=0.4, state="ERROR")
    run("FineCLS", "toy", config_dict={**keys, "run_dir": str(tmp_path / "one")})
    file = yaml.safe_load((tmp_path / "one/config.yaml").read_text())
    run("FineCLS", "toy", config_dict={**file, "run_dir": str(tmp_path / "two")})
    files = [
        (tmp_path / name / "tasks/buy/weights.safetensors").read_bytes()
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert instances(tmp_path / "one") == instances(tmp_path / "two")


def test_joint_training_learns_the_whole_source_beside_the_share(folder, tmp_path):
    def prepared(share):
        keys = settings(folder, tasks=[TARGET], train_share=share)
        return TransferRun(Config("MTL", "toy", config_dict=keys))

    whole, part = prepared(1), prepared(0.2)
    assert len(part.tasks[0].train_data) == round(0.2 * len(whole.tasks[0].train_data))
    for one, other in zip(whole.source.loaders, part.source.loaders, strict=True):
        assert len(one._dataset) == len(other._dataset)
    keys = settings(folder, tasks=[TARGET, GENDER], train_share=0.2, state="ERROR")
    told = run("MTL", "toy", config_dict={**keys, "run_dir": str(tmp_path / "run")})
    assert all(task["test"] for task in told["results"]["tasks"].values())


@pytest.mark.parametrize("model", ["NextItNetAR", "SASRec"])
def test_a_model_without_tasks_refuses_a_share_of_them(folder, tmp_path, model):
    keys = settings(folder, run_dir=str(tmp_path / "run"), train_share=0.3)
    del keys["tasks"]
    with pytest.raises(ConfigError, match=f"^train_share is for tasks; {model} has"):
        run(model, "toy", config_dict={**keys, "state": "ERROR"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0, "train_share must be above 0 and at most 1, got 0"),
        (1.5, "train_share must be above 0 and at most 1, got 1.5"),
        ("all", "train_share must be above 0 and at most 1, got 'all'"),
        (True, "train_share must be above 0 and at most 1, got True"),
        (1e-4, "task 'gender': train_share 0.0001 of 48 training instances is none"),
    ],
)
def test_a_share_that_cannot_be_is_one_clear_line(folder, tmp_path, share, message):
    keys = settings(folder, run_dir=str(tmp_path / "run"), train_share=share)
    with pytest.raises(UserError) as error:
        run("PeterRec", "toy", config_dict={**keys, "state": "ERROR"})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
