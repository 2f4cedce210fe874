"""Suites from their first run to their report, interrupted and not."""

from __future__ import annotations

import json
import shutil

import pytest

from recbole_peterrec import run
from recbole_peterrec.errors import ConfigError, DataError
from recbole_peterrec.runs import directory
from tests.stopping import stopped_at
from tests.toy import left_by, settings, write_toy

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
            if key not in ("seconds", "config")
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


def test_a_suite_that_has_ended_is_told_again(undisturbed):
    outcome, run_dir = undisturbed
    again = run(config_dict={"resume": str(run_dir), **QUIET})
    assert again["results"] == outcome["results"]


def test_a_suite_goes_on_where_its_data_have_moved(folder, tmp_path):
    data, run_dir = tmp_path / "data", tmp_path / "run"
    shutil.copytree(folder, data)
    with stopped_at(12):
        run(dataset="toy", config_dict=keys(data, run_dir, seeds=[1, 2]))
    data.rename(tmp_path / "moved")
    moved = {"data_path": str(tmp_path / "moved")}
    outcome = run(config_dict={"resume": str(run_dir), **QUIET, **moved})
    assert outcome["results"]["runs"]["PeterRec"].keys() == {"1", "2"}


def test_what_would_change_a_suite_is_refused_as_it_goes_on(undisturbed):
    _, run_dir = undisturbed
    for change in ({"seeds": [1]}, {"suite": "strategies"}, {"epochs": 2}):
        with pytest.raises(ConfigError, match=f"leave out {next(iter(change))}"):
            run(config_dict={"resume": str(run_dir), **QUIET, **change})
    with pytest.raises(ConfigError, match="leave out model"):
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
    with pytest.raises(ConfigError, match="already holds a run"):
        run(dataset="toy", config_dict=keys(folder, run_dir, seeds=[1]))


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


def test_an_error_names_the_run_and_how_to_go_on(folder, tmp_path, monkeypatch):
    from recbole_peterrec import quick_start

    def failing(*args, **kwargs):
        raise DataError("the disk has gone")

    monkeypatch.setattr(quick_start, "run", failing)
    given = keys(folder, tmp_path / "run", seeds=[3])
    with pytest.raises(DataError) as error:
        run("PeterRec", "toy", config_dict=given)
    assert str(error.value) == (
        f"PeterRec, seed 3: the disk has gone; mend that, then go on with "
        f"--resume={tmp_path / 'run'}"
    )


def test_a_single_models_suite_is_named_after_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = keys(folder, tmp_path, seeds=[1])
    del given["run_dir"]
    outcome = run("NextItNetAR", "toy", config_dict={**given, "tasks": None})
    (made,) = (tmp_path / "saved").iterdir()
    assert outcome["run_dir"] == str(made)
    assert made.name.startswith("NextItNetAR-toy-")
