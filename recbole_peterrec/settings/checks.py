"""Values that a config may hold, checked before anything is read or trained."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.keys import FOLDERS, RUNS
from recbole_peterrec.settings.kinds import (
    are_columns,
    are_gpus,
    are_names,
    are_negatives,
    are_seeds,
    is_clipping,
    is_path,
    is_probability,
    is_seed,
    is_separator,
    is_share,
    number,
    whole,
)

_NUMBER = r"\s*[-+]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
_INTERVAL = re.compile(rf"[\[(]{_NUMBER},{_NUMBER}[\])]")


LEVELS = ("debug", "info", "warning", "error", "critical")


Rule = tuple[Callable[[Any], bool], str]  # of a value, and what it must be


def _or_empty(rule: Rule) -> Rule:
    valid, wanted = rule
    return (lambda value: value is None or valid(value), f"empty or {wanted}")


def _one_of(*names: str) -> Rule:
    wanted = f"{', '.join(names[:-1])} or {names[-1]}"
    return (lambda value: value in names, wanted)


COUNT: Rule = (
    lambda value: whole(value, 1) and value <= sys.maxsize,
    f"a whole number from 1 to {sys.maxsize}",
)
LARGEST = 2**31 - 1
SIZE: Rule = (  # of an array
    lambda value: whole(value, 1) and value <= LARGEST,
    f"a whole number from 1 to {LARGEST}",
)
NATURAL: Rule = (lambda value: whole(value, 0), "a whole number of at least 0")
NOT_NEGATIVE: Rule = (lambda value: number(value, 0), "a number of at least 0")
POSITIVE: Rule = (lambda value: number(value, 0) and value > 0, "above 0")
DECIMALS: Rule = (
    lambda value: whole(value, 0) and value <= 15,
    "a whole number from 0 to 15",
)
PATH: Rule = (is_path, "a path (in quotes, if it looks like a number)")
PATH_OR_NONE: Rule = (
    lambda value: value in (None, "") or is_path(value),
    "empty or a path (in quotes, if it looks like a number)",
)
PROBABILITY: Rule = (is_probability, "a number of at least 0 and below 1")
SHARE: Rule = (is_share, "above 0 and below 1")
SWITCH: Rule = (lambda value: isinstance(value, bool), "True or False")
NAME: Rule = (lambda value: isinstance(value, str) and value, "a text (in quotes)")

RULES: dict[str, Rule] = {
    **dict.fromkeys(("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"), NAME),
    "learning_rate": POSITIVE,
    "head_learning_rate": _or_empty(POSITIVE),
    "weight_decay": NOT_NEGATIVE,
    "head_weight_decay": NOT_NEGATIVE,
    "weight_average": PROBABILITY,
    "patch_weight_decay": NOT_NEGATIVE,
    "epochs": COUNT,
    "pretrain_epochs": _or_empty(COUNT),
    "finetune_epochs": _or_empty(COUNT),
    "stopping_step": NATURAL,
    "eval_step": NATURAL,
    "state": (
        lambda value: value is None or str(value).lower() in LEVELS,
        "empty, or debug, info, warning, error or critical",
    ),
    "seed": (is_seed, "a whole number from 0 to 2147483647"),
    "seeds": (
        lambda value: value is None or are_seeds(value),
        "a list of different whole numbers from 0 to 2147483647 such as [1, 2, 3], or left out",
    ),
    "train_batch_size": COUNT,
    "eval_batch_size": COUNT,
    "MAX_ITEM_LIST_LENGTH": SIZE,
    "select_epoch": _one_of("best", "last"),
    "amp": (lambda value: value in (None, "bf16"), "bf16 or empty"),
    "compile": SWITCH,
    "task_order": _or_empty((are_names, "a list of tasks' names")),
    "train_share": (
        lambda value: number(value, 0, 1) and value > 0,
        "above 0 and at most 1",
    ),
    "table_updates": _one_of("dense", "rows"),
    "window_overlap": PROBABILITY,
    "recent_interactions": _or_empty(COUNT),
    "source_cache": (
        lambda value: value in (None, math.inf) or number(value, 0),
        "empty or a number of MiB of at least 0",
    ),
    "rank_rho": _or_empty(POSITIVE),
    "retrain_epochs": _or_empty(COUNT),
    "checked_rows": _or_empty(COUNT),
    "prune_ratio": (
        lambda value: value == "auto" or is_share(value),
        "above 0 and below 1, or auto",
    ),
    "embedding_prune_ratio": SHARE,
    "joint_coefficient": NOT_NEGATIVE,
    "prune_tolerance": PROBABILITY,
    "train_neg_sample_args": _or_empty(
        (
            are_negatives,
            "{distribution: uniform, sample_num: 1}; with dynamic, candidate_num too; alpha is "
            + "from -10 to 10",
        )
    ),
    "clip_grad_norm": _or_empty(
        (is_clipping, "a mapping such as {max_norm: 5}, above 0")
    ),
    "worker": NATURAL,
    "metric_decimal_place": DECIMALS,
    "loss_decimal_place": DECIMALS,
    "encoding": (
        lambda value: value is None or isinstance(value, str) and value,
        "~ or the name of an encoding, such as utf-8",
    ),
    **dict.fromkeys(FOLDERS, PATH),
    **dict.fromkeys(RUNS, PATH_OR_NONE),
    "field_separator": (
        is_separator,
        'one character ("\\t" is a tab), or several that, as a regular expression, mean themselves',
    ),
    "log_wandb": (
        lambda value: not value or importlib.util.find_spec("wandb") is not None,
        "False where the package wandb is not installed (pip install wandb)",
    ),
    **dict.fromkeys(("LIST_SUFFIX", "ITEM_LIST_LENGTH_FIELD", "NEG_PREFIX"), NAME),
    "load_col": _or_empty(
        (
            are_columns,
            "a mapping of file suffixes, inter among them, to lists of columns",
        )
    ),
    **dict.fromkeys(
        ("save_dataset", "save_dataloaders"),
        (
            lambda value: not value,
            "False: this runner saves no data (source_cache keeps large sources converted)",
        ),
    ),
    "learner": _one_of("adam", "adamw", "sgd", "adagrad", "rmsprop"),
    **dict.fromkeys(
        (
            *("pretrained", "carry_encoder", "prune_embeddings", "layernorm_per_task"),
            *("tune_layernorm", "reproducibility", "show_progress", "use_gpu"),
        ),
        SWITCH,
    ),
    "head_dropout": PROBABILITY,
    "softmax_samples": NOT_NEGATIVE,
    "softmax_popularity": (lambda value: number(value, 0, 1), "a number from 0 to 1"),
    "nproc": COUNT,
    "world_size": (
        lambda value: value in (None, -1) or whole(value, 1),
        "empty, -1 or a whole number of at least 1",
    ),
    "ip": (lambda value: isinstance(value, str) and bool(value), "a host's name or IP"),
    "port": (
        lambda value: value is None or whole(value, 1) and value < 2**16,
        "empty or a whole number from 1 to 65535",
    ),
    "group_offset": NATURAL,
    "gpu_id": (are_gpus, "empty, or numbers of GPUs such as 0 or '0,1'"),
    "patch_reduction": COUNT,
    "patch_cardinality": COUNT,
    "tune_layers": COUNT,
}
RULES_OF_OURS: dict[str, Rule] = {  # RecBole's models use these names for other things
    "dropout_prob": PROBABILITY,
    "embedding_size": SIZE,
    "enable_amp": (lambda value: not value, "False; take amp: bf16"),
    "enable_scaler": (
        lambda value: not value,
        "False; amp: bf16 needs no scaled gradients",
    ),
    "embedding_init": _or_empty(_one_of("random", "svd")),
    "embedding_learning_rate": _or_empty(POSITIVE),
    **dict.fromkeys(
        ("backbone", "patch_activation", "patch_insertion", "pooling", "tuning"),
        _or_empty(NAME),
    ),
    "kernel_size": COUNT,
    "embedding_scale": POSITIVE,
    "block_num": COUNT,
    "transform": (
        lambda value: value is None,
        "empty: windows are not changed by RecBole's transforms",
    ),
    "dilations": (
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and all(whole(dilation, 1) for dilation in value)
        ),
        "a list of whole numbers of at least 1",
    ),
}

# What updates by rows do not go with, and the value that they need. A decay and a norm over all
# gradients reach every row; owned and compiled tables have dense gradients.
NEEDED_BY_ROWS = {
    "learner": "adam",
    "weight_decay": 0,
    "clip_grad_norm": None,
    "prune_embeddings": False,
    "compile": False,
}


def check_values(config: Mapping[str, Any], ours: bool) -> None:
    """Refuse numbers of the wrong type or range, and intervals that RecBole would skip.

    Args:
        config: keys and values.
        ours: whether the model is one of this package.

    Raises:
        ConfigError: names the key, what it must be and what it is.
    """
    for key, (valid, wanted) in {**RULES, **(RULES_OF_OURS if ours else {})}.items():
        if key in config and not valid(config[key]):
            raise ConfigError(f"{key} must be {wanted}, got {config[key]!r}")
    for key in ("user_inter_num_interval", "item_inter_num_interval"):
        if config.get(key) is not None:
            _check_interval(key, config[key])
    if config.get("enable_scaler") and config.get("clip_grad_norm"):
        raise ConfigError(
            "enable_scaler and clip_grad_norm do not go together: RecBole clips the scaled "
            "gradients, which leaves next to nothing to learn from; leave one out"
        )
    if config.get("worker") and (config.get("train_neg_sample_args") or {}).get(
        "dynamic"
    ):
        raise ConfigError(
            "worker must be 0 with dynamic negatives, which the model that is trained chooses; "
            "set it so, or leave dynamic out"
        )
    if config.get("table_updates") == "rows":
        _check_row_updates(config, ours)
    if config.get("select_epoch") == "last" and config["epochs"] % max(
        1, config["eval_step"]
    ):
        raise ConfigError(
            f"select_epoch last needs epochs to be a multiple of eval_step "
            f"{config['eval_step']}, got {config['epochs']}"
        )
    fields = config.get("val_interval")
    if fields is not None and not (
        isinstance(fields, dict) and all(isinstance(field, str) for field in fields)
    ):
        raise ConfigError(
            f"val_interval must map columns' names to intervals, such as "
            f"{{rating: '[4,5]'}}, got {fields!r}"
        )
    for field, interval in (fields or {}).items():
        if not isinstance(interval, list):  # a list names the values of a token column
            _check_interval(f"val_interval of {field}", interval)


def check_switches(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse a text, such as ``no``, for a key that is on or off: any would turn it on.

    Args:
        config: keys and values.
        defaults: of the model's and RecBole's files.

    Raises:
        ConfigError: names the key.
    """
    for key, default in defaults.items():
        if isinstance(default, bool) and isinstance(config.get(key), str):
            raise ConfigError(f"{key} must be True or False, got {config[key]!r}")


def _check_row_updates(config: Mapping[str, Any], ours: bool) -> None:
    if not ours:
        raise ConfigError(
            "table_updates rows needs a model of this package; set it to dense"
        )
    for key, needed in NEEDED_BY_ROWS.items():
        if config.get(key, needed) != needed:
            raise ConfigError(
                f"table_updates rows needs {key} {needed}, got {config[key]!r}; set it so, or "
                f"table_updates to dense"
            )


def _check_interval(key: str, text: Any) -> None:
    parts = text.split(";") if isinstance(text, str) else [""]
    for part in parts:
        if not _INTERVAL.fullmatch(part.strip()):
            raise ConfigError(
                f"{key} must be an interval such as '[5,inf)', got {text!r}"
            )
