"""Suites from their first run to their report."""

from __future__ import annotations

import json

import pytest

from recbole_peterrec import UserModel, run
from recbole_peterrec.errors import (
    CheckpointError,
    ConfigError,
)
from tests.suite.case import MODELS, keys
from tests.toy import left_by


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


def test_a_suite_does_not_begin_where_another_has_begun(folder, undisturbed):
    _, run_dir = undisturbed
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    given = keys(folder, run_dir, seeds=[1])
    given["data_path"] = str(folder / "nowhere")  # no data are looked for
    with pytest.raises(ConfigError, match="already holds a run"):
        run(dataset="toy", config_dict=given)
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
