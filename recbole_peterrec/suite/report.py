"""What a script reads of a suite: suite.json; its tables are written beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json, save_json, write_atomically
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.runs.directory import CONFIG_FILE
from recbole_peterrec.suite.own import Runs, own_results
from recbole_peterrec.suite.plan import MAJORITY, Entry, Suite
from recbole_peterrec.suite.scores import (
    BEFORE,
    Metric,
    compared,
    plain,
    scores_of,
    unlike_stages,
)
from recbole_peterrec.suite.significance import (
    DIGITS,
    Estimate,
    estimate,
)
from recbole_peterrec.suite.tables import OF_PRETRAINING, OF_TASKS, TRAINED, tables
from recbole_peterrec.version import __version__

FILE = "suite.json"
DECIMALS = "metric_decimal_place"


def results_of(
    suite: Suite, runs: Runs, digest: str, version: str = __version__
) -> dict[str, Any]:
    """``suite.json``: every run's results, means over seeds, and differences to the first model, of
    values that are judged by the same. What runs took from outside the suite is under ``runs``
    alone.

    Args:
        suite: it.
        runs: that have ended.
        digest: of its ``config.yaml``.
        version: of the package with which it began.
    """
    own = own_results(suite, runs)
    scores = scores_of(own)
    first = suite.entries[0].name
    digits = {entry.name: _digits(suite, entry) for entry in suite.entries}
    digits |= {name + BEFORE: number for name, number in digits.items()}
    digits[MAJORITY] = min(digits.values())  # any entry's
    return {
        "suite": suite.name,
        "dataset": suite.dataset,
        "version": version,
        "models": [entry.name for entry in suite.entries],
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
                    metric: compared(
                        scores[first][metric], values, min(digits[first], digits[row])
                    )
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


def _digits(suite: Suite, entry: Entry) -> int:
    """To which the metrics of a model's stages are rounded at least: the coarsest's."""
    keys = suite.config(entry, suite.seeds[0])
    kinds = (keys.get("task_defaults") or {}).values()
    parts = [{DECIMALS: DIGITS, **keys}, *kinds, *(keys.get("tasks") or ())]
    return min(part[DECIMALS] for part in parts if DECIMALS in part)


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
        f"--config_files={folder / CONFIG_FILE}"
    )
    try:
        told = load_json(file)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {advice}") from error
    runs = told.get("runs")
    usable = isinstance(runs, dict) and all(isinstance(r, dict) for r in runs.values())
    texts = (told.get("config"), told.get("version"))
    if not usable or not all(isinstance(text, str) for text in texts):
        raise CheckpointError(f"{file} is not what a suite writes; {advice}")
    return told
