"""What becomes of a source's times in float32, RecBole's precision: said where it changes an order."""

from __future__ import annotations

import logging

import numpy as np

TOLD = 0.01  # share of the interactions above which blurred times are told


def count_blurred(users: np.ndarray, times: np.ndarray) -> int:
    """Interactions whose time is later than the one before, of the same user, and not in float32.

    Such interactions keep the order of the file, since sorting sees equal times.

    Args:
        users: ``[N]`` ids, in any order.
        times: ``[N]`` times (float64).
    """
    with np.errstate(over="ignore"):
        rounded = times.astype(np.float32)
    if (rounded == times).all():  # numbers that float32 has: nothing to sort
        return 0
    order = np.lexsort((times, users))
    users, times, rounded = users[order], times[order], rounded[order]
    later = (users[1:] == users[:-1]) & (times[1:] > times[:-1])
    return int(np.count_nonzero(later & (rounded[1:] == rounded[:-1])))


def tell_missing(missing: int) -> None:
    """Warn of interactions without a time."""
    if missing:
        logging.getLogger().warning(
            f"source: {missing} interactions without a time count as at the mean of all times"
        )


def tell_blurred(blurred: int, interactions: int) -> None:
    """Warn of blurred times, if they are many."""
    if blurred > TOLD * interactions:
        logging.getLogger().warning(
            f"source: {blurred} of {interactions} interactions are later than the user's one "
            f"before by less than float32 (RecBole's) tells: these keep the order of the file; "
            f"set normalize_all: True, or sort the file by time"
        )
