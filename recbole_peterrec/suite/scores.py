"""Test metrics of a suite's runs, and what they are judged by: collected, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite.own import Runs
from recbole_peterrec.suite.plan import MAJORITY
from recbole_peterrec.suite.significance import Estimate, difference

# No entry and no task can have these names: they have blanks.
BEFORE = " before pruning"  # after an entry's name: the paper's Conure-
AFTER_ALL = "pretraining after all"


class Value(NamedTuple):
    """A figure, and what it is judged by: test rows, labels, candidates."""

    figure: float
    judge: str | None


Metric = tuple[str, str]  # of a stage: its name and the metric's
Scores = dict[str, dict[Metric, dict[int, Value]]]  # by row and metric: a value a seed
# By row, stage and the row with which it does not compare: in which seeds.
Unlike = Mapping[str, Mapping[str, Mapping[str, list[int]]]]


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
        values.setdefault(seed, Value(value, judge))


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
    return one.judge is not None and one.judge == other.judge


def unlike_stages(scores: Scores) -> Unlike:
    """Which stages of which rows are not known to be judged by the same as those of the first row
    that has such a stage: by its name, the seeds."""
    first: dict[tuple[str, int], tuple[str, Value]] = {}
    unlike: dict[str, dict[str, dict[str, list[int]]]] = {}
    for row, found in scores.items():
        for (stage, _), values in found.items():
            for seed, value in values.items():
                other, expected = first.setdefault((stage, seed), (row, value))
                if other == row or _alike(value, expected):
                    continue
                stages = unlike.setdefault(row, {}).setdefault(stage, {})
                seeds = stages.setdefault(other, [])
                if seed not in seeds:  # of another metric
                    seeds.append(seed)
    return unlike


def plain(values: Mapping[int, Value]) -> dict[int, float]:
    """By seed, without what they are judged by."""
    return {seed: value.figure for seed, value in values.items()}


def compared(
    one: Mapping[int, Value], other: Mapping[int, Value], digits: int
) -> Estimate | None:
    """The difference over the seeds in which both are judged by the same, rounded to so many
    digits."""
    alike = [seed for seed in one if seed in other and _alike(one[seed], other[seed])]
    values = ({seed: values[seed].figure for seed in alike} for values in (one, other))
    return difference(*values, digits)
