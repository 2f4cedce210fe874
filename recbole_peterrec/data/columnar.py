"""Reading a source of any size: RecBole's loading, streamed into compact arrays.

RecBole holds every cell of a file as a Python object; at 147 million rows that is more than a
machine has. Here pandas, whose reading of tokens, quotes and missing values is RecBole's, reads a
piece at a time, and what stays of a row are two int32 ids and a float64 time. The filters are
RecBole's, in RecBole's order, so that ids, order and rows come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from recbole_peterrec.data.atomic import tell_gaps
from recbole_peterrec.data.numeric import Undecided
from recbole_peterrec.data.selection import Interval, Selection
from recbole_peterrec.data.sequences import Sequences, count_ids
from recbole_peterrec.data.table import read_numbers
from recbole_peterrec.data.times import count_misplaced, tell_misplaced, tell_missing
from recbole_peterrec.errors import DataError

BLOCK = 2**22  # rows of an array handled at once


def read_sequences(selection: Selection, tell: Callable[[str], None]) -> Sequences:
    """The sequences that RecBole's loading, and then sorting by user and time, would give.

    Takes about 30 bytes a row at most.

    Args:
        selection: of a file.
        tell: takes a line on rows that are left out, or not where they should be.

    Raises:
        DataError: nothing is left, the file changes while it is read, or holds what RecBole reads
            in a way of its own.
        ValueError: pandas cannot read the file.
    """
    rows, user_tokens, item_tokens = _read(selection, tell)
    if selection.duplicates is not None:
        rows.drop_duplicates(selection.duplicates)
    rows.keep(rows.valid)
    rows.keep_by_count(selection.user_counts, selection.item_counts)
    if not len(rows.users):
        raise DataError(
            f"source: {selection.path}: no interaction is left; check the file, val_interval, "
            f"user_inter_num_interval and item_inter_num_interval"
        )
    rows.users, users = _renumbered(rows.users, user_tokens)
    rows.items, items = _renumbered(rows.items, item_tokens)
    missing = np.isnan(rows.times)
    if missing.any():  # RecBole's imputation
        tell_missing(np.count_nonzero(missing), tell)
        rows.times[missing] = pd.Series(rows.times).mean()
    if selection.normalized:
        low, high = rows.times.min(), rows.times.max()
        rows.times -= low
        rows.times = rows.times / (high - low) if high > low else rows.times + 1
    return rows.sequences(users, items, tell).recent(selection.recent)


@dataclass
class _Rows:
    """Interactions in the order of the file: ids, times, and whether values are in range."""

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    valid: np.ndarray

    def keep(self, rows: np.ndarray) -> None:
        """Leave these rows, given by a mask or by their positions, in this order."""
        if rows.dtype == bool and rows.all():
            return
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[rows])

    def drop_duplicates(self, kept: str | bool) -> None:
        """RecBole's ``rm_dup_inter``: sorted by time, one interaction of a user and an item."""
        table = pd.DataFrame({"time": self.times})  # pandas' order of equal times
        self.keep(table.sort_values(by=["time"]).index.to_numpy())
        width = int(self.items.max(initial=0)) + 1
        pair = self.users.astype(np.int64) * width + self.items
        self.keep(~pd.Series(pair).duplicated(keep=kept).to_numpy())

    def keep_by_count(
        self,
        user_counts: tuple[Interval, ...] | None,
        item_counts: tuple[Interval, ...] | None,
    ) -> None:
        """Drop users and items with too few or too many rows, until none is left that has."""
        while True:
            outside = _outside(self.users, user_counts) | _outside(
                self.items, item_counts
            )
            if not outside.any():
                return
            self.keep(~outside)

    def sequences(
        self,
        user_tokens: np.ndarray,
        item_tokens: np.ndarray,
        tell: Callable[[str], None],
    ) -> Sequences:
        """Sorted by user and time; equal times stay in the order of the file."""
        if np.any(self.users[1:] < self.users[:-1]):
            self.keep(np.argsort(self.users, kind="stable"))
        start = np.concatenate([[0], count_ids(self.users, len(user_tokens)).cumsum()])
        with np.errstate(over="ignore"):
            times = self.times.astype(np.float32)
        misplaced = 0
        for first, stop in _whole_users(start):
            users, time = self.users[first:stop], times[first:stop]
            exact = self.times[first:stop]
            sorted_ = (time[1:] >= time[:-1]) | (users[1:] > users[:-1])
            if not sorted_.all():  # also where a time is not a number
                order = np.lexsort((time, users))
                times[first:stop] = time[order]
                self.items[first:stop] = self.items[first:stop][order]
                exact = exact[order]
            misplaced += count_misplaced(users, exact)
        tell_misplaced(misplaced, len(times), tell)
        return Sequences(self.items, times, start, user_tokens, item_tokens)


class _Ids(dict):
    """Ids of tokens in the order in which they are asked for."""

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self)
        return number

    def of(self, column: pd.Series) -> np.ndarray:
        """``[rows]`` ids (int32), -1 where there is no token."""
        place, tokens = pd.factorize(column.to_numpy())
        ids = np.fromiter(map(self.__getitem__, tokens), np.int32, len(tokens))
        return np.append(ids, np.int32(-1))[place]


def _read(
    selection: Selection, tell: Callable[[str], None]
) -> tuple[_Rows, list[str], list[str]]:
    """All rows with a user and an item, with ids by first appearance, and the tokens by id."""
    try:
        return _read_once(selection, tell, exact=False)
    except Undecided:
        pass  # outside of this, nothing holds what was read
    return _read_once(selection, tell, exact=True)


def _read_once(
    selection: Selection, tell: Callable[[str], None], exact: bool
) -> tuple[_Rows, list[str], list[str]]:
    """As of :func:`_read`; `exact` as of :func:`read_numbers`."""
    users, items = _Ids(), _Ids()
    pieces = []
    without_user = without_item = 0
    for table in _tables(selection, exact):
        user = users.of(table[selection.user])
        item = items.of(table[selection.item])
        without_user += np.count_nonzero(user < 0)
        without_item += np.count_nonzero((user >= 0) & (item < 0))
        valid = np.ones(len(table), dtype=bool)
        for column, kept in selection.values:
            valid &= _in_range(table[column], kept)
        rows = _Rows(user, item, table[selection.time].to_numpy(), valid)
        rows.keep((user >= 0) & (item >= 0))
        pieces.append(rows)
    tell_gaps(selection.path, without_user, without_item, tell)
    columns = {}
    for field in fields(_Rows):
        columns[field.name] = np.concatenate([getattr(p, field.name) for p in pieces])
        for piece in pieces:  # what is joined need not be held twice
            delattr(piece, field.name)
    return _Rows(**columns), list(users), list(items)


def _tables(selection: Selection, exact: bool) -> Iterator[pd.DataFrame]:
    """The file's needed columns, as of :func:`read_numbers`."""
    filtered = [column for column, _ in selection.values]
    return read_numbers(
        selection.path,
        [selection.user, selection.item, selection.time, *filtered],
        selection.separator,
        selection.encoding,
        "source",
        exact,
    )


def _in_range(column: pd.Series, kept: tuple) -> np.ndarray:
    """``[rows]`` whether values are in one of the intervals, or tokens among those kept."""
    if column.dtype != np.float64:
        return column.isin(kept).to_numpy()
    return _within(column.to_numpy(), kept)


def _within(values: np.ndarray, intervals: tuple[Interval, ...]) -> np.ndarray:
    inside = np.zeros(len(values), dtype=bool)
    for left, low, high, right in intervals:
        above = values >= low if left == "[" else values > low
        inside |= above & (values <= high if right == "]" else values < high)
    return inside


def _outside(ids: np.ndarray, intervals: tuple[Interval, ...] | None) -> np.ndarray:
    """``[rows]`` whether an id occurs in too few or too many of the rows."""
    if intervals is None or not len(ids):
        return np.zeros(len(ids), dtype=bool)
    return ~_within(count_ids(ids, ids.max() + 1), intervals)[ids]


def _renumbered(ids: np.ndarray, tokens: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """RecBole's ids, 1 and up by first appearance among the rows kept, and their tokens."""
    order = pd.unique(ids)
    new = np.zeros(len(tokens), dtype=np.int32)
    new[order] = np.arange(1, len(order) + 1)
    return new[ids], np.array(["[PAD]", *(tokens[old] for old in order)])


def _whole_users(start: np.ndarray) -> Iterator[tuple[int, int]]:
    """Stretches of about a block that cut no user in two."""
    first = 0
    while first < start[-1]:
        place = np.searchsorted(start, first + BLOCK)
        stop = int(start[min(place, len(start) - 1)])
        yield first, stop
        first = stop
