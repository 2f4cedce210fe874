"""results.json and the files of tasks, a contract for scripts."""

from __future__ import annotations

import json

import pytest

from recbole_peterrec.version import __version__
from tests.command_line.case import STAGES, assert_metrics, results_of


def test_results_name_the_run(run_dir):
    results = results_of(run_dir)
    assert list(results) == ["model", "dataset", "seed", "version", "pretrain", "tasks"]
    told = {key: results[key] for key in ("model", "dataset", "seed", "version")}
    assert told == {
        "model": "PeterRec",
        "dataset": "toy",
        "seed": 2020,
        "version": __version__,
    }
    assert list(results["tasks"]) == STAGES[1:]


def test_results_of_pretraining_obey_the_contract(run_dir):
    pretrain = results_of(run_dir)["pretrain"]
    assert_metrics(pretrain["valid"], {"mrr@5", "hit@5"})
    assert_metrics(pretrain["test"], {"mrr@5", "hit@5"})
    assert pretrain["epochs"] == 1 and isinstance(pretrain["epochs"], int)
    assert isinstance(pretrain["seconds"], float) and pretrain["seconds"] >= 0


@pytest.mark.parametrize(
    ("task", "kind", "labels", "rows", "metrics"),
    [
        ("gender", "profile", 2, 60, {"hit@1"}),
        ("age", "profile", 3, 60, {"hit@1"}),
        ("buy", "recommendation", 20, None, {"mrr@5", "hit@5"}),
    ],
)
def test_results_of_a_task_obey_the_contract(
    run_dir, data, task, kind, labels, rows, metrics
):
    record = results_of(run_dir)["tasks"][task]
    rows = rows or len((data / "shop" / "shop.inter").read_text().splitlines()) - 1
    assert record["kind"] == kind
    assert record["labels"] == labels
    assert list(record["instances"]) == ["train", "valid", "test"]
    assert all(isinstance(n, int) and n > 0 for n in record["instances"].values())
    assert sum(record["instances"].values()) == rows
    assert_metrics(record["valid"], metrics)
    assert_metrics(record["test"], metrics)
    assert isinstance(record["trainable_parameters"], int)
    assert isinstance(record["total_parameters"], int)
    assert 0 < record["trainable_parameters"] < record["total_parameters"]
    assert record["epochs"] == 1 and isinstance(record["epochs"], int)
    assert isinstance(record["seconds"], float) and record["seconds"] >= 0


def test_task_files_tell_labels_kind_and_metrics(run_dir):
    results = results_of(run_dir)["tasks"]
    told = {
        t: json.loads((run_dir / "tasks" / t / "task.json").read_text())
        for t in STAGES[1:]
    }
    assert told["gender"]["labels"] == ["F", "M"]
    assert told["age"]["labels"] == ["<25", "25-45", "45+"]
    assert sorted(told["buy"]["labels"]) == sorted(f"p{i}" for i in range(20))
    for task, header in told.items():
        assert header["kind"] == results[task]["kind"]
        assert header["metrics"] == {k: results[task][k] for k in ("valid", "test")}
