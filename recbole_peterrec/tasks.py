"""Task definitions: from the yaml list ``tasks`` to one config each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_peterrec import registry
from recbole_peterrec.checkpoint import BEGUN_FILE
from recbole_peterrec.config import Config
from recbole_peterrec.data.atomic import require_folder
from recbole_peterrec.data.task_dataset import KINDS, PROFILE
from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.settings.defaults import merged_task
from recbole_peterrec.settings.keys import DEVICES, PATHS, PROCESSES, STARTS_FROM
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.writing import FOLDER_NAME

TASK, RUN, KIND = "task", "run", "kind"  # whose a value is
OWN_KEYS = ("name", "kind", "dataset", "field", "bins")
MODE = "mode of eval_args"
# What stands for the source or for where a run starts, and a file beside stages' folders.
RESERVED = (PRETRAINING, *STARTS_FROM, BEGUN_FILE)
NAME = re.compile(FOLDER_NAME)
# What a task is measured by and made of: set by task_defaults or by the task itself. A run's own
# value of such a key is meant for the source.
MEASURED_BY = frozenset(
    (
        "eval_args",
        "metrics",
        "topk",
        "valid_metric",
        "loss_type",
        "val_interval",
        "user_inter_num_interval",
        "item_inter_num_interval",
        "train_neg_sample_args",
        "MAX_ITEM_LIST_LENGTH",
    )
)
# What RecBole makes of a source's columns, or of repeated rows by their times, and the value that
# makes nothing: a task's file has other columns.
OF_COLUMNS: dict[str, Any] = {
    "alias_of_item_id": None,
    "alias_of_user_id": None,
    "discretization": None,
    "normalize_field": None,
    "numerical_features": [],
    "preload_weight": None,
    "rm_dup_inter": None,
    "threshold": None,
    "unused_col": None,
}
NEVER_FROM_RUN = MEASURED_BY.union(OF_COLUMNS)
# What makes the source and its network, which all tasks share, and the run.
SOURCE_ONLY = frozenset(
    (
        *(*PATHS, *PROCESSES, *DEVICES),
        "backbone",
        "block_num",
        "carry_encoder",
        "config_files",
        "dilations",
        "embedding_init",
        "embedding_learning_rate",
        "embedding_scale",
        "embedding_size",
        "ITEM_LIST_LENGTH_FIELD",
        "joint_coefficient",
        "kernel_size",
        "layernorm_per_task",
        "LIST_SUFFIX",
        "load_col",
        "log_wandb",
        "mask_ratio",
        "model",
        "norm",
        "pretrain_epochs",
        "pretrained",
        "protocol",
        "prune_embeddings",
        "recent_interactions",
        "seed",
        "seeds",
        "softmax_popularity",
        "softmax_samples",
        "source_cache",
        "stage",
        "state",
        "suite",
        "table_updates",
        "task_defaults",
        "task_order",
        "tasks",
        "unload_col",
        "wandb_project",
        "window_overlap",
    )
)


@dataclass(frozen=True)
class Task:
    """One downstream task with its resolved config."""

    name: str
    kind: str
    config: Config


def read_tasks(config: Config) -> list[Task]:
    """The tasks that a run learns, in their order; none if the list is empty.

    A key's value is that of the first of :func:`value_sources`, then the run's default.

    Raises:
        ConfigError: no list, a missing or unknown key, a duplicated or unusable name, an unknown
            kind, a value that RecBole refuses, or an order of tasks that there are not.
        DataError: no list, and no such dataset either.
    """
    definitions = config["tasks"]
    if definitions is None:  # a misspelt dataset has none
        require_folder(config, "inter", "source")
    if not isinstance(definitions, list):
        raise ConfigError(
            f"tasks must be a list of tasks, got {definitions!r}; give them in a yaml file: "
            f"tasks: [{{name: gender, kind: profile, field: gender}}]"
        )
    for kind, keys in config["task_defaults"].items():
        _refuse_keys_of_the_run(f"task_defaults of {kind}", keys)
    kinds: dict[str, str] = {}
    for number, definition in enumerate(definitions, 1):
        if not isinstance(definition, dict) or not isinstance(
            definition.get("name"), str
        ):
            raise ConfigError(f"tasks: entry {number} needs a name: {definition!r}")
        name = definition["name"]
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"task {name!r}: a name is up to 100 letters, digits, '_', '-' and '.', of which "
                f"the first is a letter or a digit"
            )
        if name.lower() in RESERVED:
            raise ConfigError(
                f"task {name!r}: this name stands for something else of a run; take another"
            )
        require_apart(name, kinds)
        kinds[name] = _require_definition(config, f"task {name!r}", definition)
    learned = _in_order(list(kinds), config["task_order"])
    by_name = {definition["name"]: definition for definition in definitions}
    return [_read_task(config, kinds[name], by_name[name]) for name in learned]


def require_apart(name: str, others: Iterable[str]) -> None:
    """Refuse a task's name that another one has, but for case: some file systems ignore it.

    Raises:
        ConfigError: one has.
    """
    for other in others:
        if name == other:
            raise ConfigError(f"task {name!r} is defined twice; names must differ")
        if name.lower() == other.lower():
            raise ConfigError(
                f"task {name!r} differs from {other!r} by case alone, and some file systems do not "
                f"tell their folders apart; take another name"
            )


def _in_order(tasks: list[str], names: list[str] | None) -> list[str]:
    """The tasks that the key ``task_order`` names, as it orders them; None leaves all."""
    if names is None:
        return tasks
    for name in names:
        if name not in tasks:
            raise ConfigError(
                f"task_order: no task {name!r}{did_you_mean(str(name), tasks)} "
                f"(there are {', '.join(tasks) or 'none'})"
            )
    if len(set(names)) < len(names):
        raise ConfigError(f"task_order must name tasks once each, got {names!r}")
    return names


def _read_task(config: Config, kind: str, definition: dict[str, Any]) -> Task:
    name = definition["name"]
    try:
        overrides = _overrides(config, kind, definition)
        if kind == PROFILE:
            overrides["ITEM_ID_FIELD"] = overrides.pop("field")
        overrides.update(task=name, stage=name)
        epochs = overrides.get("finetune_epochs") or config["finetune_epochs"]
        if epochs:
            overrides["epochs"] = epochs
        # No negative of training is a positive of its user.
        derived = config.derive(**overrides, repeatable=False)
        registry.require_strategy(config["model"], {"tuning": derived["tuning"]})
        given = keys_given_to(config, kind, name).union(config.given)
        if "retrain_epochs" not in given:
            _bound_retraining(
                derived, config.internal_config_dict["task_defaults"][kind]
            )
    except ConfigError as error:
        raise ConfigError(f"task {name!r}: {error}") from error
    return Task(name, kind, derived)


def value_sources(
    config: Config, kind: str, definition: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Where a task's value of a key is looked up; the first of these mappings that has it counts.

    Args:
        config: of the run.
        kind: of the task.
        definition: its entry in the list.

    Returns:
        The entry, then the user's own keys for the run as far as tasks take them, then
        ``task_defaults`` of the kind, each with whose it is. Where the list is a property file's
        and not the user's, his keys for the run come first; before all, what he gave as
        ``finetune_epochs``.
    """
    never = NEVER_FROM_RUN.union(OWN_KEYS)
    of_run = {key: config[key] for key in config.given if key not in never}
    above = [(TASK, definition), (RUN, of_run)]
    if "tasks" not in config.given:
        above.reverse()
    if config.given.get("finetune_epochs"):
        above.insert(0, (RUN, {"epochs": config["finetune_epochs"]}))
    return [*above, (KIND, config["task_defaults"][kind])]


def first_source(
    sources: list[tuple[str, Mapping[str, Any]]], key: str
) -> tuple[str, Any] | None:
    """Whose value of a key counts, and the value; None where nobody has one."""
    return next(((whose, keys[key]) for whose, keys in sources if key in keys), None)


def keys_given_to(config: Config, kind: str, name: str) -> set[str]:
    """Keys (see :func:`keys_in`) that a user gave a task, or its kind, apart from the run."""
    keys = keys_in((config.given.get("task_defaults") or {}).get(kind) or {})
    for task in config.given.get("tasks") or ():
        if isinstance(task, dict) and task.get("name") == name:
            keys |= keys_in(task)
    return keys


def keys_in(given: Mapping[str, Any]) -> set[str]:
    """Keys of a mapping, and :data:`MODE` where its ``eval_args`` have one."""
    part = given.get("eval_args")
    return {*given, MODE} if isinstance(part, dict) and "mode" in part else set(given)


def _bound_retraining(task: Config, defaults: dict[str, Any]) -> None:
    """Let a property file's ``retrain_epochs`` be no more than the training before it has."""
    epochs = task["retrain_epochs"]
    if epochs and epochs == defaults.get("retrain_epochs"):
        task["retrain_epochs"] = min(epochs, task["epochs"])


def _refuse_keys_of_the_run(where: str, keys: Collection[str]) -> None:
    for key in sorted(SOURCE_ONLY.intersection(keys)):
        raise ConfigError(f"{where}: {key} is a key of the run, not of a task")


def _require_definition(config: Config, where: str, definition: dict[str, Any]) -> str:
    """The kind of a task whose keys are such as its kind has.

    Raises:
        ConfigError: they are not.
    """
    config.reject_unknown(definition, where, OWN_KEYS)
    _refuse_keys_of_the_run(where, definition)
    kind = definition.get("kind")
    if kind not in KINDS:
        raise ConfigError(
            f"{where}: kind must be {' or '.join(KINDS)}, got {kind!r}"
            f"{did_you_mean(str(kind), KINDS)}"
        )
    for key in ("bins", "field"):
        if kind != PROFILE and definition.get(key) is not None:
            raise ConfigError(f"{where}: {key} is for profile tasks only")
    if kind == PROFILE and "ITEM_ID_FIELD" in definition:
        raise ConfigError(
            f"{where}: field, not ITEM_ID_FIELD, names a profile's column"
        )
    if "repeatable" in definition:
        raise ConfigError(f"{where}: repeatable is set by the program; leave it out")
    if definition.get("benchmark_filename") is not None:
        raise ConfigError(
            f"{where}: benchmark_filename is not for tasks; eval_args splits one file"
        )
    if kind == PROFILE and not isinstance(definition.get("field"), str):
        raise ConfigError(f"{where}: a profile task needs field, a column of .user")
    return kind


def _overrides(config: Config, kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    """What a task has of its own or of its kind, over the run's; see :func:`value_sources`.

    Raises:
        ConfigError: a part of ``eval_args`` that cannot be.
    """
    overrides: dict[str, Any] = {}
    for whose, keys in reversed(value_sources(config, kind, definition)):
        if whose == RUN:  # its config has them; what they outweigh goes
            overrides = {k: v for k, v in overrides.items() if k not in keys}
        else:
            overrides = merged_task(overrides, keys)
    overrides.pop("name")
    overrides["dataset"] = str(overrides.get("dataset") or config["dataset"])
    overrides.setdefault("bins", None)
    overrides = {**OF_COLUMNS, **overrides}
    if overrides.get("MAX_ITEM_LIST_LENGTH") is None:  # the source's
        overrides.pop("MAX_ITEM_LIST_LENGTH", None)
    if kind == PROFILE and overrides["eval_args"]["order"] != "RO":
        raise ConfigError("a profile has no time; eval_args needs order RO")
    return overrides
