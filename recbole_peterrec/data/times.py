"""What becomes of times in float32, RecBole's precision: told where it changes an order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

FEW = 0.01  # share of misplaced interactions that is not told


def count_misplaced(users: np.ndarray, times: np.ndarray) -> int:
    """Interactions that come after a later one of their user.

    Times that float32 makes equal keep the order of the file, whatever they were.

    Args:
        users: ``[N]`` ids, sorted.
        times: ``[N]`` times (float64), in the order of their float32.
    """
    latest = pd.Series(times).groupby(users, sort=False).cummax().to_numpy()
    return int(np.count_nonzero(times < latest))


def tell_times(
    dataset,
    tell: Callable[[str], None],
    where: str = "source",
    by_user: bool = True,
) -> None:
    """Tell what is misplaced in a dataset of RecBole's that is still a table.

    Args:
        dataset: whose times are in its ``inter_feat``.
        tell: takes a line.
        where: whose it is, for the line.
        by_user: whether each user's interactions have an order of their own, or all have one.
    """
    columns = (dataset.inter_feat[f] for f in (dataset.uid_field, dataset.time_field))
    users, times = (column.to_numpy() for column in columns)
    if not by_user:
        users = np.zeros_like(users)
    with np.errstate(over="ignore"):
        order = np.lexsort((times.astype(np.float32), users))
    misplaced = count_misplaced(users[order], times[order])
    tell_misplaced(misplaced, len(order), tell, where, by_user)


def tell_missing(
    missing: int, tell: Callable[[str], None], where: str = "source"
) -> None:
    """Tell of interactions without a time."""
    if missing:
        tell(
            f"{where}: {missing} interactions without a time count as at the mean of all times"
        )


def tell_misplaced(
    misplaced: int,
    interactions: int,
    tell: Callable[[str], None],
    where: str = "source",
    by_user: bool = True,
) -> None:
    """Tell of misplaced interactions, if they are many."""
    if misplaced > FEW * interactions:
        later = "a later one of their user" if by_user else "a later one"
        tell(
            f"{where}: {misplaced} of {interactions} interactions come after {later}, since "
            f"float32 (RecBole's) does not tell their times apart; set normalize_all: True, or "
            f"sort the file by time"
        )
