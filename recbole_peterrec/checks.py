"""Values that a config may hold, checked before anything is read or trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from recbole.evaluator import metric_types

from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.evaluation.collector import RANKING

_NUMBER = r"\s*[-+]?(?:inf|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*"
_INTERVAL = re.compile(rf"[\[(]{_NUMBER},{_NUMBER}[\])]")


def _number(value: Any, low: float, high: float = float("inf")) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and low <= value <= high


def _whole(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _probability(value: Any) -> bool:
    return _number(value, 0) and value < 1


def _share(value: Any) -> bool:
    return _number(value, 0) and 0 < value < 1


LEARNERS = ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam")
SWITCHES = (
    "pretrained",
    "carry_encoder",
    "prune_embeddings",
    "layernorm_per_task",
    "tune_layernorm",
    "show_progress",
)


Rule = tuple[Callable[[Any], bool], str]
COUNT: Rule = (lambda value: _whole(value, 1), "a whole number of at least 1")
COUNT_OR_NONE: Rule = (
    lambda value: value is None or _whole(value, 1),
    "empty or a whole number of at least 1",
)
NOT_NEGATIVE: Rule = (lambda value: _number(value, 0), "a number of at least 0")
PROBABILITY: Rule = (_probability, "a number of at least 0 and below 1")

RULES: dict[str, Rule] = {
    "learning_rate": (lambda value: _number(value, 0) and value > 0, "above 0"),
    "head_learning_rate": (
        lambda value: value is None or _number(value, 0) and value > 0,
        "empty or above 0",
    ),
    "weight_decay": NOT_NEGATIVE,
    "head_weight_decay": NOT_NEGATIVE,
    "weight_average": PROBABILITY,
    "patch_weight_decay": NOT_NEGATIVE,
    "epochs": COUNT,
    "pretrain_epochs": COUNT_OR_NONE,
    "finetune_epochs": COUNT_OR_NONE,
    "stopping_step": (lambda value: _whole(value, 0), "a whole number of at least 0"),
    "eval_step": (lambda value: _whole(value, 0), "a whole number of at least 0"),
    "seed": (
        lambda value: _whole(value, 0) and value < 2**31,
        "a whole number from 0 to 2147483647",
    ),
    "train_batch_size": COUNT,
    "eval_batch_size": COUNT,
    "MAX_ITEM_LIST_LENGTH": COUNT,
    "select_epoch": (lambda value: value in ("best", "last"), "best or last"),
    "amp": (lambda value: value in (None, "bf16"), "bf16 or empty"),
    "compile": (lambda value: isinstance(value, bool), "True or False"),
    "task_order": (
        lambda value: (
            value is None
            or isinstance(value, list)
            and all(isinstance(name, str) for name in value)
        ),
        "empty or a list of tasks' names",
    ),
    "train_share": (
        lambda value: _number(value, 0, 1) and value > 0,
        "above 0 and at most 1",
    ),
    "table_updates": (lambda value: value in ("dense", "rows"), "dense or rows"),
    "window_overlap": PROBABILITY,
    "recent_interactions": COUNT_OR_NONE,
    "source_cache": (
        lambda value: value is None or _number(value, 0),
        "empty or a number of MiB of at least 0",
    ),
    "rank_rho": (
        lambda value: value is None or _number(value, 0) and value > 0,
        "empty or above 0",
    ),
    "retrain_epochs": COUNT_OR_NONE,
    "prune_ratio": (
        lambda value: value == "auto" or _share(value),
        "above 0 and below 1, or auto",
    ),
    "embedding_prune_ratio": (lambda value: _share(value), "above 0 and below 1"),
    "joint_coefficient": NOT_NEGATIVE,
    "prune_tolerance": PROBABILITY,
    "train_neg_sample_args": (
        lambda value: value is None or isinstance(value, dict),
        "empty or a mapping such as {distribution: uniform, sample_num: 1}",
    ),
    "load_col": (
        lambda value: value is None or isinstance(value, dict),
        "empty or a mapping of file suffixes to lists of columns",
    ),
    "learner": (
        lambda value: value in LEARNERS,
        "adam, adamw, sgd, adagrad, rmsprop or sparse_adam",
    ),
    **{
        key: (lambda value: isinstance(value, bool), "True or False")
        for key in SWITCHES
    },
    "head_dropout": PROBABILITY,
    "softmax_samples": NOT_NEGATIVE,
    "nproc": COUNT,
    "world_size": (
        lambda value: value in (None, -1) or _whole(value, 1),
        "empty, -1 or a whole number of at least 1",
    ),
    "ip": (lambda value: isinstance(value, str) and bool(value), "a host's name or IP"),
    "port": (
        lambda value: value is None or _whole(value, 1) and value < 2**16,
        "empty or a whole number from 1 to 65535",
    ),
    "group_offset": (lambda value: _whole(value, 0), "a whole number of at least 0"),
    "patch_reduction": COUNT,
    "patch_cardinality": COUNT,
    "tune_layers": COUNT,
}
OURS: dict[str, Rule] = {  # RecBole's models use these names for other things
    "dropout_prob": PROBABILITY,
    "embedding_size": COUNT,
    "kernel_size": COUNT,
    "embedding_scale": (lambda value: _number(value, 0) and value > 0, "above 0"),
    "block_num": COUNT,
    "dilations": (
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and all(_whole(dilation, 1) for dilation in value)
        ),
        "a list of whole numbers of at least 1",
    ),
}


# What updates by rows do not go with, and the value that they need. A decay, a norm over all
# gradients and a scaled gradient reach every row; owned and compiled tables have dense gradients.
NEEDED_BY_ROWS = {
    "learner": "adam",
    "weight_decay": 0,
    "clip_grad_norm": None,
    "enable_scaler": False,
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
    for key, (valid, wanted) in {**RULES, **(OURS if ours else {})}.items():
        if key in config and not valid(config[key]):
            raise ConfigError(f"{key} must be {wanted}, got {config[key]!r}")
    for key in ("user_inter_num_interval", "item_inter_num_interval"):
        if config.get(key) is not None:
            _check_interval(key, config[key])
    if config.get("clip_grad_norm") is not None and not isinstance(
        config["clip_grad_norm"], dict
    ):
        raise ConfigError(
            f"clip_grad_norm must be a mapping such as {{max_norm: 5}}, "
            f"got {config['clip_grad_norm']!r}"
        )
    if config.get("table_updates") == "rows":
        _check_row_updates(config, ours)
    if config.get("select_epoch") == "last" and config["epochs"] % max(
        1, config["eval_step"]
    ):
        raise ConfigError(
            "select_epoch last needs epochs to be a multiple of eval_step"
        )
    fields = config.get("val_interval")
    if fields is not None and not isinstance(fields, dict):
        raise ConfigError(
            f"val_interval must map columns to intervals, such as "
            f"{{rating: '[4,5]'}}, got {fields!r}"
        )
    for field, interval in (fields or {}).items():
        if not isinstance(interval, list):  # a list names the values of a token column
            _check_interval(f"val_interval of {field}", interval)


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


EVAL_ARGS = ("split", "order", "group_by", "mode")
MODE = re.compile(r"full|(?:uni|pop)[1-9]\d*")


def check_eval_args(given: Any) -> None:
    """Refuse what RecBole would replace by its own defaults without a word.

    Raises:
        ConfigError: not a mapping, unknown parts, or a mode that ranks nothing.
    """
    if not isinstance(given, dict):
        raise ConfigError(f"eval_args must map {', '.join(EVAL_ARGS)}, got {given!r}")
    for key in given:
        if key not in EVAL_ARGS:
            raise ConfigError(
                f"eval_args: unknown key {key!r}{did_you_mean(str(key), EVAL_ARGS)}"
            )
    if "split" in given and not _is_split(given["split"]):
        raise ConfigError(
            f"eval_args: split must be {{RS: [train, valid, test]}} or {{LS: valid_and_test}}, "
            f"got {given['split']!r}"
        )
    for key, known in (("order", ("RO", "TO")), ("group_by", ("user", "none", None))):
        if key in given and given[key] not in known:
            raise ConfigError(
                f"eval_args: {key} must be one of {', '.join(map(str, known))}, "
                f"got {given[key]!r}"
            )
    mode = given.get("mode", "full")
    for name in mode.values() if isinstance(mode, dict) else [mode]:
        if not MODE.fullmatch(str(name)):
            raise ConfigError(
                f"eval_args: mode must be full, uniN or popN with N of at least 1, got {name!r}"
            )


def _is_split(split: Any) -> bool:
    """Whether a split gives a training, a validation and a test part."""
    if not isinstance(split, dict) or len(split) != 1:
        return False
    if "LS" in split:
        return split["LS"] == "valid_and_test"
    shares = split.get("RS")
    return (
        isinstance(shares, list)
        and len(shares) == 3
        and all(_number(share, 0) for share in shares)
        and shares[0] > 0
    )


def check_metrics(config: Mapping[str, Any]) -> None:
    """Refuse unknown metrics and a ``valid_metric`` that is not among those evaluated.

    Raises:
        ConfigError: with the nearest metric.
    """
    metrics, topk = config["metrics"], config["topk"]
    metrics = [metrics] if isinstance(metrics, str) else metrics
    topk = [topk] if isinstance(topk, int) else topk
    if not isinstance(metrics, list) or not metrics:
        raise ConfigError(f"metrics must be a list of names, got {metrics!r}")
    if not isinstance(topk, list) or not topk or not all(_whole(k, 1) for k in topk):
        raise ConfigError(
            f"topk must be whole numbers of at least 1, got {config['topk']!r}"
        )
    for metric in metrics:
        if str(metric).lower() in set(metric_types) - RANKING:
            raise ConfigError(
                f"metrics: {metric} is not a measure of one target's rank; use "
                f"{', '.join(sorted(RANKING))}"
            )
    chosen = str(config["valid_metric"])
    name = chosen.partition("@")[0]
    named = [("metrics", metric, metric) for metric in metrics]
    for key, value, metric in [*named, ("valid_metric", chosen, name)]:
        if str(metric).lower() not in metric_types:
            near = did_you_mean(str(metric).lower(), metric_types)
            raise ConfigError(f"{key}: unknown metric {value!r}{near}")
    evaluated = [f"{metric}@{k}".lower() for metric in metrics for k in topk]
    if chosen.lower() not in evaluated:
        raise ConfigError(
            f"valid_metric {chosen!r} is not evaluated: metrics and topk give "
            f"{', '.join(evaluated)}{did_you_mean(chosen.lower(), evaluated)}"
        )
