"""What a person and a script read of a suite: suite.json and its tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from recbole_peterrec.checkpoint import load_json, save_json, write_atomically
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite.own import Runs, own_results
from recbole_peterrec.suite.plan import MAJORITY, Suite
from recbole_peterrec.suite.significance import (
    DIGITS,
    Estimate,
    difference,
    estimate,
)
from recbole_peterrec.version import __version__

FILE = "suite.json"
DECIMALS = "metric_decimal_place"
# No entry and no task can have these names: they have blanks.
BEFORE = " before pruning"  # after an entry's name: the paper's Conure-
AFTER_ALL = "pretraining after all"
# Columns beside metrics, each a key of suite.json as well.
TRAINED = "of full tuning"
OF_PRETRAINING, OF_TASKS = "pretraining s", "tasks s"
Unlike = Mapping[
    str, Mapping[str, str]
]  # by entry and stage: whose figures do not compare
Value = tuple[
    float, str | None
]  # and what it is judged by: test rows, labels, candidates
Metric = tuple[str, str]  # of a stage: its name and the metric's
Scores = dict[str, dict[Metric, dict[int, Value]]]  # by row and metric: a value a seed


def scores_of(runs: Runs) -> Scores:
    """Test metrics of all rows: a row an entry; one more for what it has before pruning; and one
    for the majority label, of the first entry that learns a task."""
    scores: Scores = {}
    for name, by_seed in runs.items():
        for seed, results in by_seed.items():
            source = results["pretrain"]
            for stage, record in {PRETRAINING: source, **results["tasks"]}.items():
                before = record.get("before_pruning", {}).get("test", {})
                judge = record.get("judged_by")
                _add(scores, name, stage, seed, record.get("test", {}), judge)
                _add(scores, name + BEFORE, stage, seed, before, judge)
            _add(scores, name, AFTER_ALL, seed, *_source_after_all(results))
    for by_seed in runs.values():
        for seed, results in by_seed.items():
            for task, record in results["tasks"].items():
                majority = record.get("label_cs", {}).get("test", {})
                _add(scores, MAJORITY, task, seed, majority, record.get("judged_by"))
    return scores


def _add(
    scores: Scores,
    row: str,
    stage: str,
    seed: int,
    metrics: Mapping[str, float],
    judge: str | None,
) -> None:
    for metric, value in metrics.items():
        values = scores.setdefault(row, {}).setdefault((stage, metric), {})
        values.setdefault(seed, (value, judge))


def _source_after_all(
    results: Mapping[str, Any],
) -> tuple[Mapping[str, float], str | None]:
    """Test metrics of the source once the last task is learned, of models that go on with it, and
    what they are judged by."""
    *_, last = ({}, *results["tasks"].values())
    if last.get("pretrain_test"):
        return last["pretrain_test"], last.get("pretrain_judged_by")
    source = results["pretrain"]
    return source.get("test_after_all", {}), source.get("judged_by")


def _alike(one: Value, other: Value) -> bool:
    """Whether both are known to be judged by the same; earlier versions did not tell."""
    return one[1] is not None and one[1] == other[1]


def unlike_stages(scores: Scores) -> dict[str, dict[str, str]]:
    """Which stages of which rows are not known to be judged by the same as those of the first row
    that has such a stage, with its name."""
    first: dict[tuple[str, int], tuple[str, Value]] = {}
    unlike: dict[str, dict[str, str]] = {}
    for row, found in scores.items():
        for (stage, _), values in found.items():
            for seed, value in values.items():
                other, expected = first.setdefault((stage, seed), (row, value))
                if other != row and not _alike(value, expected):
                    unlike.setdefault(row, {})[stage] = other
    return unlike


def results_of(suite: Suite, runs: Runs, digest: str) -> dict[str, Any]:
    """``suite.json``: every run's results, means over seeds, and differences to the first model, of
    values that are judged by the same. What runs took from outside the suite is under ``runs``
    alone.

    Args:
        suite: it.
        runs: that have ended.
        digest: of its ``config.yaml``.
    """
    own = own_results(suite, runs)
    scores = scores_of(own)
    first = suite.entries[0].name
    digits = _digits(suite)
    return {
        "suite": suite.name,
        "dataset": suite.dataset,
        "version": __version__,
        "seeds": list(suite.seeds),
        "planned_runs": len(suite.seeds) * len(suite.entries),
        "config": digest,
        "unlike": unlike_stages(scores),
        "means": {
            row: _nested(
                {metric: estimate(plain(values)) for metric, values in found.items()}
            )
            for row, found in scores.items()
        },
        "differences": {
            f"{first} - {row}": _nested(
                {
                    metric: _difference(scores[first][metric], values, digits)
                    for metric, values in found.items()
                    if metric in scores[first]
                }
            )
            for row, found in scores.items()
            if row != first and first in scores
        },
        TRAINED: _means(own, _shares),
        OF_PRETRAINING: _means(own, _pretraining_seconds),
        OF_TASKS: _means(own, _task_seconds),
        "runs": {
            name: {str(seed): results for seed, results in by_seed.items()}
            for name, by_seed in runs.items()
        },
    }


def plain(values: Mapping[int, Value]) -> dict[int, float]:
    """By seed, without what they are judged by."""
    return {seed: value for seed, (value, _) in values.items()}


def _digits(suite: Suite) -> int:
    """To which the metrics of all models and tasks are rounded at least: the coarsest's."""
    parts = []
    for entry in suite.entries:
        keys = suite.config(entry, suite.seeds[0])
        kinds = (keys.get("task_defaults") or {}).values()
        parts += [{DECIMALS: DIGITS, **keys}, *kinds, *(keys.get("tasks") or ())]
    return min(part[DECIMALS] for part in parts if DECIMALS in part)


def _difference(
    one: Mapping[int, Value], other: Mapping[int, Value], digits: int
) -> Estimate | None:
    """Over the seeds in which both are judged by the same."""
    alike = [seed for seed in one if seed in other and _alike(one[seed], other[seed])]
    values = ({seed: values[seed][0] for seed in alike} for values in (one, other))
    return difference(*values, digits)


def _nested(found: Mapping[Metric, Estimate | None]) -> dict[str, dict[str, Any]]:
    """By stage, then by metric, as JSON has it."""
    nested: dict[str, dict[str, Any]] = {}
    for (stage, metric), value in found.items():
        if value is not None:
            nested.setdefault(stage, {})[metric] = dataclasses.asdict(value)
    return nested


def _means(runs: Runs, values_of) -> dict[str, float]:
    """By entry, of all values of its runs; entries that have none are left out."""
    values = {
        name: [value for results in by_seed.values() for value in values_of(results)]
        for name, by_seed in runs.items()
    }
    return {name: sum(some) / len(some) for name, some in values.items() if some}


def _shares(results: Mapping[str, Any]) -> list[float]:
    """Of the network's parameters that each task trains."""
    return [
        task["trainable_parameters"] / task["total_parameters"]
        for task in results["tasks"].values()
    ]


def _pretraining_seconds(results: Mapping[str, Any]) -> list[float]:
    """Where a run has pretrained by itself."""
    pretrain = results["pretrain"]
    return [pretrain["seconds"]] if pretrain["epochs"] else []


def _task_seconds(results: Mapping[str, Any]) -> list[float]:
    """Of all tasks together."""
    tasks = results["tasks"].values()
    return [sum(task["seconds"] for task in tasks)] if tasks else []


def tables(results: Mapping[str, Any]) -> str:
    """What ``suite.json`` holds, as Markdown: means, then differences on the same seeds, then what
    does not compare."""
    metrics = _columns(results["means"].values())
    seeds = results["seeds"]
    costs = {
        TRAINED: {row: f"{value:.2%}" for row, value in results[TRAINED].items()},
        OF_PRETRAINING: _tenths(results[OF_PRETRAINING]),
        OF_TASKS: _tenths(results[OF_TASKS]),
    }
    costs = {name: cells for name, cells in costs.items() if cells}
    parts = [
        _caption(results),
        _table("model", results["means"], metrics, len(seeds), costs),
    ]
    differences = results["differences"]
    told = [metric for metric in metrics if _differs(differences, metric)]
    if told and len(seeds) > 1:
        parts += [
            "Seed by seed (p of a paired t-test):",
            _table("difference", differences, told, len(seeds)),
        ]
    return "\n\n".join([*parts, *remarks(results["unlike"])])


def remarks(unlike: Unlike) -> list[str]:
    """A line for each row whose figures do not all compare with the others'."""
    return [
        f"{name}: {', '.join(stages)} not judged by the test rows, labels and candidates of "
        f"{' and '.join(dict.fromkeys(stages.values()))} (in all seeds), so these figures do not "
        f"compare."
        for name, stages in unlike.items()
    ]


def _caption(results: Mapping[str, Any]) -> str:
    seeds = results["seeds"]
    what = "mean ± standard error over seeds" if len(seeds) > 1 else "seed"
    text = f"{results['suite']} on {results['dataset']}: test metrics, {what} "
    text += ", ".join(map(str, seeds))
    ended = sum(len(by_seed) for by_seed in results["runs"].values())
    if ended < results["planned_runs"]:
        text += f" ({ended} of {results['planned_runs']} runs)"
    return text


def _label(row: str, stages: Mapping[str, Any], seeds: int) -> str:
    """The row's name, with how many of the seeds it has if that is not all."""
    counts = [found["seeds"] for each in stages.values() for found in each.values()]
    ended = max(counts, default=seeds)
    return row if ended == seeds else f"{row} ({ended} of {seeds} seeds)"


def _tenths(values: Mapping[str, float]) -> dict[str, str]:
    return {row: f"{value:.1f}" for row, value in values.items()}


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Stages and metrics in the order in which they come, the source's first."""
    found = {
        (s, m): None for row in rows for s, metrics in row.items() for m in metrics
    }
    return sorted(found, key=lambda metric: metric[0] not in (PRETRAINING, AFTER_ALL))


def _differs(differences: Mapping[str, Any], metric: Metric) -> bool:
    """Whether any row differs from the first; those with its backbone have its metrics there."""
    stage, name = metric
    found = [row.get(stage, {}).get(name) for row in differences.values()]
    return any(value and (value["mean"] or value["standard_error"]) for value in found)


def _table(
    head: str,
    rows: Mapping[str, Mapping[str, Any]],
    metrics: list[Metric],
    seeds: int,
    costs: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """A row each, with its metrics and then its costs."""
    costs = costs or {}
    cells = []
    for row, stages in rows.items():
        values = [stages.get(stage, {}).get(metric) for stage, metric in metrics]
        if not any(values):
            continue
        most = max((value["seeds"] for value in values if value), default=seeds)
        told = [cost.get(row, "-") for cost in costs.values()]
        label = _label(row, stages, seeds)
        cells.append([label, *(_cell(value, most) for value in values), *told])
    columns = [head, *(" ".join(metric) for metric in metrics), *costs]
    return tabulate(cells, columns, tablefmt="github", disable_numparse=True)


def _cell(value: Mapping[str, Any] | None, seeds: int) -> str:
    """A mean, its error and p, and how many seeds it is over if its row has more."""
    if value is None:
        return "-"
    text = f"{value['mean']:.4f}"
    if value["standard_error"] is not None:
        text += f" ± {value['standard_error']:.4f}"
    if value["p"] is not None:
        text += f" ({value['p']:.2g})"
    return text if value["seeds"] == seeds else f"{text} [{value['seeds']} seeds]"


def write_report(folder: Path, results: Mapping[str, Any]) -> None:
    """Write suite.json and results.md."""
    save_json(folder / FILE, results)
    write_atomically(folder / "results.md", f"{tables(results)}\n".encode())


def read_report(folder: Path) -> dict[str, Any]:
    """What ``suite.json`` holds; its ``runs`` by entry and seed, which is a text there.

    Raises:
        CheckpointError: it is damaged.
    """
    file = folder / FILE
    advice = (
        f"put it back, or start anew in another directory with "
        f"--config_files={folder / 'config.yaml'}"
    )
    try:
        told = load_json(file)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {advice}") from error
    runs = told.get("runs")
    usable = isinstance(runs, dict) and all(isinstance(r, dict) for r in runs.values())
    if not usable or not isinstance(told.get("config"), str):
        raise CheckpointError(f"{file} is not what a suite writes; {advice}")
    return told
