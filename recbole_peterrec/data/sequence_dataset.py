"""The source: users' interaction sequences, kept once as integers."""

from __future__ import annotations

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils.enum_type import FeatureSource, FeatureType

from recbole_peterrec.data.atomic import reading, require_columns
from recbole_peterrec.data.windows import cut_windows
from recbole_peterrec.errors import ConfigError, DataError

END = "sequence_end"  # position after the last item of a row's slice of the flat array
TARGETS = "target_count"  # how many of a training window's last items are targets


class SequenceDataset(SequentialDataset):
    """RecBole's sequential dataset without its padded copy of every prefix.

    All interactions lie in one flat array, sorted by user and time. A row is a slice of it, and is
    padded when it is read. RecBole's own splits run on rows that stand for its prefixes, so
    validation and test rows are RecBole's; the training rows then become windows
    (:mod:`recbole_peterrec.data.windows`).

    Keys read: RecBole's, ``window_overlap``, ``recent_interactions`` and ``eval_args``. ``order: TO`` splits as RecBole
    does (``split: {LS: valid_and_test}`` is leave-one-out). ``order: RO`` with
    ``split: {RS: [a, b, c]}`` splits the users at random: whole sequences train, validate or test,
    and a held-out user is ranked on the last interaction.
    """

    def __init__(self, config) -> None:
        if config["benchmark_filename"] is not None:
            raise ConfigError(
                "benchmark_filename is not supported for windowed sequences"
            )
        require_columns(
            config["data_path"],
            config["dataset"],
            "inter",
            [config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")],
            config["field_separator"],
            "source",
            config["encoding"],
        )
        with reading("source", config):
            super().__init__(config)

    def data_augmentation(self) -> None:
        """Sort by user and time and index RecBole's prefix rows, without copying them."""
        self._check_field("uid_field", "time_field")
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        self._keep_recent()
        users = self.inter_feat[self.uid_field].numpy()
        self.flat_items = self.inter_feat[self.iid_field].to(torch.int32)
        self.sequence_start = np.searchsorted(users, np.arange(self.user_num + 1))

        self.item_list_field = self.iid_field + self.config["LIST_SUFFIX"]
        for field, kind, size in (
            (self.item_list_field, FeatureType.TOKEN_SEQ, self.max_item_list_len),
            (self.item_list_length_field, FeatureType.TOKEN, 1),
        ):
            self.set_field_property(field, kind, FeatureSource.INTERACTION, size)

        end = np.flatnonzero(
            np.diff(users, prepend=users[0] - 1) == 0
        )  # targets with a history
        if not len(end):
            raise DataError(
                f"source: no user of {self.dataset_name} has two interactions, so there is no "
                f"next item to learn from"
            )
        history = np.minimum(
            end - self.sequence_start[users[end]], self.max_item_list_len
        )
        self.inter_feat = Interaction(
            {
                self.uid_field: torch.from_numpy(users[end]),
                self.iid_field: self.inter_feat[self.iid_field][end],
                self.time_field: self.inter_feat[self.time_field][end],
                END: torch.from_numpy(end),
                self.item_list_length_field: torch.from_numpy(history),
            }
        )

    def _keep_recent(self) -> None:
        """Leave only each user's most recent interactions, where the config says so."""
        most = self.config["recent_interactions"]
        if most is None:
            return
        users = self.inter_feat[self.uid_field].numpy()
        stop = np.searchsorted(users, users, side="right")
        self.inter_feat = self.inter_feat[
            np.flatnonzero(stop - np.arange(len(users)) <= most)
        ]

    def build(self) -> list[SequenceDataset]:
        """Split into training windows, validation rows and test rows."""
        if self.config["eval_args"]["order"] == "RO":
            self._change_feat_format()
            train, valid, test = self._split_users()
        else:
            train, valid, test = super().build()
        return [train._windows(), valid, test]

    def _split_users(self) -> list[SequenceDataset]:
        """Random users by ratio; the held-out ones keep their last row only."""
        split = self.config["eval_args"]["split"]
        if list(split) != ["RS"] or len(split["RS"]) != 3:
            raise ConfigError(
                f"eval_args: order RO splits the users of the source and needs "
                f"split: {{RS: [train, valid, test]}}, got {split}"
            )
        users = self.inter_feat[self.uid_field].numpy()
        names = np.random.default_rng(self.config["seed"]).permutation(np.unique(users))
        cuts = self._calcu_split_ids(tot=len(names), ratios=split["RS"])
        last_row = np.append(users[1:] != users[:-1], True)
        parts = []
        for part, group in enumerate(np.split(names, cuts)):
            chosen = np.isin(users, group) & (last_row | (part == 0))
            parts.append(self.copy(self.inter_feat[np.flatnonzero(chosen)]))
        return parts

    def _windows(self) -> SequenceDataset:
        """The same targets as this dataset's prefix rows, as windows."""
        order = np.argsort(self.inter_feat[END].numpy(), kind="stable")
        target = self.inter_feat[END].numpy()[order]
        users = self.inter_feat[self.uid_field].numpy()[order]
        breaks = np.flatnonzero((np.diff(target) != 1) | (np.diff(users) != 0)) + 1
        run = np.concatenate([[0], breaks]) if len(target) else np.zeros(0, dtype=int)
        run_stop = np.append(breaks, len(target))[: len(run)]
        windows = cut_windows(
            self.sequence_start[users[run]],
            target[run],
            target[run_stop - 1] + 1,
            self.max_item_list_len,
            self._overlap(),
        )
        owner = np.searchsorted(self.sequence_start, windows.start, side="right") - 1
        rows = {
            self.uid_field: owner,
            END: windows.stop,
            self.item_list_length_field: windows.stop - windows.start,
            TARGETS: windows.targets,
        }
        return self.copy(Interaction({k: torch.from_numpy(v) for k, v in rows.items()}))

    def _overlap(self) -> int:
        share = self.config["window_overlap"] or 0
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise ConfigError(
                f"window_overlap must be a share of MAX_ITEM_LIST_LENGTH, at least 0 and below 1, "
                f"got {share!r}"
            )
        return int(share * self.max_item_list_len)

    def __getitem__(self, index, join: bool = True) -> Interaction:
        """Rows with their items: ``[B, L]`` ids padded on the right to the longest row."""
        rows = Interaction(dict(self.inter_feat[index].interaction))
        end, length = rows.interaction.pop(END), rows[self.item_list_length_field]
        rows.update(Interaction({self.item_list_field: self._slices(end, length)}))
        return self.join(rows) if join else rows

    def _slices(self, end: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        column = torch.arange(int(length.max()))
        position = (end - length).unsqueeze(-1) + column
        inside = column < length.unsqueeze(-1)
        items = self.flat_items[position.clamp(max=len(self.flat_items) - 1)]
        return torch.where(inside, items, 0).long()

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
        start = torch.from_numpy(self.sequence_start)
        end = start[users + 1]
        length = (end - start[users]).clamp(max=max_length)
        return self._slices(end, length), length

    def users_with_sequence(self) -> list[str]:
        """Tokens of the users that have at least one interaction."""
        tokens = self.field2id_token[self.uid_field]
        return [
            str(tokens[user]) for user in np.flatnonzero(np.diff(self.sequence_start))
        ]

    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        """User and item of every interaction, whatever split its row is in, ``[N]`` each."""
        users = np.repeat(np.arange(self.user_num), np.diff(self.sequence_start))
        return users, self.flat_items.numpy()
