"""Classes that are made of numbers."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

from recbole_peterrec.errors import ConfigError


def require_bins(bins: Any, where: str) -> None:
    """Refuse what are no cut points.

    Args:
        bins: of a task.
        where: whose they are, for the message.

    Raises:
        ConfigError: they are not a list of increasing finite numbers.
    """
    numeric = isinstance(bins, list) and all(
        isinstance(cut, (int, float))
        and not isinstance(cut, bool)
        and abs(cut) <= sys.float_info.max
        for cut in bins
    )
    if not numeric or not bins or sorted(set(bins)) != bins:
        raise ConfigError(f"{where}: bins must be increasing numbers, got {bins!r}")


def bracket_names(bins: Sequence[float]) -> list[str]:
    """Names of the brackets that cut points make: ``[20, 30]`` gives ``<20``, ``20-30``, ``30+``.

    A bracket holds its lower cut point and not its upper one.
    """
    cuts = [shortest(cut) for cut in bins]
    inner = [f"{low}-{high}" for low, high in itertools.pairwise(cuts)]
    return [f"<{cuts[0]}", *inner, f"{cuts[-1]}+"]


def shortest(value: float) -> str:
    """A number's shortest exact text; whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
