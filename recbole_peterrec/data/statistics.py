"""What RecBole tells about a dataset, counted on arrays instead of on a row for each prefix."""

from __future__ import annotations

from collections import Counter

import numpy as np

from recbole_peterrec.data.sequences import Sequences


class SourceStatistics:
    """Put before a RecBole dataset whose interactions lie in ``sequences``.

    The whole dataset is told by its interactions, a split by its rows.

    Attributes:
        sequences: all interactions; None as long as RecBole's tables hold them.
        is_split: whether this is a split.
    """

    sequences: Sequences | None = None
    is_split = False

    def copy(self, new_inter_feat):
        """RecBole's: a split of this dataset."""
        part = super().copy(new_inter_feat)
        part.is_split = True
        return part

    @property
    def inter_num(self) -> int:
        """Number of interactions."""
        if self.is_split or self.sequences is None:
            return super().inter_num
        return len(self.sequences)

    def counter(self, field: str) -> Counter:
        """How often each user or item occurs, by id."""
        if self.is_split or self.sequences is None:
            return super().counter(field)
        counts = self.sequences.lengths
        if field == self.iid_field:
            counts = np.bincount(self.sequences.items)
        ids = np.flatnonzero(counts)
        return Counter(dict(zip(ids.tolist(), counts[ids].tolist(), strict=True)))

    @property
    def avg_actions_of_users(self) -> float:
        """Mean number of a user's interactions, of those who have any."""
        return np.mean(list(self.user_counter.values()))

    @property
    def avg_actions_of_items(self) -> float:
        """Mean number of an item's interactions, of those that have any."""
        return np.mean(list(self.item_counter.values()))
