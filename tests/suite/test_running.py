"""Suites from their first run to their report, interrupted and not."""

from __future__ import annotations

import gc
import json
import re
import shutil
import weakref
from pathlib import Path

import pytest
import torch
import yaml

from recbole_peterrec import UserModel, quick_start, run
from recbole_peterrec.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    TrainingError,
    WriteError,
)
from recbole_peterrec.runs import directory, memory
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.task_stage import TaskStage
from recbole_peterrec.suite import running
from tests.stopping import stopped_at
from tests.toy import TASKS, left_by, settings, write_toy

MODELS = ["PeterRec", "FineAll", "SinMo", "NextItNetAR"]
QUIET = {"show_progress": False, "state": "ERROR"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def keys(folder, run_dir, **changes):
    given = settings(folder, **QUIET, run_dir=str(run_dir))
    del given["seed"]
    return given | changes


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    """A suite of four models and two seeds: its outcome and its directory."""
    run_dir = tmp_path_factory.mktemp("suite") / "run"
    given = keys(folder, run_dir, suite=MODELS, seeds=[1, 2])
    return run(dataset="toy", config_dict=given), run_dir


def without_clocks(results):
    """What must not depend on interruptions."""
    if isinstance(results, dict):
        return {
            key: without_clocks(value)
            for key, value in results.items()
            if key not in ("seconds", "config", "pretraining s", "tasks s")
        }
    return results


def test_every_model_is_run_with_every_seed(undisturbed):
    outcome, run_dir = undisturbed
    assert outcome["run_dir"] == str(run_dir)
    results = outcome["results"]
    assert json.loads((run_dir / "suite.json").read_text()) == results
    for model in MODELS:
        for seed in (1, 2):
            file = run_dir / model / f"seed-{seed}" / "results.json"
            ran = json.loads(file.read_text())
            assert results["runs"][model][str(seed)] == ran
            assert (ran["model"], ran["seed"]) == (model, seed)
    assert list(results["means"]) == [*MODELS, "LabelCS"]
    gender = [results["runs"]["SinMo"][s]["tasks"]["gender"]["test"] for s in "12"]
    mean = sum(metrics["hit@1"] for metrics in gender) / 2
    assert results["means"]["SinMo"]["gender"]["hit@1"]["mean"] == pytest.approx(mean)


def test_a_run_of_a_suite_is_the_run_alone(folder, undisturbed, tmp_path):
    _, suite = undisturbed
    given = keys(folder, tmp_path / "alone", seed=2)
    run("FineAll", "toy", config_dict=given)
    alone = left_by(tmp_path / "alone")
    in_suite = left_by(suite / "FineAll" / "seed-2")
    for name in ("tasks/gender/weights.safetensors", "backbone.safetensors"):
        assert alone[name] == in_suite[name]
    tasks = [left["results.json"]["tasks"] for left in (alone, in_suite)]
    assert tasks[0] == tasks[1]


def test_models_of_the_same_pretraining_train_one_backbone_a_seed(undisturbed):
    runs = undisturbed[0]["results"]["runs"]
    for seed in "12":
        assert runs["PeterRec"][seed]["pretrain"]["epochs"] == 1
        assert runs["FineAll"][seed]["pretrain"]["epochs"] == 0
        tests = [runs[model][seed]["pretrain"]["test"] for model in MODELS[:2]]
        assert tests[0] == tests[1]
    backbones = [
        (undisturbed[1] / "PeterRec" / f"seed-{seed}" / "backbone.safetensors")
        for seed in (1, 2)
    ]
    assert backbones[0].read_bytes() != backbones[1].read_bytes()


@pytest.mark.parametrize("call", [1, 2, 5, 12, 30, 47])
def test_a_suite_that_is_stopped_goes_on_and_ends_as_an_undisturbed_one(
    folder, undisturbed, tmp_path, call
):
    """Before its first file, in a first and a later run, between two runs."""
    run_dir = tmp_path / "run"
    given = keys(folder, run_dir, suite=MODELS, seeds=[1, 2])
    with stopped_at(call):
        run(dataset="toy", config_dict=given)
    if not (run_dir / "suite.json").exists():  # nothing to go on with: it begins again
        outcome = run(dataset="toy", config_dict=given)
    else:
        outcome = run(config_dict={"resume": str(run_dir), **QUIET})
    assert without_clocks(outcome["results"]) == without_clocks(
        undisturbed[0]["results"]
    )
    for model in MODELS:
        for seed in (1, 2):
            part = f"{model}/seed-{seed}"
            assert left_by(run_dir / part) == left_by(undisturbed[1] / part)


def test_a_suite_of_which_nothing_has_begun_says_how_to_begin_it(folder, tmp_path):
    run_dir = tmp_path / "run"
    given = keys(folder, run_dir, suite=["NextItNetAR"], seeds=[1], tasks=None)
    with stopped_at(2):
        run(dataset="toy", config_dict=given)
    assert [path.name for path in run_dir.glob("*.*")] == ["config.yaml"]
    file = run_dir / "config.yaml"
    with pytest.raises(ConfigError, match=f"nothing of the suite in .*={file}$"):
        run(config_dict={"resume": str(run_dir), **QUIET})
    begun = run(config_file_list=[str(file)], config_dict={"run_dir": str(run_dir)})
    assert begun["results"]["runs"].keys() == {"NextItNetAR"}


def test_a_suite_that_has_ended_is_told_again(undisturbed):
    outcome, run_dir = undisturbed
    again = run(config_dict={"resume": str(run_dir), **QUIET})
    assert again["results"] == outcome["results"]


def test_a_suite_keeps_its_name(folder, tmp_path):
    """That of its file, which its config.yaml does not have."""
    given = keys(folder, tmp_path / "run", suite="insertions")
    with stopped_at(5):
        run(dataset="toy", config_dict=given)
    outcome = run(config_dict={"resume": str(tmp_path / "run"), **QUIET})
    assert outcome["results"]["suite"] == "insertions"


def test_what_would_change_a_suite_is_refused_as_it_goes_on(undisturbed):
    _, run_dir = undisturbed
    for change in ({"seeds": [1]}, {"suite": "strategies"}, {"epochs": 2}):
        with pytest.raises(ConfigError, match=f"leave out {next(iter(change))}"):
            run(config_dict={"resume": str(run_dir), **QUIET, **change})
    with pytest.raises(ConfigError, match=r"goes on with .*; leave out model$"):
        run("PeterRec", config_dict={"resume": str(run_dir), **QUIET})


def test_an_edited_config_is_not_gone_on_with(undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    file = copy / "config.yaml"
    file.write_text(file.read_text() + "learning_rate: 0.5\n")
    with pytest.raises(ConfigError, match="was changed since the suite began"):
        run(config_dict={"resume": str(copy), **QUIET})


def test_a_suite_does_not_begin_where_another_has_begun(folder, undisturbed):
    _, run_dir = undisturbed
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="already holds a run"):
        run(dataset="toy", config_dict=keys(folder, run_dir, seeds=[1]))
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("place", ["FineAll/seed-2", "PeterRec/seed-1"])
def test_a_suite_does_not_take_over_what_lies_in_its_folder(folder, tmp_path, place):
    """A run of the same model and seed would be gone on with, by other settings."""
    foreign = tmp_path / "run" / place
    foreign.mkdir(parents=True)
    given = keys(folder, tmp_path / "run", suite=["PeterRec", "FineAll"], seeds=[1, 2])
    with pytest.raises(ConfigError, match=f"{foreign} is there already.*; move it"):
        run(dataset="toy", config_dict=given)
    found = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert found == []


def test_a_suite_that_is_at_work_is_not_gone_on_with(undisturbed):
    _, run_dir = undisturbed
    with directory.held(run_dir), pytest.raises(ConfigError, match="is at work there"):
        run(config_dict={"resume": str(run_dir), **QUIET})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"model": "PeterRec", "tuning": "most"}, "PeterRec: .*tuning"),
        ({"model": "Pop"}, "Pop: Pop is not a sequential model"),
        (
            {
                "model": "FineAll",
                "tasks": [{"name": "x", "kind": "profile", "field": "y"}],
            },
            "FineAll: .*no column 'y'",
        ),
    ],
)
def test_a_model_that_cannot_be_run_is_told_before_anything_is_written(
    folder, tmp_path, model, message
):
    given = keys(folder, tmp_path / "run", suite=["NextItNetAR", model])
    with pytest.raises((ConfigError, DataError), match=message):
        run(dataset="toy", config_dict=given)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def failing(monkeypatch):
    """Runs of a suite that fail, by model and seed, until the block ends."""
    run_one, errors = quick_start.run, {}

    def maybe(model=None, *args, config_dict, **kwargs):
        run_dir = Path(config_dict.get("resume") or config_dict["run_dir"])
        error = errors.get((run_dir.parent.name, run_dir.name))
        if error is not None:
            raise error
        return run_one(model, *args, config_dict=config_dict, **kwargs)

    monkeypatch.setattr(quick_start, "run", maybe)
    return errors


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
    file.write_text(file.read_text() + "pretrained_path: /then/SinMo/seed-1\n")
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


def test_nothing_goes_on_where_files_cannot_be_written(folder, tmp_path, failing):
    run_dir = tmp_path / "run"
    failing["PeterRec", "seed-1"] = WriteError("best.pt cannot be written: no space")
    told = rf"^PeterRec, seed 1: best.pt .*suite: go on with --resume={run_dir}\)$"
    with pytest.raises(WriteError, match=told):
        run(dataset="toy", config_dict=keys(folder, run_dir, suite=MODELS, seeds=[1]))
    assert not (run_dir / "FineAll").exists()


def test_another_run_is_not_taken_for_one_of_the_suites(undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    shutil.rmtree(copy / "SinMo" / "seed-1")
    shutil.copytree(copy / "FineAll" / "seed-1", copy / "SinMo" / "seed-1")
    with pytest.raises(CheckpointError, match="does not hold SinMo with seed 1"):
        run(config_dict={"resume": str(copy), **QUIET})


def test_entries_of_one_model_are_told_apart_by_what_they_ended_with(
    undisturbed, tmp_path
):
    """Their model, dataset and seed are the same."""
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    (copy / "SinMo" / "seed-1" / "config.yaml").rename(tmp_path / "config.yaml")
    shutil.rmtree(copy / "SinMo" / "seed-1")
    shutil.copytree(copy / "FineAll" / "seed-1", copy / "SinMo" / "seed-1")
    (tmp_path / "config.yaml").replace(copy / "SinMo" / "seed-1" / "config.yaml")
    told = f"{copy / 'SinMo' / 'seed-1' / 'results.json'} does not hold what SinMo"
    with pytest.raises(CheckpointError, match=rf"{told} .*move .* to run it anew"):
        run(config_dict={"resume": str(copy), **QUIET})


def test_an_edited_result_is_not_believed(undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    file = copy / "SinMo" / "seed-2" / "results.json"
    results = json.loads(file.read_text())
    results["tasks"]["gender"]["test"]["hit@1"] += 0.1
    file.write_text(json.dumps(results))
    with pytest.raises(CheckpointError, match="does not hold what SinMo with seed 2"):
        run(config_dict={"resume": str(copy), **QUIET})
    shutil.rmtree(copy / "SinMo" / "seed-2")  # as the message says
    again = run(config_dict={"resume": str(copy), **QUIET})
    assert without_clocks(again["results"]) == without_clocks(undisturbed[0]["results"])


@pytest.mark.parametrize("damage", ["{", "{}", '{"pretrain": {}, "tasks": {}}'])
def test_damaged_results_say_what_to_do(undisturbed, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    file = copy / "SinMo" / "seed-2" / "results.json"
    file.write_text(damage)
    told = rf"{file} .*; put that of the run back, or move {file.parent} away"
    with pytest.raises(CheckpointError, match=told):
        run(config_dict={"resume": str(copy), **QUIET})


@pytest.mark.parametrize("damage", ["{", "{}", '{"config": "x", "runs": {"A": 1}}'])
def test_a_damaged_report_says_what_to_do(undisturbed, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    (copy / "suite.json").write_text(damage)
    told = rf"suite.json .*; put it back, or start anew .*={copy / 'config.yaml'}$"
    with pytest.raises(CheckpointError, match=told):
        run(config_dict={"resume": str(copy), **QUIET})


@pytest.mark.parametrize("moved", ["data", "suite"])
def test_an_interrupted_suite_goes_on_elsewhere(folder, tmp_path, undisturbed, moved):
    """Runs that are begun have the place of the backbone that they took."""
    data, run_dir = tmp_path / "data", tmp_path / "run"
    shutil.copytree(folder, data)
    given = keys(data, run_dir, suite=MODELS, seeds=[1, 2])
    begun = run_dir / "FineAll" / "seed-1" / "training" / "data.json"
    for call in range(12, 40):  # in the run that has not made its backbone itself
        shutil.rmtree(run_dir, ignore_errors=True)
        with stopped_at(call):
            run(dataset="toy", config_dict=given)
        if begun.exists():
            break
    now = {"resume": str(run_dir), **QUIET}
    if moved == "data":
        data.rename(tmp_path / "moved")
        now["data_path"] = str(tmp_path / "moved")
    else:
        run_dir.rename(tmp_path / "moved")
        now["resume"] = str(tmp_path / "moved")
    outcome = run(config_dict=now)
    assert without_clocks(outcome["results"]) == without_clocks(
        undisturbed[0]["results"]
    )


@pytest.mark.parametrize("call", [3, 20, 35])
def test_a_suite_goes_on_with_its_network_where_that_is_now(folder, tmp_path, call):
    """An entry's own stays where it was."""
    saved, own = tmp_path / "saved", tmp_path / "own"
    for place in (saved, own):
        given = keys(folder, place, seed=1, tasks=None)
        run("NextItNetAR", "toy", config_dict=given)
    entry = {"name": "own", "model": "FineAll", "pretrained_path": str(own)}
    given = keys(folder, tmp_path / "run", suite=["PeterRec", entry, "FineAll"])
    with stopped_at(call):
        run(dataset="toy", config_dict=given | {"pretrained_path": str(saved)})
    assert not (tmp_path / "run" / "FineAll").exists()
    saved.rename(tmp_path / "moved")
    now = {"resume": str(tmp_path / "run"), "pretrained_path": str(tmp_path / "moved")}
    outcome = run(config_dict={**now, **QUIET})
    assert len(outcome["results"]["runs"]) == 3
    taken = {
        model: yaml.safe_load(
            (tmp_path / "run" / model / "seed-2020" / "config.yaml").read_text()
        )["pretrained_path"]
        for model in ("own", "FineAll")
    }
    assert taken == {"own": str(own), "FineAll": str(tmp_path / "moved")}
    again = run(config_dict={**now, **QUIET})
    assert again["results"] == outcome["results"]


@pytest.mark.parametrize("key", ["pretrained_path", "continue_from"])
def test_a_suite_that_began_without_a_network_goes_on_without(undisturbed, key):
    _, run_dir = undisturbed
    with pytest.raises(ConfigError, match=f"leave out {key}"):
        run(config_dict={"resume": str(run_dir), key: "there", **QUIET})


def test_a_suite_that_has_ended_needs_no_data(folder, undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    nowhere = {"resume": str(copy), "data_path": str(tmp_path / "nowhere"), **QUIET}
    again = run(dataset="toy", config_dict=nowhere)
    assert again["results"] == undisturbed[0]["results"]
    with pytest.raises(ConfigError, match="has dataset toy, not ml-100k"):
        run(dataset="ml-100k", config_dict=nowhere)


@pytest.mark.parametrize(
    ("key", "value", "unlike"),
    [
        ("val_interval", {"rating": "[2,5]"}, {"pretraining"}),  # of the same users
        ("eval_args", {"mode": "uni5"}, {"pretraining"}),
        ("tasks", [TASKS[0], {**TASKS[1], "bins": [40]}], {"age"}),
        (
            "task_defaults",
            {"profile": {"eval_args": {"split": {"RS": [0.5, 0.2, 0.3]}}}},
            {"gender", "age"},
        ),
        ("embedding_size", 16, set()),
        ("train_share", 0.5, set()),
        ("MAX_ITEM_LIST_LENGTH", 5, set()),
    ],
)
def test_what_is_judged_otherwise_is_told_before_anything_is_trained(
    folder, tmp_path, monkeypatch, key, value, unlike
):
    monkeypatch.setattr(running, "_run_all", lambda progress, now: None)
    other = {"name": "other", "model": "PeterRec", key: value}
    given = keys(folder, tmp_path / "run", suite=["PeterRec", other])
    run(dataset="toy", config_dict=given | {"state": "WARNING"})
    log = (tmp_path / "run" / "run.log").read_text()
    told = re.findall(r"WARNING  other: (.*) not judged by the test rows", log)
    assert [set(stages.split(", ")) for stages in told] == ([unlike] if unlike else [])


@pytest.mark.parametrize("mode", ["full", "uni5"])
def test_a_model_of_recboles_is_judged_by_the_same_as_ours(
    folder, tmp_path, monkeypatch, mode
):
    monkeypatch.setattr(running, "_run_all", lambda progress, now: None)
    given = keys(folder, tmp_path / "run", suite=["NextItNetAR", "GRU4Rec", "GRec"])
    given |= {"tasks": None, "dilations": [1, 2], "eval_args": {"mode": mode}}
    run(dataset="toy", config_dict=given | {"state": "WARNING"})
    assert "judged" not in (tmp_path / "run" / "run.log").read_text()


def test_a_backbone_from_outside_is_no_result_of_the_suite(folder, tmp_path):
    """Its figures are one and the same with every seed."""
    saved = keys(folder, tmp_path / "bb", seed=1, tasks=None)
    run("NextItNetAR", "toy", config_dict=saved)
    taking = {"name": "taking", "model": "PeterRec"}
    taking["pretrained_path"] = str(tmp_path / "bb")
    given = keys(folder, tmp_path / "run", suite=["PeterRec", taking], seeds=[1, 2])
    results = run(dataset="toy", config_dict=given)["results"]
    assert "pretraining" in results["means"]["PeterRec"]
    assert results["means"]["taking"].keys() == {"gender", "age"}
    assert results["differences"]["PeterRec - taking"].keys() == {"gender", "age"}
    assert results["runs"]["taking"]["1"]["pretrain"]["test"]  # but it is told there


@pytest.mark.parametrize(
    ("model", "key"), [("PeterRec", "pretrained_path"), ("Conure", "continue_from")]
)
def test_a_suite_is_not_taken_for_a_run(folder, tmp_path, undisturbed, model, key):
    suite = undisturbed[1]
    told = f"{suite} is a suite, not a run; name one of its runs, {suite}/MODEL/seed-N"
    given = keys(folder, tmp_path / "run", **{key: str(suite)})
    with pytest.raises(CheckpointError, match=f"^{told}$"):
        run(model, "toy", config_dict=given)
    with pytest.raises(CheckpointError, match=f"^{told}$"):
        UserModel(suite)


def test_seeds_go_before_a_seed_and_say_so(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_run_all", lambda progress, now: None)
    given = keys(folder, tmp_path / "run", suite=["PeterRec"], seeds=[1], seed=5)
    run(dataset="toy", config_dict=given | {"state": "WARNING"})
    log = (tmp_path / "run" / "run.log").read_text()
    assert "seeds [1] count, and not seed 5" in log


def test_a_suite_is_not_prepared_for_the_memory_of_this_process(
    folder, tmp_path, monkeypatch
):
    """Its runs may be on a GPU, or shared by several processes, and are checked there."""
    monkeypatch.setattr(memory, "available_memory", lambda device: 0)
    monkeypatch.setattr(running, "_run_all", lambda progress, now: "begun")
    given = keys(folder, tmp_path / "run", suite=MODELS)
    assert run(dataset="toy", config_dict=given) == "begun"
    with pytest.raises(ConfigError, match="needs at least"):
        run("PeterRec", "toy", config_dict=keys(folder, tmp_path / "alone"))


def test_a_suite_of_several_machines_is_refused(folder, tmp_path):
    given = keys(folder, tmp_path / "run", suite=MODELS, nproc=1, world_size=2)
    with pytest.raises(ConfigError, match="runs on one machine"):
        run(dataset="toy", config_dict=given)


def test_a_suite_logs_which_run_it_is_at(folder, tmp_path):
    given = keys(folder, tmp_path / "run", suite=["PeterRec", "FineCLS"])
    run(dataset="toy", config_dict=given | {"seeds": [1], "state": "INFO"})
    log = (tmp_path / "run" / "run.log").read_text()
    assert "suite: FineCLS, seed 1 (run 2 of 2)" in log
    assert "gender test result" not in log  # that is the run's


def test_a_single_models_suite_is_named_after_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = keys(folder, tmp_path, seeds=[1])
    del given["run_dir"]
    outcome = run("NextItNetAR", "toy", config_dict={**given, "tasks": None})
    (made,) = (tmp_path / "saved").iterdir()
    assert outcome["run_dir"] == str(made)
    assert made.name.startswith("NextItNetAR-toy-")


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
