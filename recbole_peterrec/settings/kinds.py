"""Kinds of values that a config may hold."""

from __future__ import annotations

import math
import os
import re
import sys
from typing import Any

from recbole_peterrec.settings.device import gpu_numbers

NEGATIVES = ("distribution", "sample_num", "alpha", "dynamic", "candidate_num")
STEEPEST = 10  # power of popularity, of whose values float64 has room for any
CLIPPING = ("max_norm", "norm_type", "error_if_nonfinite", "foreach")


def number(value: Any, low: float, high: float = float("inf")) -> bool:
    """Whether a value is a finite number in a range; True and False are none."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max and low <= value <= high


def whole(value: Any, low: int) -> bool:
    """Whether a value is a whole number of at least `low`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def is_seed(value: Any) -> bool:
    """Whether a value can start a random generator of NumPy's and torch's."""
    return whole(value, 0) and value < 2**31


def are_seeds(value: Any) -> bool:
    """Whether a value is a list of different seeds."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(map(is_seed, value))
        and len(set(value)) == len(value)
    )


def is_probability(value: Any) -> bool:
    """Whether a value is a number of at least 0 and below 1."""
    return number(value, 0) and value < 1


def is_share(value: Any) -> bool:
    """Whether a value is a number between 0 and 1, neither of them."""
    return number(value, 0) and 0 < value < 1


def are_negatives(value: Any) -> bool:
    """Whether a value is RecBole's description of negatives, none of them excepted."""
    if not isinstance(value, dict) or not set(NEGATIVES).issuperset(value):
        return False
    if value.get("distribution", "uniform") in (None, "none", "None"):
        return True
    alpha = value.get("alpha", 1)  # RecBole's power of the popularity
    if value.get("dynamic") and not whole(value.get("candidate_num"), 1):
        return False
    return whole(value.get("sample_num", 1), 1) and number(alpha, -STEEPEST, STEEPEST)


def are_names(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def are_columns(value: Any) -> bool:
    """Whether a value is RecBole's ``load_col``, with columns of the interactions; ``"*"`` is all."""
    return (
        isinstance(value, dict)
        and bool(value.get("inter"))
        and all(columns == "*" or are_names(columns) for columns in value.values())
    )


def is_clipping(value: Any) -> bool:
    """Whether a value is a mapping that ``torch.nn.utils.clip_grad_norm_`` takes."""
    return (
        isinstance(value, dict)
        and set(CLIPPING).issuperset(value)
        and (value.get("max_norm") == math.inf or number(value.get("max_norm"), 0))
        and value["max_norm"] > 0
        and (
            value.get("norm_type") in ("inf", math.inf)
            or number(value.get("norm_type", 2), 0)
        )
    )


def is_path(value: Any) -> bool:
    """Whether a value can name a file at all."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def is_separator(value: Any) -> bool:
    """Whether a value can stand between columns: RecBole splits the first line at it as it is,
    and, if it has several characters, pandas other lines at it as a regular expression."""
    if not isinstance(value, str) or not value:
        return False
    try:
        return len(value) == 1 or bool(re.fullmatch(value, value))
    except re.error:
        return False


def are_gpus(value: Any) -> bool:
    """Whether a value names GPUs by their numbers, or none."""
    try:
        gpu_numbers(value)
    except ValueError:
        return False
    return True
