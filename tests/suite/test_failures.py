"""What a run that fails means for the others of its suite."""

from __future__ import annotations

import errno
import gc
import json
import weakref

import pytest
import torch
import yaml

from recbole_peterrec import quick_start, run
from recbole_peterrec.errors import (
    DataError,
    RefusedError,
    TrainingError,
    WriteError,
)
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.task_stage import TaskStage
from tests.suite.case import MODELS, QUIET, keys, without_clocks


def test_a_run_that_fails_leaves_the_others_alone_and_is_tried_again(
    folder, tmp_path, failing, undisturbed
):
    run_dir = tmp_path / "run"
    failing["SinMo", "seed-1"] = TrainingError("the loss is NaN")
    given = keys(folder, run_dir, suite=MODELS, seeds=[1, 2])
    with pytest.raises(TrainingError) as error:
        run(dataset="toy", config_dict=given)
    assert str(error.value) == (
        f"1 of 8 runs failed: SinMo, seed 1: the loss is NaN; what has ended is in "
        f"{run_dir / 'results.md'}; to try these again, go on with --resume={run_dir}, or start "
        f"anew with other keys and --config_files={run_dir / 'config.yaml'}"
    )
    assert "SinMo (1 of 2 seeds)" in (run_dir / "results.md").read_text()
    failing.clear()
    outcome = run(config_dict={"resume": str(run_dir), **QUIET})
    ended, expected = (
        json.dumps(without_clocks(results))
        for results in (outcome["results"], undisturbed[0]["results"])
    )
    assert ended == expected  # in the same order, too


def test_what_a_run_may_not_enter_is_told_as_any_failure(folder, tmp_path, failing):
    refused = PermissionError(errno.EACCES, "Permission denied", "elsewhere/RUN")
    failing["PeterRec", "seed-1"] = refused
    given = keys(folder, tmp_path / "run", suite=["PeterRec"], seeds=[1, 2])
    told = "1 of 2 runs failed: PeterRec, seed 1: elsewhere/RUN: Permission denied"
    with pytest.raises(RefusedError, match=f"^{told}"):
        run(dataset="toy", config_dict=given)


def test_a_pretraining_that_failed_is_not_tried_by_others_of_its_seed(
    folder, tmp_path, monkeypatch
):
    train = SourceStage.train

    def diverging(stage, *args, **kwargs):
        if stage.config["seed"] == 2:
            raise TrainingError("the loss is NaN")
        return train(stage, *args, **kwargs)

    monkeypatch.setattr(SourceStage, "train", diverging)
    given = keys(folder, tmp_path / "run", suite=MODELS[:3], seeds=[1, 2])
    told = "FineAll, seed 2: it shares the pretraining of PeterRec, which has failed"
    with pytest.raises(TrainingError, match=f"^2 of 6 runs failed: .*; {told}"):
        run(dataset="toy", config_dict=given)
    monkeypatch.undo()
    outcome = run(config_dict={"resume": str(tmp_path / "run"), **QUIET})
    runs = outcome["results"]["runs"]
    epochs = [runs[model]["2"]["pretrain"]["epochs"] for model in MODELS[:2]]
    assert epochs == [1, 0]


@pytest.mark.parametrize("error", [TrainingError("NaN"), KeyError("a bug")])
def test_a_run_that_fails_in_a_task_has_made_the_backbone(
    folder, tmp_path, monkeypatch, undisturbed, error
):
    train = TaskStage.train

    def failing(stage, *args, **kwargs):
        if stage.config["tuning"] == "patch" and stage.task.name == "age":
            raise error
        return train(stage, *args, **kwargs)

    monkeypatch.setattr(TaskStage, "train", failing)
    given = keys(folder, tmp_path / "run", suite=MODELS, seeds=[1, 2])
    with pytest.raises(type(error)) as raised:
        run(dataset="toy", config_dict=given)
    assert (raised.value is error) == isinstance(error, KeyError)
    monkeypatch.undo()
    outcome = run(config_dict={"resume": str(tmp_path / "run"), **QUIET})
    assert without_clocks(outcome["results"]) == without_clocks(
        undisturbed[0]["results"]
    )


def test_what_fails_before_it_trains_is_no_failed_pretraining(
    folder, tmp_path, failing
):
    failing["PeterRec", "seed-1"] = TrainingError("task 'gender': out of memory")
    given = keys(folder, tmp_path / "run", suite=MODELS[:2], seeds=[1])
    with pytest.raises(TrainingError, match="^1 of 2 runs failed: PeterRec, seed 1"):
        run(dataset="toy", config_dict=given)


@pytest.mark.parametrize("error", [DataError("a row is odd"), KeyError("a bug")])
def test_another_makes_the_backbone_once_and_for_all(folder, tmp_path, failing, error):
    """Also for the one that failed to."""
    failing["PeterRec", "seed-1"] = error
    models = ["PeterRec", "FineAll", "FineCLS"]
    given = keys(folder, tmp_path / "run", suite=models, seeds=[1])
    with pytest.raises(type(error)):
        run(dataset="toy", config_dict=given)
    runs = json.loads((tmp_path / "run" / "suite.json").read_text())["runs"]
    assert [runs[model]["1"]["pretrain"]["epochs"] for model in models[1:]] == [1, 0]
    log = (tmp_path / "run" / "run.log").read_text()
    assert ("Traceback" in log) == isinstance(error, KeyError)
    failing.clear()
    outcome = run(config_dict={"resume": str(tmp_path / "run"), **QUIET})
    assert outcome["results"]["runs"]["PeterRec"]["1"]["pretrain"]["epochs"] == 0


def test_a_begun_run_goes_on_with_the_backbone_that_it_has_taken(
    folder, tmp_path, failing
):
    """Whoever else could offer one by now."""
    run_dir = tmp_path / "run"
    failing["PeterRec", "seed-1"] = DataError("a row is odd")
    given = keys(folder, run_dir, suite=["PeterRec", "FineAll", "SinMo"], seeds=[1])
    begun = run_dir / "FineAll" / "seed-1"
    taken = []

    def note(model=None, *args, config_dict, **kwargs):
        taken.append(config_dict.get("pretrained_path"))
        raise DataError("noted")

    with pytest.raises(DataError):
        run(dataset="toy", config_dict=given)
    file = begun / "config.yaml"
    content = yaml.safe_load(file.read_text())
    content["pretrained_path"] = "/then/SinMo/seed-1"
    file.write_text(yaml.safe_dump(content))
    (begun / "training").mkdir()  # it has not ended
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError):
        patch.setattr(quick_start, "run", note)
        run(config_dict={"resume": str(run_dir), **QUIET})
    assert taken[-1] == str(run_dir / "SinMo" / "seed-1")


def test_many_failures_are_one_line(folder, tmp_path, failing):
    for seed in range(5):
        failing["GRec", f"seed-{seed}"] = TrainingError("NaN")
    given = keys(folder, tmp_path / "run", suite=["GRec"], seeds=[*range(5)])
    with pytest.raises(TrainingError) as error:
        run(dataset="toy", config_dict={**given, "tasks": None})
    assert str(error.value).count("NaN") == 3
    assert "GRec, seed 2: NaN; 2 more are in run.log; what has ended" in str(
        error.value
    )


def test_a_bug_is_raised_once_all_is_told(folder, tmp_path, failing, capsys):
    failing["SinMo", "seed-1"] = ValueError("a bug")
    given = keys(folder, tmp_path / "run", suite=MODELS, seeds=[1])
    with pytest.raises(ValueError, match="^a bug$"):
        run(dataset="toy", config_dict=given)
    told = capsys.readouterr().err
    assert "1 of 4 runs failed: SinMo, seed 1: a bug; what has ended is in" in told
    assert "go on with --resume=" in told


def test_nothing_goes_on_where_files_cannot_be_written(folder, tmp_path, failing):
    run_dir = tmp_path / "run"
    failing["PeterRec", "seed-1"] = WriteError("best.pt cannot be written: no space")
    told = rf"^PeterRec, seed 1: best.pt .*suite: go on with --resume={run_dir}\)$"
    with pytest.raises(WriteError, match=told):
        run(dataset="toy", config_dict=keys(folder, run_dir, suite=MODELS, seeds=[1]))
    assert not (run_dir / "FineAll").exists()


def test_what_a_failed_run_held_is_let_go(folder, tmp_path, monkeypatch):
    """The models of failed runs would fill a GPU, run after run."""
    held = []

    def failing(*args, **kwargs):
        model = torch.nn.Linear(1, 1)
        held.append(weakref.ref(model))
        try:
            raise ValueError("deep within")
        except ValueError as error:
            raise TrainingError("NaN") from error

    monkeypatch.setattr(quick_start, "run", failing)
    given = keys(folder, tmp_path / "run", suite=["GRec"], seeds=[1, 2], tasks=None)
    with pytest.raises(TrainingError) as error:
        run(dataset="toy", config_dict=given)
    gc.collect()
    assert [model() for model in held] == [None, None]
    assert "2 of 2 runs failed" in str(error.value)
