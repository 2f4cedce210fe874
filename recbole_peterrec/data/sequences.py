"""Users' interaction sequences as flat arrays, in memory or mapped from a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AT_ONCE = 2**20  # interactions that are looked through together


@dataclass(frozen=True)
class Sequences:
    """All interactions, sorted by user and time, without a copy of any.

    Attributes:
        items: ``[N]`` item ids (int32).
        times: ``[N]`` times (float32, RecBole's precision).
        start: ``[users + 1]`` position of each user's first interaction, and N (int64); user 0 is
            padding and has none.
        user_tokens: ``[users]`` tokens by id, that of padding included.
        item_tokens: ``[items]`` the same.
    """

    items: np.ndarray
    times: np.ndarray
    start: np.ndarray
    user_tokens: np.ndarray
    item_tokens: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    @property
    def lengths(self) -> np.ndarray:
        """``[users]`` interactions of each user."""
        return np.diff(self.start)

    def users_at(self, position: np.ndarray) -> np.ndarray:
        """The user whose interaction is at each position."""
        return np.searchsorted(self.start, position, side="right") - 1

    def prefix_targets(self, row: np.ndarray | slice) -> np.ndarray:
        """Positions of the targets of RecBole's rows, one for each prefix, by their numbers."""
        rows = np.maximum(self.lengths - 1, 0).cumsum()
        if isinstance(row, slice):
            row = np.arange(*row.indices(rows[-1]))
        users = np.searchsorted(rows, row, side="right")
        return self.start[users + 1] - (rows[users] - row)

    def among_recent(self, most: int) -> np.ndarray:
        """``[N]`` booleans: of all interactions, each user's most recent, at most so many."""
        first = self.start[1:] - np.minimum(self.lengths, most)
        # Stretches begun so far less those ended, one byte each: at most one is open, and sums of
        # those that share an end wrap and wrap back.
        edges = np.zeros(len(self) + 1, np.int8)
        np.add.at(edges, first, 1)
        np.subtract.at(edges, self.start[1:], 1)
        return np.cumsum(edges[:-1], dtype=np.int8).view(bool)

    def contain(
        self, users: np.ndarray, items: np.ndarray, most: int | None = None
    ) -> np.ndarray:
        """Whether each user's sequence has an item.

        Args:
            users: ``[R]`` user ids.
            items: ``[R]`` item ids.
            most: of the most recent interactions that count; None counts all.

        Returns:
            ``[R]`` booleans.
        """
        width = len(self.item_tokens)
        asked, rows = np.unique(users * width + items, return_inverse=True)
        found = np.zeros(len(asked), dtype=bool)
        for begin in range(0, len(self) if len(asked) else 0, AT_ONCE):
            position = np.arange(begin, min(begin + AT_ONCE, len(self)))
            of_user = self.users_at(position)
            if most is not None:
                recent = position >= self.start[of_user + 1] - most
                position, of_user = position[recent], of_user[recent]
            pairs = of_user * width + self.items[position]
            place = np.searchsorted(asked, pairs).clip(max=len(asked) - 1)
            found[place[asked[place] == pairs]] = True
        return found[rows]

    def padded(self, end: np.ndarray, length: np.ndarray, width: int) -> np.ndarray:
        """Slices as rows.

        Args:
            end: ``[B]`` position after each slice's last interaction.
            length: ``[B]`` interactions of each.
            width: ``L``, at least the longest.

        Returns:
            ``[B, L]`` item ids (int64), zeros to the right.
        """
        column = np.arange(width)
        position = (end - length)[:, None] + column
        items = self.items[np.minimum(position, len(self) - 1)]
        return np.where(column < length[:, None], items, 0).astype(np.int64)

    def recent(self, most: int | None) -> Sequences:
        """Only each user's most recent interactions; None keeps all."""
        if most is None or self.lengths.max() <= most:
            return self
        kept = self.among_recent(most)
        start = np.concatenate([[0], np.minimum(self.lengths, most).cumsum()])
        return Sequences(
            self.items[kept],
            self.times[kept],
            start,
            self.user_tokens,
            self.item_tokens,
        )


@dataclass(frozen=True)
class Targets:
    """Which interactions are predicted in which split.

    Attributes:
        users: ``[R]`` users that are trained on, in the order of ids.
        stop: ``[R]`` position after each one's last target of training; the first is the
            sequence's second interaction.
        valid: ``[V]`` position of each validation row's target, in the order of the rows.
        test: ``[T]`` the same of the test rows.
    """

    users: np.ndarray
    stop: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def leave_one_out(sequences: Sequences) -> Targets:
    """RecBole's ``order: TO, split: {LS: valid_and_test}``, without its row for each prefix.

    A user's last interaction is tested and the one before it validated, as long as one target
    stays to train on. Rows are in the order in which RecBole meets the users when it sorts its
    prefixes by time: that of each user's second interaction.
    """
    users = np.flatnonzero(sequences.lengths > 1)
    begin, stop = sequences.start[users], sequences.start[users + 1]
    held_out = np.minimum(stop - begin - 2, 2)
    met = np.argsort(sequences.times[begin + 1], kind="stable")
    last, number = stop[met] - 1, held_out[met]
    return Targets(users, stop - held_out, last[number == 2] - 1, last[number > 0])


def held_out_users(
    sequences: Sequences, train: np.ndarray, valid: np.ndarray, test: np.ndarray
) -> Targets:
    """Whole users in each split; those held out are ranked on their last interaction.

    Args:
        sequences: of all users.
        train, valid, test: users of each split, each with two interactions at least.
    """
    train = np.sort(train)
    last = [sequences.start[np.sort(users) + 1] - 1 for users in (valid, test)]
    return Targets(train, sequences.start[train + 1], *last)


def count_ids(ids: np.ndarray, size: int) -> np.ndarray:
    """``[size]`` how often each id occurs, all below `size`: ``np.bincount`` in blocks, of which it
    makes copies as int64."""
    total = np.zeros(size, dtype=np.int64)
    for first in range(0, len(ids), AT_ONCE):
        total += np.bincount(ids[first : first + AT_ONCE], minlength=size)
    return total
