"""What a person reads of a suite: its tables, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite.scores import AFTER_ALL, Metric, Unlike

# Columns beside metrics, each a key of suite.json as well.
TRAINED = "of full tuning"
OF_PRETRAINING, OF_TASKS = "pretraining s", "tasks s"


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
    return "\n\n".join([*parts, *_absent(results), *remarks(results["unlike"], seeds)])


def _absent(results: Mapping[str, Any]) -> list[str]:
    """A line for the models that have no result, and one if there are no differences for that."""
    first, *_ = models = results["models"]
    absent = [name for name in models if name not in results["means"]]
    lines = []
    if not results["means"]:  # nothing has run yet
        return lines
    if first in absent and len(results["seeds"]) > 1:
        lines.append(f"no differences: {first}, the first model, has no result")
    if absent:
        lines.append(f"no result: {', '.join(absent)}")
    return lines


def remarks(unlike: Unlike, seeds: Sequence[int]) -> list[str]:
    """A line for the figures of a row that do not compare with those of another.

    Args:
        unlike: which.
        seeds: all.
    """
    lines = []
    for row, stages in unlike.items():
        together: dict[tuple[str, str], list[str]] = {}
        for stage, others in stages.items():
            for other, found in others.items():
                together.setdefault((other, _named(found, seeds)), []).append(stage)
        for (other, where), names in together.items():
            lines.append(
                f"{row}: {', '.join(names)} not judged by the test rows, labels and candidates of "
                f"{other} ({where}), so these figures do not compare."
            )
    return lines


def _named(some: Sequence[int], seeds: Sequence[int]) -> str:
    if set(some) == set(seeds):
        return "in all seeds"
    return f"in seed{'s' * (len(some) > 1)} {', '.join(map(str, some))}"


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
