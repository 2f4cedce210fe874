"""What a user gave and a run does not read, or another value of his outweighs: refused, or told."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.parts import EVAL_ARGS, TASK_DEFAULTS
from recbole_peterrec.tasks import (
    MODE,
    NEVER_FROM_RUN,
    OWN_KEYS,
    RUN,
    TASK,
    Task,
    first_source,
    keys_given_to,
    keys_in,
    value_sources,
)

# Which weights a run starts from: without them its results mean something else.
ORIGINS = {
    "continue_from": "goes on with a saved learner: take --model=Conure, or leave it out",
    "pretrained": "is not of this model, which learns its first task itself; leave it out",
    "pretrained_path": "is not of this model, which starts from random weights; leave it out",
}
# By what a user sees a run measured, and may think that its tasks are.
MEASURES = {
    *("MAX_ITEM_LIST_LENGTH", "metrics", MODE, "rm_dup_inter", "topk", "valid_metric")
}
# Why a value of task_defaults does not count, by whose does.
OUTWEIGHED_BY = {
    RUN: "since the run has a value of yours; give tasks their own, or leave out the run's",
    TASK: "which the dataset's file gives their own; give a list of tasks",
}
NAMED = 5  # tasks in a line
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


def refuse_origins(config: Config, keys: Collection[str]) -> None:
    """Refuse the weights that a user names by keys of :data:`ORIGINS`, where they are not used.

    Raises:
        ConfigError: one is given.
    """
    # Not `given`, which lacks what was added to a run's config.yaml.
    named = config.external_config_dict
    for key in _wished(named, config.internal_config_dict, keys):
        raise ConfigError(f"{key} {ORIGINS[key]} ({config['model']})")


def tell_what_does_not_count(
    config: Config, keys: Collection[str], tasks: Collection[Task] = ()
) -> None:
    """Warn of all that a user gave and that changes nothing in this run.

    Args:
        config: of the run.
        keys: as of :func:`tell_unread`.
        tasks: of the run.
    """
    tell_left_out(config)
    tell_unread(config, keys)
    if tasks:
        tell_kept_by_tasks(config, tasks)
        tell_outweighed(config, tasks)


def tell_unread(config: Config, keys: Collection[str]) -> None:
    """Warn of what a user gave the run, the tasks of a kind or a task, and that it does not read:
    these keys, and keys that only other models' files have.

    A value that is the default of the model's files, or False where these have none, is no wish.

    Args:
        config: of the run.
        keys: of the model's own, that its other settings leave unread.
    """
    known = config.known_keys().union(OWN_KEYS)
    for where, given, defaults in _given_parts(config):
        unread = _wished(given, defaults, {*keys, *(given.keys() - known)})
        if unread:
            logging.getLogger().warning(
                f"{config['model']} does not read {', '.join(unread)}{where}"
            )


def tell_left_out(config: Config) -> None:
    """Warn of parts of a mapping that a user gave, and that a later file or flag of his lacks."""
    for where, parts in config.left_out.items():
        key = TASK_DEFAULTS if TASK_DEFAULTS in where else EVAL_ARGS
        logging.getLogger().warning(
            f"{where}: what was given for {', '.join(parts)} does not count, since a later file, "
            f"dict or flag gives {key} anew without it; give all parts there"
        )


def tell_kept_by_tasks(config: Config, tasks: Iterable[Task]) -> None:
    """Warn of how a user has the run measured, and its tasks are not.

    What a user gave a task, or its kind, for the same key is known to differ.
    """
    kept: dict[str, list[str]] = {}
    for task in tasks:
        own = keys_given_to(config, task.kind, task.name)
        for key in sorted((MEASURES & keys_in(config.given)) - own):
            if _measure(task.config, key) != _measure(config, key):
                kept.setdefault(key, []).append(task.name)
    told = [
        f"{key} of the run is for its source, not for {_few(names)}"
        for key, names in kept.items()
    ]
    if told:
        logging.getLogger().warning(f"{'; '.join(told)}; see task_defaults")


def tell_outweighed(config: Config, tasks: Iterable[Task]) -> None:
    """Warn where a value in the user's ``task_defaults`` loses to his value for the run, or to a
    task's entry in a property file.

    A default that a file repeats is no wish, and what he gave a task himself is no surprise.
    """
    shipped = config.internal_config_dict["task_defaults"]
    entries = {entry["name"]: entry for entry in config["tasks"]}
    lost: dict[tuple[str, str, str], list[str]] = {}
    for task in tasks:
        given = (config.given.get("task_defaults") or {}).get(task.kind) or {}
        *above, _ = value_sources(config, task.kind, entries[task.name])
        for key, wished in given.items():
            if wished == shipped[task.kind].get(key):
                continue
            whose, counts = first_source(above, key) or (None, wished)
            told = whose == RUN or (whose == TASK and "tasks" not in config.given)
            if told and _differs(counts, wished):
                lost.setdefault((task.kind, key, whose), []).append(task.name)
    for (kind, key, whose), names in sorted(lost.items()):
        advice = OUTWEIGHED_BY[whose]
        if whose == TASK and key not in NEVER_FROM_RUN:
            advice += ", or give it for the run"
        logging.getLogger().warning(
            f"{key} of task_defaults: {kind} does not count for {_few(names)}, {advice}"
        )


def _differs(counts: Any, wished: Any) -> bool:
    """Whether a value that counts is another than the wished one; of mappings, which are merged,
    any part that both have."""
    if isinstance(counts, Mapping) and isinstance(wished, Mapping):
        return any(counts[part] != wished[part] for part in counts.keys() & wished)
    return counts != wished


def _few(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _measure(config: Config, key: str) -> Any:
    return config["eval_args"]["mode"] if key == MODE else config[key]


def tuned_without(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys that none of the tasks' tunings reads."""
    used = {task["tuning"] for task in tasks}
    return [
        key for tuning, keys in BY_TUNING.items() if tuning not in used for key in keys
    ]


def _given_parts(
    config: Config,
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """What a user gave the run, each kind of task and each task: where, the keys, the defaults."""
    given, defaults = config.given, config.internal_config_dict
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
        if given.get(key) is not None
        and (given[key] != defaults[key] if key in defaults else _is_wish(given[key]))
    ]


def _is_wish(value: Any) -> bool:
    """Whether a value of a key without a default asks for something; 0 does."""
    return value is not False and value != ""


def _given_tasks(config: Config) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The entries of a user's list of tasks, each with the defaults of its kind and name."""
    shipped = {
        task["name"]: task for task in config.internal_config_dict.get("tasks") or ()
    }
    kinds = config["task_defaults"] or {}
    tasks = config.given.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        named = isinstance(task, dict) and isinstance(task.get("name"), str)
        if named and task.get("kind") in tuple(kinds):  # others are refused later
            yield task, {**kinds[task["kind"]], **shipped.get(task["name"], {})}
