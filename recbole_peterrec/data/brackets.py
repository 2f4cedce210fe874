"""Classes that are made of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def bracket_names(bins: Sequence[float]) -> list[str]:
    """Names of the brackets that cut points make: ``[20, 30]`` gives ``<20``, ``20-30``, ``30+``.

    A bracket holds its lower cut point and not its upper one.
    """
    cuts = [shortest(cut) for cut in bins]
    inner = [f"{low}-{high}" for low, high in itertools.pairwise(cuts)]
    return [f"<{cuts[0]}", *inner, f"{cuts[-1]}+"]


def shortest(number: float) -> str:
    """A number's shortest exact text; whole ones without a point."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
