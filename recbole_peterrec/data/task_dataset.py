"""A downstream task: instances (u, y), each with the user's source sequence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils.enum_type import FeatureSource, FeatureType

from recbole_peterrec.data.atomic import (
    drop_gaps,
    read_header,
    reading,
    require_columns,
)
from recbole_peterrec.data.brackets import bracket_names, require_bins, shortest
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.table import read_table
from recbole_peterrec.data.times import tell_missing, tell_times
from recbole_peterrec.data.train_share import learned_rows
from recbole_peterrec.errors import ConfigError, DataError

PROFILE = "profile"
RECOMMENDATION = "recommendation"
KINDS = (PROFILE, RECOMMENDATION)
# Classes of a column of numbers that nobody may have meant as classes.
MANY_NUMBERS = 20


class TaskDataset(Dataset):
    """A RecBole dataset whose "items" are the task's labels.

    For a recommendation task they are the items of a target ``.inter``, with a vocabulary of
    their own; for a profile task the values of a column of ``.user``, or its brackets where
    ``bins`` cut a number. Splitting and filtering are RecBole's. Users are matched to the source
    by token; those without a source sequence are counted in :attr:`unmatched_users` and left out.

    Args:
        config: the task's config: RecBole's keys, ``task`` (its name), ``kind``, ``bins``. For a
            profile task ``ITEM_ID_FIELD`` names the column.
        source: the sequences.

    Attributes:
        with_histories: whether rows come with their users' sequences.

    Raises:
        DataError: file or column missing, one value only, no instance or no matched user left.
        ConfigError: ``bins`` that are not increasing numbers.
    """

    def __init__(self, config, source: SequenceDataset) -> None:
        self.source = source
        self.where = f"task {config['task']!r}"
        self.kind = config["kind"]
        self.unmatched_users = 0
        self.with_histories = True
        self.suffix = "user" if self.kind == PROFILE else "inter"
        fields = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]]
        of_rows = source.item_list_field, source.item_list_length_field
        if taken := set(fields).intersection(of_rows):
            raise ConfigError(
                f"{self.where}: {taken.pop()!r} names what a row has of the source; rename the "
                f"column, or set LIST_SUFFIX or ITEM_LIST_LENGTH_FIELD"
            )
        self.config = config  # RecBole sets it too, later
        by_time = self._by_time()
        require_columns(
            config,
            self.suffix,
            [*fields, config["TIME_FIELD"]] if by_time else fields,
            self.where,
            tokens=fields[: 1 if self.kind == PROFILE else 2],
            times=[config["TIME_FIELD"]] if by_time or config["rm_dup_inter"] else (),
            intervals=config["val_interval"],
        )
        with reading(self.where, config, self.suffix):
            super().__init__(config)

    def _load_data(self, token: str, dataset_path: str) -> None:
        """Load the one file that the task needs, as the interactions of this dataset."""
        self.user_feat = self.item_feat = None
        path = f"{dataset_path}/{token}.{self.suffix}"
        self.inter_feat = self._load_feat(path, FeatureSource.INTERACTION)
        self.field2source[self.uid_field] = FeatureSource.USER_ID
        self.field2source[self.iid_field] = FeatureSource.ITEM_ID

    def _load_feat(self, filepath: str, source: FeatureSource) -> pd.DataFrame:
        """RecBole's, but for its slow engine: a run may have a hundred columns of a wide file."""
        wanted, _ = self._get_load_and_unload_col(source)
        header = read_header(self.config, self.suffix, self.where)
        kinds = {field: kind for field, kind in header if field in wanted}
        for field, kind in kinds.items():
            self.field2source[field] = source
            self.field2type[field] = FeatureType(kind)
            self.field2seqlen[field] = 1
            if kind == "float":
                self.field2bucketnum[field] = 2
        return read_table(
            filepath,
            kinds,
            self.config["field_separator"],
            self.config["encoding"] or "utf-8",
            self.where,
        )

    def _by_time(self) -> bool:
        """Whether the split is by time."""
        return self.config["eval_args"]["order"] == "TO"

    def _get_load_and_unload_col(self, source) -> tuple[set[str], None]:
        fields = {self.uid_field, self.iid_field, *(self.config["val_interval"] or {})}
        if self._by_time() or self.config["rm_dup_inter"]:  # a profile has none
            fields.add(self.time_field)
        return fields, None

    def _filter_nan_user_or_item(self) -> None:
        drop_gaps(self, self.suffix, self.where, self.iid_field)

    def _data_filtering(self) -> None:
        """RecBole's filters, then brackets, then users that the source knows; numbers of
        interactions are counted last, of the instances that the task has by then."""
        super()._data_filtering()
        needed = [self.uid_field, self.iid_field]
        if self._by_time():
            needed.append(self.time_field)
        for field in self.inter_feat.columns.difference(needed):
            self._del_col(self.inter_feat, field)  # it has served
            self._rest_fields = self._rest_fields[self._rest_fields != field]
        if self.kind == PROFILE:
            self._bracket()
        users = self.inter_feat[self.uid_field].astype(str)
        in_source = self.source.users_with_sequence()
        known = users.isin(in_source)
        self.unmatched_users = users[~known].nunique()
        if not known.any():
            raise DataError(
                f"{self.where}: none of its {users.nunique()} users has a sequence in the source "
                f"{self.source.dataset_name}; users are matched by their tokens in "
                f"{self.uid_field}, which are {users.iloc[0]!r} here and {in_source[0]!r} there"
            )
        if self.unmatched_users:
            self.logger.warning(
                f"{self.where}: {self.unmatched_users} users without a source sequence left out"
            )
        self.inter_feat = self.inter_feat[known].reset_index(drop=True)
        self._one_instance_each()
        super()._filter_by_inter_num()
        self._reset_index()
        labels = self.inter_feat[self.iid_field].unique()
        if len(labels) < 2:
            raise DataError(
                f"{self.where}: {self.iid_field} has the one value {labels[0]!r}; a task needs two"
            )
        if self.kind == PROFILE:  # readable order of classes, whatever the file's
            bins = self.config["bins"]
            names = bracket_names(bins) if bins else sorted(labels)
            order = {name: i for i, name in enumerate(names)}
            rank = self.inter_feat[self.iid_field].map(order)
            self.inter_feat = self.inter_feat.iloc[rank.argsort(kind="stable").values]
            self.inter_feat = self.inter_feat.reset_index(drop=True)

    def _filter_by_inter_num(self) -> None:
        """Not yet: RecBole would count rows that are left out, brackets apart, and repetitions."""

    def _drop_unused_col(self) -> None:
        """Nothing: the task loads what it needs, and ``unused_col`` names the source's columns."""

    def _one_instance_each(self) -> None:
        """An instance is a user and a label: what a file repeats would be in several splits. The
        first is kept, in time where times are read.

        Raises:
            DataError: a user with several labels in a profile task.
        """
        pair = [self.uid_field, self.iid_field]
        rows = self.inter_feat
        if self.time_field in rows and self.time_field != self.iid_field:
            times = rows[self.time_field]
            times = times.fillna(times.mean())  # as RecBole does after its filters
            rows = rows.loc[times.sort_values(kind="stable").index]
        repeated = rows.duplicated(pair)[self.inter_feat.index]
        if repeated.any():
            self.logger.warning(
                f"{self.where}: {repeated.sum()} repeated instances left out"
            )
            self.inter_feat = self.inter_feat[~repeated].reset_index(drop=True)
        if self.kind == PROFILE and self.inter_feat[self.uid_field].duplicated().any():
            again = self.inter_feat[self.uid_field].duplicated()
            user = self.inter_feat[self.uid_field][again].iloc[0]
            raise DataError(
                f"{self.where}: user {user!r} has several values of {self.iid_field}; a profile "
                f"has one"
            )

    def _bracket(self) -> None:
        """Labels as tokens: the column's values, or the brackets that ``bins`` cut."""
        column, bins = self.inter_feat[self.iid_field], self.config["bins"]
        if bins is not None:
            require_bins(bins, self.where)
            numbers = pd.to_numeric(column, errors="coerce")
            if numbers.isna().all():
                raise DataError(
                    f"{self.where}: {self.iid_field} has no numbers to cut into bins"
                )
            if numbers.isna().any():
                self.logger.warning(
                    f"{self.where}: {numbers.isna().sum()} users whose {self.iid_field} is no "
                    f"number left out"
                )
            self.inter_feat = self.inter_feat[numbers.notna()]
            column = pd.Series(bracket_names(bins))[
                np.searchsorted(bins, numbers[numbers.notna()], side="right")
            ].values
        elif self.field2type[self.iid_field] == FeatureType.FLOAT:
            column = column.map(shortest)
            if (values := column.nunique()) > MANY_NUMBERS:
                self.logger.warning(
                    f"{self.where}: each of {values} values of {self.iid_field}, which are numbers, "
                    f"is a class of its own; bins cuts them into brackets"
                )
        self.inter_feat = self.inter_feat.assign(**{self.iid_field: column})
        self.field2type[self.iid_field] = FeatureType.TOKEN

    def build(self) -> list[TaskDataset]:
        """RecBole's split; the same for a seed, whatever was drawn before.

        Raises:
            DataError: a part without instances.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config["seed"])
            parts = super().build()
        if not all(len(part) for part in parts):
            sizes = "/".join(str(len(part)) for part in parts)
            raise DataError(
                f"{sizes} instances in train/valid/test by eval_args split "
                f"{self.config['eval_args']['split']}, group_by "
                f"{self.config['eval_args']['group_by']}; each needs one: change these, or give "
                f"more data"
            )
        return parts

    def learned(self) -> TaskDataset:
        """Of this training split, the instances that are learned: ``train_share`` of them.

        The split itself still has all positives: a dropped one is no negative.

        Raises:
            DataError: none is left.
        """
        share, rows = self.config["train_share"], len(self)
        if share == 1:
            return self
        kept = learned_rows(rows, share, self.config["seed"])
        if not len(kept):
            raise DataError(
                f"train_share {share:g} of {rows} training instances is none; use a larger one"
            )
        self.logger.info(
            f"{self.where}: learns {len(kept)} of {rows} training instances"
        )
        return self.copy(self.inter_feat[kept])

    def _fill_nan(self) -> None:
        if self._by_time():
            missing = int(self.inter_feat[self.time_field].isnull().sum())
            tell_missing(missing, self.logger.warning, self.where)
        super()._fill_nan()

    def _change_feat_format(self) -> None:
        if self._by_time():
            by_user = self.config["eval_args"]["group_by"] == "user"
            tell_times(self, self.logger.warning, self.where, by_user)
        super()._change_feat_format()
        tokens = self.field2id_token[self.uid_field][1:]
        ids = self.source.field2token_id[self.source.uid_field]
        self.source_user = torch.tensor([0] + [ids[token] for token in tokens])
        # From now on users are ids; of a hundred tasks, these would be the largest part.
        self.field2token_id.pop(self.uid_field, None)
        if (
            self.kind == RECOMMENDATION
            and self.dataset_name == self.source.dataset_name
        ):
            self._tell_what_histories_hold()

    def _tell_what_histories_hold(self) -> None:
        """Warn of instances whose labels a network can read in the user's own history."""
        ids = self.source.field2token_id[self.source.iid_field]
        source_item = np.array([0, *(ids.get(label, 0) for label in self.labels)])
        held = self.source.sequences.contain(
            self.source_user.numpy()[self.inter_feat[self.uid_field].numpy()],
            source_item[self.inter_feat[self.iid_field].numpy()],
            most=self.config["MAX_ITEM_LIST_LENGTH"],
        )
        if held.any():
            self.logger.warning(
                f"{self.where}: {held.sum()} of {len(held)} instances are items that the network "
                f"reads in their users' histories; unless users come back to items, give source "
                f"and task a val_interval each that share no rows"
            )

    def __getitem__(self, index, join: bool = True) -> Interaction:
        """Instances with their users' sequences, padded on the right to the longest."""
        rows = Interaction(dict(self.inter_feat[index].interaction))
        if not self.with_histories:
            return rows
        fields = self.source.item_list_field, self.source.item_list_length_field
        histories = self.histories(rows[self.uid_field])
        rows.update(Interaction(dict(zip(fields, histories, strict=True))))
        return rows

    def histories(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The source sequences of users, by their ids in this task.

        Args:
            users: ``[B]`` ids.

        Returns:
            ``[B, L]`` source ids padded on the right, and ``[B]`` lengths.
        """
        longest = self.config["MAX_ITEM_LIST_LENGTH"]
        return self.source.histories(self.source_user[users], longest)

    def source_users(self) -> torch.Tensor:
        """Ids, in the source, of the users that this split has instances of."""
        return self.source_user[self.inter_feat[self.uid_field].unique()]

    def lengths(self) -> np.ndarray:
        """``[rows]`` numbers of items in the histories of this split's rows, however many count."""
        users = self.inter_feat[self.uid_field].numpy()
        return self.source.sequences.lengths[self.source_user.numpy()[users]]

    @property
    def labels(self) -> list[str]:
        """Tokens of the labels, in the order of their ids, without padding."""
        return [str(token) for token in self.field2id_token[self.iid_field][1:]]
