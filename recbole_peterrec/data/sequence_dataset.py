"""The source: users' interaction sequences, kept once as integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils.enum_type import FeatureSource, FeatureType

from recbole_peterrec.data.atomic import (
    drop_gaps,
    path_of,
    reading,
    require_columns,
)
from recbole_peterrec.data.cache import cached_sequences, is_large
from recbole_peterrec.data.selection import RecBoleOnly, select
from recbole_peterrec.data.sequences import (
    Sequences,
    Targets,
    count_ids,
    held_out_users,
    leave_one_out,
)
from recbole_peterrec.data.source_columns import require_loaded, require_names
from recbole_peterrec.data.table import shown
from recbole_peterrec.data.times import tell_missing, tell_times
from recbole_peterrec.data.whole_source import WholeSource
from recbole_peterrec.data.windows import cut_windows
from recbole_peterrec.errors import ConfigError, DataError

END = "sequence_end"  # position after the last item of a row's slice of the flat array
TARGETS = "target_count"  # how many of a training window's last items are targets


class SequenceDataset(WholeSource, SequentialDataset):
    """RecBole's sequential dataset without its padded copy of every prefix.

    All interactions lie in flat arrays, sorted by user and time. A row is a slice of them, and is
    padded when it is read. Validation and test rows are RecBole's, training rows are windows
    (:mod:`recbole_peterrec.data.windows`). A dataset is one of three things:

    =======  ===========  ============================================
    it is    `sequences`  ``inter_feat``
    =======  ===========  ============================================
    loading  None         RecBole's table
    whole    set          no rows; they are made when they are read
    a split  set          the rows of the split (:meth:`build`)
    =======  ===========  ============================================

    A large file (``source_cache``) is not loaded by RecBole but converted once to arrays on disk
    (:mod:`recbole_peterrec.data.cache`), with the same ids and the same rows.

    Keys read: RecBole's, ``window_overlap``, ``recent_interactions``, ``source_cache`` and
    ``eval_args``. ``order: TO`` splits as RecBole does (``split: {LS: valid_and_test}`` is
    leave-one-out). ``order: RO`` with ``split: {RS: [a, b, c]}`` splits the users at random: whole
    sequences train, validate or test, and a held-out user is ranked on the last interaction.

    Attributes:
        pads_to_longest: whether rows are as long as the longest of those that are asked for, which
            is cheaper, or ``MAX_ITEM_LIST_LENGTH``: RecBole's own loaders join rows.
        sequences: all interactions; where RecBole loads, None until :meth:`build`.

    Raises:
        ConfigError: names of a row that are not apart, ``benchmark_filename``, or a ``load_col``
            without a column that is needed.
        DataError: file or column missing, or nothing left by the filters.
    """

    pads_to_longest = False

    def __init__(self, config) -> None:
        if config["benchmark_filename"] is not None:
            raise ConfigError(
                "benchmark_filename is not supported for windowed sequences"
            )
        fields = [
            config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")
        ]
        require_columns(
            config,
            "inter",
            fields,
            "source",
            tokens=fields[:2],
            times=fields[2:],
            intervals=config["val_interval"],
        )
        require_loaded(config, fields)
        require_names(config, {f"a row's own {name}": name for name in (END, TARGETS)})
        with reading("source", config):
            super().__init__(config)

    # --- loading

    def _from_scratch(self) -> None:
        """Map the converted file where it is large; else let RecBole load it."""
        self._get_preset()
        self._get_field_from_config()
        sequences = self._converted()
        if sequences is None:
            super()._from_scratch()
            return
        self.user_feat = self.item_feat = None
        self.feat_name_list = ["inter_feat"]
        for field, kind, source, tokens in (
            (self.uid_field, "token", "user_id", sequences.user_tokens),
            (self.iid_field, "token", "item_id", sequences.item_tokens),
            (self.time_field, "float", "inter", None),
        ):
            self.set_field_property(field, FeatureType(kind), FeatureSource(source), 1)
            if tokens is not None:
                self.field2id_token[field] = tokens
                ids = range(len(tokens))
                self.field2token_id[field] = dict(
                    zip(tokens.tolist(), ids, strict=True)
                )
        self._init_alias()
        self._use(sequences)

    def _converted(self) -> Sequences | None:
        """The mapped arrays of a file that is as large as ``source_cache`` says."""
        if not is_large(self.config):
            return None
        try:
            selection = select(self)
        except RecBoleOnly as reason:
            file = Path(path_of(self.config))
            self.logger.warning(
                f"source: {file} is loaded by RecBole, in memory, because of {reason}"
            )
            return None
        root = Path(self.config["checkpoint_dir"], "cache")
        with shown(self.config["show_progress"]):
            return cached_sequences(root, selection)

    def _filter_nan_user_or_item(self) -> None:
        drop_gaps(self)
        super()._filter_nan_user_or_item()

    def _drop_unused_col(self) -> None:
        """Nothing: rows have what a model reads and no more, whatever ``unused_col`` names."""

    def _fill_nan(self) -> None:
        missing = int(self.inter_feat[self.time_field].isnull().sum())
        tell_missing(missing, self.logger.warning)
        super()._fill_nan()

    def _change_feat_format(self) -> None:
        """RecBole's step before a split: from its tables to sequences, once."""
        if self.sequences is None:
            tell_times(self, self.logger.warning)
            super()._change_feat_format()

    def data_augmentation(self) -> None:
        """Take the sequences out of what RecBole has loaded, instead of copying prefixes."""
        self._check_field("uid_field", "time_field")
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        users = self.inter_feat[self.uid_field].numpy()
        sequences = Sequences(
            self.inter_feat[self.iid_field].to(torch.int32).numpy(),
            self.inter_feat[self.time_field].numpy(),
            np.searchsorted(users, np.arange(self.user_num + 1)),
            self.field2id_token[self.uid_field],
            self.field2id_token[self.iid_field],
        )
        self._use(sequences.recent(self.config["recent_interactions"]))

    def _use(self, sequences: Sequences) -> None:
        self.sequences = sequences
        self.item_list_field = self.iid_field + self.config["LIST_SUFFIX"]
        for field, kind, size in (
            (self.item_list_field, FeatureType.TOKEN_SEQ, self.max_item_list_len),
            (self.item_list_length_field, FeatureType.TOKEN, 1),
        ):
            self.set_field_property(field, kind, FeatureSource.INTERACTION, size)
        if sequences.lengths.max() < 2:
            raise DataError(
                f"source: no user of {self.dataset_name} has two interactions, so there is no "
                f"next item to learn from"
            )
        self.inter_feat = self._unsplit_rows()

    def _unsplit_rows(self) -> Interaction:
        """``inter_feat`` of the unsplit dataset: no rows, they are made when they are asked for."""
        return self._rows(np.zeros(0, dtype=np.int64))

    # --- splitting

    def build(self) -> list[SequenceDataset]:
        """Split into training windows, validation rows and test rows."""
        self._change_feat_format()
        order, split = (self.config["eval_args"][key] for key in ("order", "split"))
        if order == "RO":
            targets = self._held_out_users()
        elif split == {"LS": "valid_and_test"}:
            targets = leave_one_out(self.sequences)
        else:
            return self._split_by_recbole()
        first = self.sequences.start[targets.users] + 1
        windows = self._windows(targets.users, first, targets.stop)
        rows = [self._rows(ends) for ends in (targets.valid, targets.test)]
        return [self.copy(part) for part in (windows, *rows)]

    def read_in_training(self) -> np.ndarray:
        """``[N]`` booleans: of all interactions, those in this split's windows, as context or
        target."""
        end = self.inter_feat[END].numpy()
        begin = end - self.inter_feat[self.item_list_length_field].numpy()
        number = len(self.sequences)
        # Windows begun so far less windows ended: how many hold a position.
        edges = np.zeros(number + 1, np.int32)
        np.add.at(edges, begin, 1)
        np.subtract.at(edges, end, 1)
        return np.cumsum(edges, out=edges)[:number] > 0

    def training_counts(self) -> np.ndarray:
        """``[items]`` how many of the interactions of :meth:`read_in_training` are of each."""
        return count_ids(self.sequences.items[self.read_in_training()], self.item_num)

    def of_users(self, users: torch.Tensor) -> SequenceDataset:
        """Of this split, the rows of users with these ids."""
        kept = torch.isin(self.inter_feat[self.uid_field], users)
        return self.copy(self.inter_feat[kept])

    def _held_out_users(self) -> Targets:
        """Random users by ratio."""
        split = self.config["eval_args"]["split"]
        if list(split) != ["RS"] or len(split["RS"]) != 3:
            raise ConfigError(
                f"eval_args: order RO splits the users of the source and needs "
                f"split: {{RS: [train, valid, test]}}, got {split}"
            )
        users = np.flatnonzero(self.sequences.lengths > 1)
        users = np.random.default_rng(self.config["seed"]).permutation(users)
        shares = [share / sum(split["RS"]) for share in split["RS"]]  # as RecBole's
        cuts = self._calcu_split_ids(tot=len(users), ratios=shares)
        return held_out_users(self.sequences, *np.split(users, cuts))

    def _split_by_recbole(self) -> list[SequenceDataset]:
        """Any other split: RecBole's own, on a row for each of its prefixes."""
        self.inter_feat = self._rows(self.sequences.prefix_targets(slice(None)))
        train, valid, test = super().build()
        self.inter_feat = self._unsplit_rows()
        target = np.sort(train.inter_feat[END].numpy())
        users = self.sequences.users_at(target)
        breaks = (np.diff(target) != 1) | (np.diff(users) != 0)
        run = np.flatnonzero(np.append(True, breaks)[: len(target)])
        last = np.flatnonzero(np.append(breaks, True)[: len(target)])
        windows = self._windows(users[run], target[run], target[last] + 1)
        return [train.copy(windows), valid, test]

    def _rows(self, target: np.ndarray) -> Interaction:
        """RecBole's rows, each with its history, of targets at these positions."""
        users = self.sequences.users_at(target)
        history = target - self.sequences.start[users]
        rows = {
            self.uid_field: users,
            self.iid_field: self.sequences.items[target].astype(np.int64),
            self.time_field: self.sequences.times[target],
            END: target,
            self.item_list_length_field: np.minimum(history, self.max_item_list_len),
        }
        return Interaction({k: torch.from_numpy(v) for k, v in rows.items()})

    def _windows(
        self, users: np.ndarray, first: np.ndarray, stop: np.ndarray
    ) -> Interaction:
        """Windows of runs of targets, from `first` to before `stop`, each of one user."""
        begin = self.sequences.start[users]
        length = self.max_item_list_len
        windows = cut_windows(begin, first, stop, length, self._overlap())
        rows = {
            self.uid_field: self.sequences.users_at(windows.start),
            END: windows.stop,
            self.item_list_length_field: windows.stop - windows.start,
            TARGETS: windows.targets,
        }
        return Interaction({k: torch.from_numpy(v) for k, v in rows.items()})

    def _overlap(self) -> int:
        share = self.config["window_overlap"] or 0
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise ConfigError(
                f"window_overlap must be a share of MAX_ITEM_LIST_LENGTH, at least 0 and below 1, "
                f"got {share!r}"
            )
        return int(share * self.max_item_list_len)

    def __getitem__(self, index, join: bool = True) -> Interaction:
        """Rows with their items: ``[B, L]`` ids padded on the right."""
        if self.is_split:
            rows = Interaction(dict(self.inter_feat[index].interaction))
        else:
            row = index if isinstance(index, slice) else np.asarray(index)
            rows = self._rows(self.sequences.prefix_targets(row))
        end, length = rows.interaction.pop(END), rows[self.item_list_length_field]
        width = int(length.max())
        if not self.pads_to_longest:
            width = max(width, self.max_item_list_len)
        items = self.sequences.padded(end.numpy(), length.numpy(), width)
        rows.update(Interaction({self.item_list_field: torch.from_numpy(items)}))
        return self.join(rows) if join else rows
