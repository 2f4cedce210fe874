"""Several processes give what one gives, and end together."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed import DistNetworkError, HashStore, Store

from recbole_peterrec import quick_start, run
from recbole_peterrec.checkpoint import load_tensors
from recbole_peterrec.config import Config
from recbole_peterrec.distributed import group
from recbole_peterrec.distributed.group import ConnectionLost, Member
from recbole_peterrec.distributed.launch import Plan, plan_of
from recbole_peterrec.errors import (
    CheckpointError,
    ConfigError,
    PeerError,
    TrainingError,
    UserError,
)
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.trainer.base import BackboneTrainer
from tests.members import (
    epoch_and_metrics,
    in_two,
    killed_while_writing,
    metrics,
    seen_by_both,
    trainer_of,
    with_a_gpu_in_the_second,
    with_other_data_in_the_second,
    without_a_connection,
)
from tests.toy import (
    ROOT,
    TARGET,
    TASKS,
    command_line,
    left_by,
    python,
    settings,
    toy_flags,
    write_config,
    write_toy,
)

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
MODELS = ["NextItNetAR", "PeterRec", "MTL"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pair(folder) -> dict:
    return in_two(seen_by_both, str(folder), MODELS)


# --- what is exchanged


def test_processes_exchange_what_differs_in_size(pair):
    assert pair["ragged"] == [[], [1.0]]
    assert pair["first"] == "of process 0"


def test_a_process_that_goes_ahead_is_waited_for(pair):
    assert pair["after the first"] == [[False], [True]]


@pytest.mark.parametrize("where", ["gradients", "gradients on GPUs"])
def test_gradients_are_summed_and_absent_ones_stay_absent(pair, where):
    for seen in pair[where]:
        assert {key: value for key, value in seen.items() if key != "of GPUs"} == {
            "both": [11.0, 22.0],
            "one": [3.0, 4.0],
            "none": None,
            "sparse": [5.0, 66.0],
            "frozen": None,
        }


def test_gpus_exchange_after_gloo_has_found_all_processes(pair):
    """Sparse gradients: how many, then places and values; dense ones: who has any, then they."""
    for seen in pair["gradients on GPUs"]:
        assert seen["of GPUs"] == [False, True, True, False, True]


def test_what_differs_between_processes_stops_the_run(pair):
    assert pair["disagreement"].startswith("a rank of process 1 differs from")


# --- one epoch, shared


@pytest.mark.parametrize("model", MODELS)
def test_steps_of_two_processes_are_those_of_one(pair, folder, model):
    alone = epoch_and_metrics(str(folder), model)
    first, second = pair["trained"][model]
    assert first == second
    assert first["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    for name, weight in alone["weights"].items():
        np.testing.assert_allclose(first["weights"][name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_metrics_of_two_processes_are_those_of_one_to_the_last_digit(
    pair, folder, model
):
    shared = pair["trained"][model][0]
    trainer, (_, valid, test) = trainer_of(str(folder), model)
    state = {name: torch.tensor(value) for name, value in shared["weights"].items()}
    trainer.model.load_state_dict(state, strict=False)
    assert len(test) > 2 and len(test) % 2
    assert metrics(trainer, valid, test) == {k: shared[k] for k in ("valid", "test")}


# --- whole runs, as a user types them


def keys(folder: Path, run_dir: Path, **changes) -> dict:
    return settings(
        folder,
        tasks=[TASKS[0], TARGET],
        run_dir=str(run_dir),
        epochs=2,
        show_progress=False,
        train_batch_size=13,
        **changes,
    )


def results_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "results.json").read_text())


def test_torchrun_trains_peterrec_and_one_process_writes(folder, tmp_path):
    run_dir = tmp_path / "saved" / "run"
    values = keys(folder, run_dir, embedding_init="svd")
    config = write_config(tmp_path / "toy.yaml", folder, **values)
    flags = toy_flags(config)
    done = python([*TORCHRUN, ROOT / "run_recbole_peterrec.py", *flags], tmp_path)
    assert done.status == 0, done.stderr
    assert done.stdout.count("run directory:") == 1
    assert done.stderr.count("gender test result") == 1
    assert done.stderr.count("directions of who had which item are sought") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"saved", "toy.yaml"}
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["run"]
    writers = {path.name.split(".")[-2] for path in run_dir.rglob("events*")}
    assert len(writers) == 1
    results = results_of(run_dir)
    assert list(results["tasks"]) == ["gender", "buy"]
    assert metrics_again(keys(folder, tmp_path / "again"), run_dir) == {
        split: results["pretrain"][split] for split in ("valid", "test")
    }


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(("how", "status"), [("user", 2), ("bug", 1)])
def test_torchrun_hears_of_the_process_that_failed(
    folder, tmp_path, monkeypatch, who, how, status
):
    """It calls the first to end the cause, and ends the other, which has nothing to tell."""
    monkeypatch.setenv("WHO", str(who))
    monkeypatch.setenv("HOW", how)
    config = write_config(
        tmp_path / "toy.yaml", folder, **keys(folder, tmp_path / "run")
    )
    script = [ROOT / "tests" / "failing.py", *toy_flags(config, "NextItNetAR")]
    done = python([*TORCHRUN, *script], tmp_path)
    assert done.status != 0
    told = {"user": "error: the reason", "bug": "ZeroDivisionError: the reason"}[how]
    assert done.stderr.splitlines().count(told) == 1
    cause = done.stderr.partition("Root Cause")[2]
    assert re.search(rf"rank\s*: {who} .*\n\s*exitcode\s*: {status} ", cause), (
        done.stderr
    )


def test_one_command_after_the_other_runs_in_the_processes_of_torchrun(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TWICE", "yes")
    values = keys(folder, "")
    config = write_config(tmp_path / "toy.yaml", folder, **values)
    script = [ROOT / "tests" / "failing.py", *toy_flags(config, "NextItNetAR")]
    done = python([*TORCHRUN, *script], tmp_path)
    assert done.status == 0, done.stderr
    for name in ("first", "second"):
        assert (tmp_path / name / "results.json").is_file()


def metrics_again(settings: dict, run_dir: Path) -> dict[str, dict[str, float]]:
    """What one process measures with the backbone of a run."""
    stage = SourceStage(Config("NextItNetAR", "toy", config_dict=settings))
    encoder, output = stage.model.encoder, stage.model.output
    encoder.load_state_dict(load_tensors(run_dir / "backbone.safetensors"))
    output.load_state_dict(load_tensors(run_dir / "pretraining_head.safetensors"))
    trainer = BackboneTrainer(stage.config, stage.model)
    return metrics(trainer, *stage.loaders[1:])


def test_processes_of_nproc_have_workers_of_their_own(folder, tmp_path):
    """They are spawned, so that their workers would be too, which cannot be handed a loader."""
    config = write_config(
        tmp_path / "toy.yaml", folder, **keys(folder, tmp_path / "run")
    )
    done = []
    for worker in (0, 1):
        run_dir = tmp_path / f"run{worker}"
        flags = ["--nproc=2", f"--worker={worker}", f"--run_dir={run_dir}"]
        done.append(command_line([*toy_flags(config, "NextItNetAR"), *flags], tmp_path))
        assert done[-1].status == 0, done[-1].stderr
        assert "leaked" not in done[-1].stderr
    files = [tmp_path / f"run{n}" / "backbone.safetensors" for n in (0, 1)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_nproc_trains_conure_and_a_killed_run_is_resumed(folder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    config = write_config(tmp_path / "toy.yaml", folder, **keys(folder, whole))
    done = command_line([*toy_flags(config, "Conure"), "--nproc=2"], tmp_path)
    assert done.status == 0, done.stderr
    assert done.stdout.count("run directory:") == 1
    with pytest.raises(TrainingError, match="process 0 of 2 .* was killed"):
        in_two(killed_while_writing, 20, "Conure", keys(folder, killed))
    with pytest.raises(CheckpointError, match="resume with --nproc=2"):
        run(config_dict={"resume": str(killed), "nproc": 1, "state": "ERROR"})
    assert (killed / "training").is_dir()
    outcome = run(config_dict={"resume": str(killed), "state": "ERROR"})
    assert outcome["run_dir"] == str(killed)
    assert left_by(killed) == left_by(whole)


FAILS = """
import sys
from recbole_peterrec.cli import main
from recbole_peterrec.distributed import group
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.trainer.transfer import TransferTrainer

train = TransferTrainer._train_epoch

def fails(self, *args, **kwargs):
    if group.rank() == 1:
        raise TrainingError("the second process cannot go on")
    return train(self, *args, **kwargs)

TransferTrainer._train_epoch = fails
if __name__ == "__main__":
    sys.exit(main())
"""


def test_an_error_of_one_process_ends_all_with_its_line(folder, tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(FAILS)
    values = keys(folder, tmp_path / "run", state="ERROR")
    config = write_config(tmp_path / "toy.yaml", folder, **values)
    done = python([script, *toy_flags(config), "--nproc=2"], tmp_path)
    assert done.status == 2
    assert done.stderr.splitlines() == ["error: the second process cannot go on"]
    assert done.stdout == ""


def test_processes_that_cannot_reach_each_other_say_so():
    with pytest.raises(TrainingError, match=r"reach each other \(no route to host\)"):
        in_two(without_a_connection)


def test_processes_of_two_kinds_of_devices_are_refused():
    told = r"process 1 works on a GPU, process 0 on the CPU; give every process a GPU, or none"
    with pytest.raises(ConfigError, match=told):
        in_two(with_a_gpu_in_the_second)


def one_of_two(store) -> Member:
    return Member(rank=0, size=2, local_rank=0, local_size=2, store=store)


def connect(store) -> None:
    with group.taking_part(one_of_two(store)):
        group.connect(torch.device("cpu"))


def test_who_waits_for_a_process_that_has_failed_stops_at_once():
    store = HashStore()
    store.set("failure", "no GPU is left for process 1")
    with pytest.raises(PeerError, match="^no GPU is left for process 1$"):
        connect(store)


def test_a_process_that_never_comes_is_named(monkeypatch):
    monkeypatch.setattr(group, "LONGEST_WAIT", timedelta(seconds=0))
    monkeypatch.setattr(group, "PATIENCE", timedelta(seconds=0.1))
    with pytest.raises(TrainingError, match="process 1 of 2 has not come within"):
        connect(HashStore())


class Gone(Store):
    """A store whose process has ended."""

    def add(self, *_):
        raise DistNetworkError("Failed to recv, got 0 bytes")

    wait = set = get = add


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("my own line"), "my own line"),
        (ConnectionLost("reset by peer"), r"reach each other \(reset by peer\)"),
    ],
    ids=["own", "lost"],
)
def test_an_error_is_told_where_the_store_has_gone(error, told):
    alone = group.taking_part(one_of_two(Gone()))
    with pytest.raises(UserError, match=told) as raised, alone:
        raise error
    assert not isinstance(raised.value, PeerError)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: device-side assert triggered",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "NCCL error in: ..., Cuda failure 2 'out of memory'",
    ],
)
def test_a_process_s_own_fault_within_an_exchange_is_no_lost_connection(text):
    own = pytest.raises(RuntimeError, match=re.escape(text))
    with own as raised, group.exchanging():
        raise RuntimeError(text)
    assert not isinstance(raised.value, ConnectionLost)


def test_processes_that_read_other_data_are_refused(folder, tmp_path):
    other = write_toy(tmp_path / "other")
    rows = (other / "toy" / "toy.inter").read_text().splitlines()
    rows[-1], rows[-2] = (
        "\t".join([*one.split("\t")[:1], *two.split("\t")[1:]])
        for one, two in ((rows[-1], rows[-2]), (rows[-2], rows[-1]))
    )
    (other / "toy" / "toy.inter").write_text("\n".join(rows) + "\n")
    values = settings(folder, run_dir=str(tmp_path / "run"), show_progress=False)
    with pytest.raises(TrainingError, match="data of pretraining of process 1 differs"):
        in_two(with_other_data_in_the_second, [str(folder), str(other)], values)
    assert not (tmp_path / "run").exists()


def test_processes_whose_items_are_not_as_many_are_refused(folder, tmp_path):
    """Before they share item embeddings, by which they would begin alike."""
    other = write_toy(tmp_path / "other")
    rows = (other / "toy" / "toy.inter").read_text().splitlines()
    item = rows[-1].split("\t")[1]
    rows = [row for row in rows if row.split("\t")[1] != item]
    (other / "toy" / "toy.inter").write_text("\n".join(rows) + "\n")
    values = settings(folder, run_dir=str(tmp_path / "run"), show_progress=False)
    values |= {"embedding_init": "svd"}
    with pytest.raises(TrainingError, match="size of the item embeddings of process 1"):
        in_two(with_other_data_in_the_second, [str(folder), str(other)], values)


@pytest.fixture
def joined(toy_config, monkeypatch):
    """The config of a process, once it has joined those of a launcher on this machine."""

    def join(rank, **keys):
        monkeypatch.setattr(group, "_member", Member(rank, 2, rank, 2, None))
        monkeypatch.setattr(group, "connect", lambda device: None)
        config = toy_config(**keys)
        quick_start._join_processes(config)
        return config

    return join


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_shows_bars_and_all_tell_how_many_go_on(joined, rank):
    config = joined(rank, show_progress=True)
    assert config["show_progress"] is (rank == 0)
    assert config["nproc"] == 2


def test_gradients_that_each_process_scales_by_itself_are_refused(joined):
    with pytest.raises(ConfigError, match="enable_scaler .* use amp: bf16"):
        joined(0, model="GRU4Rec", enable_scaler=True)


# --- RecBole's flags


@pytest.mark.parametrize(
    ("flags", "plan"),
    [
        ({}, None),
        ({"nproc": 1, "world_size": -1}, None),
        ({"nproc": 2}, Plan(2, 2, 0, "localhost", 0)),
        ({"nproc": 2, "port": 1234}, Plan(2, 2, 0, "localhost", 1234)),
        (
            {"nproc": 2, "world_size": 6, "group_offset": 4, "ip": "10.0.0.1"},
            Plan(2, 6, 4, "10.0.0.1", 5678),
        ),
    ],
)
def test_flags_are_those_of_recbole(toy_config, flags, plan):
    assert plan_of(toy_config(**flags)) == plan


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"nproc": 0}, "nproc must be"),
        ({"nproc": 2, "world_size": 1}, "world_size 1 is less than"),
        ({"nproc": 2, "world_size": 3, "group_offset": 2}, "world_size 3 is less"),
        ({"port": 70000}, "port must be"),
        ({"group_offset": -1}, "group_offset must be"),
        ({"ip": 3}, "ip must be"),
    ],
)
def test_flags_that_cannot_be_are_refused(toy_config, flags, message):
    with pytest.raises(ConfigError, match=message):
        plan_of(toy_config(**flags))
