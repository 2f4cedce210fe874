"""What a person and a script read of a suite: suite.json and its tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from recbole_peterrec.checkpoint import save_json, write_atomically
from recbole_peterrec.suite.plan import Suite
from recbole_peterrec.suite.significance import Estimate, difference, estimate
from recbole_peterrec.version import __version__

FILE = "suite.json"
SOURCE, AFTER_ALL = "source", "source after all"
MAJORITY = "LabelCS"
TRAINED, SECONDS = "of full tuning", "seconds"
Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]  # by entry and seed: results.json
Metric = tuple[str, str]  # of a stage: its name and the metric's
Scores = dict[str, dict[Metric, dict[int, float]]]  # by row and metric: a value a seed


def scores_of(runs: Runs) -> Scores:
    """Test metrics of all rows: a row an entry; one more for what it has before pruning (the
    paper's Conure-); and one for the majority label, of the first entry that learns a task."""
    scores: Scores = {}
    for name, by_seed in runs.items():
        for seed, results in by_seed.items():
            _add(scores, name, SOURCE, seed, results["pretrain"]["test"])
            _add_before(scores, name, SOURCE, seed, results["pretrain"])
            _add(scores, name, AFTER_ALL, seed, _source_after_all(results))
            for task, record in results["tasks"].items():
                _add(scores, name, task, seed, record["test"])
                _add_before(scores, name, task, seed, record)
    for by_seed in runs.values():
        for seed, results in by_seed.items():
            for task, record in results["tasks"].items():
                majority = record.get("label_cs", {}).get("test", {})
                _add(scores, MAJORITY, task, seed, majority)
    return scores


def _add(
    scores: Scores, row: str, stage: str, seed: int, metrics: Mapping[str, float]
) -> None:
    for metric, value in metrics.items():
        values = scores.setdefault(row, {}).setdefault((stage, metric), {})
        values.setdefault(seed, value)


def _add_before(
    scores: Scores, name: str, stage: str, seed: int, record: Mapping[str, Any]
) -> None:
    before = record.get("before_pruning", {}).get("test", {})
    _add(scores, f"{name}-", stage, seed, before)


def _source_after_all(results: Mapping[str, Any]) -> Mapping[str, float]:
    """Test metrics of the source once the last task is learned, of models that go on with it."""
    *_, last = ({}, *results["tasks"].values())
    return last.get("pretrain_test") or results["pretrain"].get("test_after_all", {})


def unlike_rows(suite: Suite, runs: Runs) -> list[str]:
    """Tasks that entries of a seed learn from other numbers of instances than the first entry
    that has them: a difference there is not of models alone."""
    told = []
    for seed in suite.seeds:
        first: dict[str, tuple[str, Any]] = {}
        for name, by_seed in runs.items():
            tasks = by_seed[seed]["tasks"] if seed in by_seed else {}
            for task, record in tasks.items():
                other, instances = first.setdefault(task, (name, record["instances"]))
                if instances != record["instances"]:
                    told.append(
                        f"task {task}, seed {seed}: {name} has train/valid/test instances "
                        f"{_instances(record['instances'])}, {other} {_instances(instances)}"
                    )
    return told


def _instances(numbers: Mapping[str, int]) -> str:
    return "/".join(str(number) for number in numbers.values())


def tables(results: Mapping[str, Any]) -> str:
    """What ``suite.json`` holds, as Markdown: means, then differences on the same seeds."""
    metrics = _columns(results["means"].values())
    many = len(results["seeds"]) > 1
    costs = {
        TRAINED: {row: f"{share:.2%}" for row, share in results[TRAINED].items()},
        SECONDS: {row: f"{taken:.1f}" for row, taken in results[SECONDS].items()},
    }
    parts = [
        _caption(results),
        _table(
            "model",
            results["means"],
            metrics,
            {name: cells for name, cells in costs.items() if cells},
        ),
    ]
    differences = results["differences"]
    if differences and many:
        told = [metric for metric in metrics if _differs(differences, metric)]
        parts += [
            "Seed by seed (p of a paired t-test):",
            _table("difference", differences, told, {}),
        ]
    return "\n\n".join(parts)


def _caption(results: Mapping[str, Any]) -> str:
    seeds = results["seeds"]
    what = "mean ± standard error over seeds" if len(seeds) > 1 else "seed"
    text = f"{results['suite']} on {results['dataset']}: test metrics, {what} "
    text += ", ".join(map(str, seeds))
    ended = sum(len(by_seed) for by_seed in results["runs"].values())
    if ended < results["planned_runs"]:
        text += f" ({ended} of {results['planned_runs']} runs so far)"
    return text


def _differs(differences: Mapping[str, Any], metric: Metric) -> bool:
    """Whether any row differs from the first; those with its backbone have its source's metrics."""
    stage, name = metric
    found = [row.get(stage, {}).get(name) for row in differences.values()]
    return any(value and (value["mean"] or value["standard_error"]) for value in found)


def _columns(rows: Any) -> list[Metric]:
    """Stages and metrics in the order in which they come, the source's first."""
    found = {
        (s, m): None for row in rows for s, metrics in row.items() for m in metrics
    }
    return sorted(found, key=lambda metric: metric[0] not in (SOURCE, AFTER_ALL))


def _table(
    head: str,
    rows: Mapping[str, Mapping[str, Any]],
    metrics: list[Metric],
    costs: Mapping[str, Mapping[str, str]],
) -> str:
    """A row each, with its metrics and then its costs."""
    cells = []
    for row, stages in rows.items():
        values = [stages.get(stage, {}).get(metric) for stage, metric in metrics]
        told = [cost.get(row, "-") for cost in costs.values()]
        cells.append([row, *map(_cell, values), *told])
    columns = [head, *(" ".join(metric) for metric in metrics), *costs]
    return tabulate(cells, columns, tablefmt="github", disable_numparse=True)


def _cell(value: Mapping[str, float | None] | None) -> str:
    if value is None:
        return "-"
    text = f"{value['mean']:.4f}"
    if value["standard_error"] is not None:
        text += f" ± {value['standard_error']:.4f}"
    return text if value.get("p") is None else f"{text} ({value['p']:.2g})"


def results_of(suite: Suite, runs: Runs, digest: str) -> dict[str, Any]:
    """``suite.json``: every run's results, means over seeds, and differences to the first model.

    Args:
        suite: it.
        runs: that have ended.
        digest: of its ``config.yaml``.
    """
    scores = scores_of(runs)
    first = suite.entries[0].name
    others = [row for row in scores if row != first and first in scores]
    return {
        "suite": suite.name,
        "dataset": suite.dataset,
        "version": __version__,
        "seeds": list(suite.seeds),
        "planned_runs": len(suite.seeds) * len(suite.entries),
        "config": digest,
        "means": {
            row: _nested({metric: estimate(values) for metric, values in found.items()})
            for row, found in scores.items()
        },
        "differences": {
            f"{first} - {row}": _nested(
                {
                    metric: difference(scores[first][metric], values)
                    for metric, values in scores[row].items()
                    if metric in scores[first]
                }
            )
            for row in others
        },
        TRAINED: {
            name: sum(shares) / len(shares)
            for name, by_seed in runs.items()
            if (shares := _shares(by_seed))
        },
        SECONDS: {name: _mean_seconds(by_seed) for name, by_seed in runs.items()},
        "runs": {
            name: {str(seed): results for seed, results in by_seed.items()}
            for name, by_seed in runs.items()
        },
    }


def _nested(found: Mapping[Metric, Estimate | None]) -> dict[str, dict[str, Any]]:
    """By stage, then by metric, as JSON has it."""
    nested: dict[str, dict[str, Any]] = {}
    for (stage, metric), value in found.items():
        if value is not None:
            nested.setdefault(stage, {})[metric] = dataclasses.asdict(value)
    return nested


def _shares(by_seed: Mapping[int, Mapping[str, Any]]) -> list[float]:
    """Of the network's parameters that each task trains, of all runs."""
    return [
        task["trainable_parameters"] / task["total_parameters"]
        for results in by_seed.values()
        for task in results["tasks"].values()
    ]


def _mean_seconds(by_seed: Mapping[int, Mapping[str, Any]]) -> float:
    """Of training and validation in a run, all stages together."""
    stages = [
        [results["pretrain"], *results["tasks"].values()]
        for results in by_seed.values()
    ]
    return sum(record["seconds"] for run in stages for record in run) / len(stages)


def write_report(folder: Path, results: Mapping[str, Any]) -> None:
    """Write suite.json and results.md."""
    save_json(folder / FILE, results)
    write_atomically(folder / "results.md", f"{tables(results)}\n".encode())
