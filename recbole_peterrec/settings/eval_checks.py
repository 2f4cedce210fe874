"""How a config splits, ranks and measures, checked before anything is read or trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recbole.evaluator import metric_types

from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.evaluation.collector import require_ranking
from recbole_peterrec.settings.kinds import number, whole

EVAL_ARGS = ("split", "order", "group_by", "mode")
LARGEST_TOPK = 1_000_000  # RecBole's evaluator makes a matrix of as many columns
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
    if isinstance(mode, dict) and not {"valid", "test"}.issuperset(mode):
        raise ConfigError(
            f"eval_args: mode is one for both, or {{valid: ..., test: ...}}, got {mode!r}"
        )
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
        and all(number(share, 0) for share in shares)
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
    usable = isinstance(topk, list) and topk
    if not usable or not all(whole(k, 1) and k <= LARGEST_TOPK for k in topk):
        raise ConfigError(
            f"topk must be whole numbers from 1 to {LARGEST_TOPK}, got {config['topk']!r}"
        )
    require_ranking(metrics)
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
