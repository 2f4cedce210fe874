"""What a suite tells before it trains anything."""

from __future__ import annotations

import re

import pytest

from recbole_peterrec import run
from recbole_peterrec.errors import (
    ConfigError,
    DataError,
)
from recbole_peterrec.runs import memory
from recbole_peterrec.suite import experiments
from tests.suite.case import MODELS, keys
from tests.toy import TASKS


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"model": "PeterRec", "tuning": "most"}, "PeterRec: .*tuning"),
        (
            {"model": "FineAll", "embedding_init": "pca"},
            "FineAll: embedding_init must be",
        ),
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
    monkeypatch.setattr(experiments, "_run_all", lambda progress, now: None)
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
    monkeypatch.setattr(experiments, "_run_all", lambda progress, now: None)
    given = keys(folder, tmp_path / "run", suite=["NextItNetAR", "GRU4Rec", "GRec"])
    given |= {"tasks": None, "dilations": [1, 2], "eval_args": {"mode": mode}}
    run(dataset="toy", config_dict=given | {"state": "WARNING"})
    assert "judged" not in (tmp_path / "run" / "run.log").read_text()


def test_a_suite_tells_of_parts_that_a_flag_leaves_out(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_run_all", lambda progress, now: None)
    file = tmp_path / "mine.yaml"
    file.write_text("eval_args: {mode: uni3, order: TO}")
    given = keys(folder, tmp_path / "run", suite=["PeterRec"]) | {"state": "WARNING"}
    run(None, "toy", [str(file)], given, ["--eval_args={order: TO}"])
    log = (tmp_path / "run" / "run.log").read_text()
    assert "eval_args: what was given for mode does not count" in log


def test_seeds_go_before_a_seed_and_say_so(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_run_all", lambda progress, now: None)
    given = keys(folder, tmp_path / "run", suite=["PeterRec"], seeds=[1], seed=5)
    run(dataset="toy", config_dict=given | {"state": "WARNING"})
    log = (tmp_path / "run" / "run.log").read_text()
    assert "seeds [1] count, and not seed 5" in log


def test_a_suite_is_not_prepared_for_the_memory_of_this_process(
    folder, tmp_path, monkeypatch
):
    """Its runs may be on a GPU, or shared by several processes, and are checked there."""
    monkeypatch.setattr(memory, "available_memory", lambda *_: 0)
    monkeypatch.setattr(experiments, "_run_all", lambda progress, now: "begun")
    given = keys(folder, tmp_path / "run", suite=MODELS)
    assert run(dataset="toy", config_dict=given) == "begun"
    with pytest.raises(ConfigError, match="needs at least"):
        run("PeterRec", "toy", config_dict=keys(folder, tmp_path / "alone"))
