"""What a source tells of all its interactions, whatever split their rows are in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from recbole_peterrec.data.sequences import Sequences, count_ids


class WholeSource:
    """Put before a RecBole dataset whose interactions lie in ``sequences``.

    RecBole's numbers of a dataset are told by interactions, those of a split by its rows.

    Attributes:
        sequences: all interactions; None as long as RecBole's tables hold them.
        is_split: whether this is a split.
    """

    sequences: Sequences | None = None
    is_split = False

    def histories(
        self, users: torch.Tensor, max_length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The most recent interactions of users.

        Args:
            users: ``[B]`` ids of this dataset.
            max_length: longest history returned.

        Returns:
            ``[B, L]`` ids padded on the right, and ``[B]`` lengths.
        """
        begin, end = (self.sequences.start[users.numpy() + i] for i in (0, 1))
        length = np.minimum(end - begin, max_length)
        items = self.sequences.padded(end, length, int(length.max()))
        return torch.from_numpy(items), torch.from_numpy(length)

    def users_with_sequence(self) -> list[str]:
        """Tokens of the users that have at least one interaction."""
        tokens = self.field2id_token[self.uid_field]
        return tokens[np.flatnonzero(self.sequences.lengths)].tolist()

    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        """User and item of every interaction, whatever split its row is in, ``[N]`` each."""
        users = np.arange(self.user_num, dtype=np.int32)
        return np.repeat(users, self.sequences.lengths), self.sequences.items

    def copy(self, new_inter_feat):
        """RecBole's: a split of this dataset."""
        part = super().copy(new_inter_feat)
        part.is_split = True
        return part

    def __len__(self) -> int:
        """Rows: those of a split, or RecBole's, one for each prefix."""
        if self._has_rows:
            return super().__len__()
        return int(np.maximum(self.sequences.lengths - 1, 0).sum())

    @property
    def _has_rows(self) -> bool:
        """Whether ``inter_feat`` holds its interactions: of a split, or as RecBole loads them."""
        return self.is_split or self.sequences is None

    @property
    def inter_num(self) -> int:
        """Number of interactions."""
        if self._has_rows:
            return super().inter_num
        return len(self.sequences)

    def counter(self, field: str) -> Counter:
        """How often each user or item occurs, by id."""
        if self._has_rows:
            return super().counter(field)
        counts = self.sequences.lengths
        if field == self.iid_field:
            counts = count_ids(self.sequences.items, self.item_num)
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
