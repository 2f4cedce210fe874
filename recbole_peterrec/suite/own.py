"""What the runs of a suite have trained themselves, apart from what they took from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole_peterrec.config import Config
from recbole_peterrec.suite.plan import Entry, Suite

Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]  # by entry and seed: results.json
NOTHING = {"valid": {}, "test": {}, "epochs": 0, "seconds": 0.0}  # was pretrained


def own_results(suite: Suite, runs: Runs) -> Runs:
    """Results without what a network from outside the suite brought along: its record is one and
    the same with every seed, so it has no mean over them, and no difference.

    Backbones that the suite itself has made are left with all who take them.

    Args:
        suite: it.
        runs: that have ended.
    """
    own = dict(runs)
    for entry in suite.entries:
        keys = suite.config(entry, suite.seeds[0])
        by_seed = runs.get(entry.name, {})
        if keys.get("continue_from"):
            learned = _tasks(suite, entry)
            own[entry.name] = {
                seed: _learned_here(results, learned)
                for seed, results in by_seed.items()
            }
        elif keys.get("pretrained_path"):
            own[entry.name] = {
                seed: {**results, "pretrain": _trained_here(results["pretrain"])}
                for seed, results in by_seed.items()
            }
    return {name: own[name] for name in runs}


def _tasks(suite: Suite, entry: Entry) -> list[str]:
    """Names of the tasks that an entry's runs learn; its saved learner may bring others."""
    keys = suite.config(entry, suite.seeds[0])
    config = Config(entry.model, suite.dataset, config_dict=keys)
    if config["task_order"] is not None:
        return config["task_order"]
    return [task["name"] for task in config["tasks"] or ()]


def _learned_here(results: Mapping[str, Any], learned: list[str]) -> dict[str, Any]:
    tasks = {name: task for name, task in results["tasks"].items() if name in learned}
    return {**results, "pretrain": NOTHING, "tasks": tasks}


def _trained_here(pretrain: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a learner on a saved backbone what it has once it is pruned and trained on; of others
    nothing."""
    if not pretrain["epochs"]:
        return NOTHING
    return {key: value for key, value in pretrain.items() if key != "before_pruning"}
