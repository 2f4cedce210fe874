"""Keys that a kind of run does not read: what a user gave of them is refused, or told."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import MEASURED_BY, OWN_KEYS, Task, keys_given_to

# Which weights a run starts from: without them its results mean something else.
ORIGINS = {
    "continue_from": "goes on with a saved learner: take --model=Conure, or leave it out",
    "pretrained": "is not of this model, which learns its first task itself; leave it out",
    "pretrained_path": "is not of this model, which starts from random weights; leave it out",
}
PATCH_KEYS = (
    "patch_activation",
    "patch_cardinality",
    "patch_count",
    "patch_insertion",
    "patch_reduction",
    "patch_weight_decay",
)
TUNING_KEYS = (
    "carry_encoder",
    "joint_coefficient",
    *PATCH_KEYS,
    "tune_layernorm",
    "tune_layers",
    "tuning",
)
# What only one tuning reads.
BY_TUNING = {"patch": PATCH_KEYS, "last": ("tune_layers",)}
PRUNING_KEYS = (
    "checked_rows",
    "embedding_prune_ratio",
    "layernorm_per_task",
    "prune_embeddings",
    "prune_ratio",
    "prune_tolerance",
    "retrain_epochs",
)


def tell_unread(config: Config, keys: Collection[str]) -> None:
    """Warn of given keys, of the run, of ``task_defaults`` or of a task, that this run does not
    read; refuse those of :data:`ORIGINS`.

    A value that is the default of the model's files, or False where these have none, is no wish: a
    ``config.yaml`` that the same model saved has it.

    Args:
        config: of the run.
        keys: that it does not read.

    Raises:
        ConfigError: the weights that a user names would not be used.
    """
    for where, given, defaults in _given_parts(config):
        unread = _wished(given, defaults, keys)
        for key in unread:
            if not where and key in ORIGINS:
                raise ConfigError(f"{key} {ORIGINS[key]} ({config['model']})")
        _warn(config, unread, where)


def of_other_models(config: Config) -> set[str]:
    """Keys that a user gave and that only other models' files have, such as one file for several
    models holds.

    Args:
        config: of the run.
    """
    known = config.known_keys().union(OWN_KEYS)
    return {key for _, given, _ in _given_parts(config) for key in given} - known


def tell_kept_by_tasks(config: Config, tasks: Iterable[Task]) -> None:
    """Warn of the run's keys that a user gave for the source and that no task takes.

    What a user gave a task, or its kind, for the same key is known to differ.

    Args:
        config: of the run.
        tasks: as they were read.
    """
    kept: dict[str, list[str]] = {}
    for task in tasks:
        given = keys_given_to(config, task.kind, task.name)
        for key in sorted(MEASURED_BY.intersection(config.given) - given):
            if task.config[key] != config[key]:
                kept.setdefault(key, []).append(task.name)
    if kept:
        names = dict.fromkeys(name for names in kept.values() for name in names)
        logging.getLogger().warning(
            f"{', '.join(kept)}: the run's value is for its source; for {', '.join(names)} give "
            f"task_defaults or the task one"
        )


def tuned_without(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys that none of the tasks' tunings reads.

    Args:
        tasks: their configs.
    """
    used = {task["tuning"] for task in tasks}
    return [
        key for tuning, keys in BY_TUNING.items() if tuning not in used for key in keys
    ]


def _warn(config: Config, unread: list[str], where: str) -> None:
    if unread:
        logging.getLogger().warning(
            f"{config['model']} does not read {', '.join(unread)}{where}"
        )


def _given_parts(
    config: Config,
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """What a user gave the run, each kind of task and each task: where, the keys, the defaults."""
    given, defaults = config.external_config_dict, config.internal_config_dict
    yield "", given, defaults
    for kind, kind_defaults in (defaults.get("task_defaults") or {}).items():
        wished = (given.get("task_defaults") or {}).get(kind) or {}
        where = f" of task_defaults: {kind}"
        yield where, wished, {**defaults, **given, **kind_defaults}
    for task, task_defaults in _given_tasks(config):
        where = f" of task {task['name']!r}"
        yield where, task, {**defaults, **given, **task_defaults}


def _wished(
    given: Mapping[str, Any], defaults: Mapping[str, Any], keys: Collection[str]
) -> list[str]:
    return [
        key
        for key in sorted(keys)
        if _is_wish(given.get(key))
        and not (key in defaults and given[key] == defaults[key])
    ]


def _is_wish(value: Any) -> bool:
    """Whether a value asks for something; 0 does."""
    return value is not None and value is not False and value != ""


def _given_tasks(config: Config) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The entries of a user's list of tasks, each with the defaults of its kind and name."""
    shipped = {
        task["name"]: task for task in config.internal_config_dict.get("tasks") or ()
    }
    kinds = config["task_defaults"] or {}
    tasks = config.external_config_dict.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        named = isinstance(task, dict) and isinstance(task.get("name"), str)
        if named and task.get("kind") in tuple(kinds):  # others are refused later
            yield task, {**kinds[task["kind"]], **shipped.get(task["name"], {})}
