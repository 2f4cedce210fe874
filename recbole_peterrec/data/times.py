"""What becomes of a source's times in float32, RecBole's precision: told where it changes an order."""

from __future__ import annotations

import logging

import numpy as np

FEW = 0.01  # share of misplaced interactions that is not told


def count_misplaced(users: np.ndarray, times: np.ndarray) -> int:
    """Interactions that come after a later one of the same user.

    Times that float32 makes equal keep the order of the file, whatever they were.

    Args:
        users: ``[N]`` ids, sorted.
        times: ``[N]`` times (float64), in the order of their float32.
    """
    return int(np.count_nonzero((users[1:] == users[:-1]) & (times[1:] < times[:-1])))


def tell_missing(missing: int) -> None:
    """Warn of interactions without a time."""
    if missing:
        logging.getLogger().warning(
            f"source: {missing} interactions without a time count as at the mean of all times"
        )


def tell_misplaced(misplaced: int, interactions: int) -> None:
    """Warn of misplaced interactions, if they are many."""
    if misplaced > FEW * interactions:
        logging.getLogger().warning(
            f"source: {misplaced} of {interactions} interactions come after a later one of their "
            f"user, since float32 (RecBole's) does not tell their times apart; set normalize_all: "
            f"True, or sort the file by time"
        )
