"""Suites that were interrupted, that have ended, and what is refused as they go on."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from recbole_peterrec import run
from recbole_peterrec.errors import (
    CheckpointError,
    ConfigError,
)
from recbole_peterrec.runs import directory
from recbole_peterrec.suite import experiments
from tests.stopping import stopped_at
from tests.suite.case import MODELS, QUIET, keys, without_clocks
from tests.toy import left_by


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


def test_another_version_has_other_defaults(folder, tmp_path, undisturbed):
    run_dir = tmp_path / "run"
    given = keys(folder, run_dir, suite=["NextItNetAR"], seeds=[1, 2], tasks=None)
    with stopped_at(5):
        run(dataset="toy", config_dict=given)
    ended = tmp_path / "ended"
    shutil.copytree(undisturbed[1], ended)
    for place in (run_dir, ended):
        told = json.loads((place / "suite.json").read_text())
        (place / "suite.json").write_text(json.dumps(told | {"version": "0.0.9"}))
    with pytest.raises(ConfigError, match=r"begun by version 0\.0\.9.*start anew"):
        run(config_dict={"resume": str(run_dir), **QUIET})
    again = run(config_dict={"resume": str(ended), **QUIET})  # nothing is run any more
    assert again["results"] == undisturbed[0]["results"] | {"version": "0.0.9"}
    shutil.rmtree(ended / "PeterRec" / "seed-2")
    with pytest.raises(ConfigError, match=r"begun by version 0\.0\.9.*start anew"):
        run(config_dict={"resume": str(ended), **QUIET})


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


@pytest.mark.parametrize("key", ["suite", "seeds"])
def test_a_run_is_not_gone_on_with_as_a_suite(undisturbed, monkeypatch, key):
    monkeypatch.setattr(experiments, "begin", lambda *_: "begun")
    one = undisturbed[1] / "PeterRec" / "seed-1"
    value = {"suite": ["PeterRec"], "seeds": [1]}[key]
    with pytest.raises(ConfigError, match="leave out suite and seeds"):
        run(config_dict={"resume": str(one), **QUIET, key: value})


def test_an_edited_config_is_not_gone_on_with(undisturbed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(undisturbed[1], copy)
    file = copy / "config.yaml"
    file.write_text(file.read_text() + "stopping_step: 9\n")
    with pytest.raises(ConfigError, match="was changed since the suite began"):
        run(config_dict={"resume": str(copy), **QUIET})


def test_a_suite_that_is_at_work_is_not_gone_on_with(undisturbed):
    _, run_dir = undisturbed
    with directory.held(run_dir), pytest.raises(ConfigError, match="is at work there"):
        run(config_dict={"resume": str(run_dir), **QUIET})


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
