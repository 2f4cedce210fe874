"""Batches whose rows several processes share."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader, TrainDataLoader
from recbole.data.interaction import Interaction

SHARE = "share_of_targets"  # of a batch's targets, those of a row
ALL = slice(None)


def share_of_rows(rank: int, size: int, rows: int) -> np.ndarray:
    """The rows of a process: contiguous, and numbers differ by one at most."""
    return np.arange(rank * rows // size, (rank + 1) * rows // size)


class _ScoresOnCpu:
    """A model as RecBole's loader asks it for ``dynamic`` negatives: it picks among candidates that
    are on the CPU, by scores that must be there too.

    Args:
        model: RecBole's or ours, on any device.
    """

    def __init__(self, model) -> None:
        self.model = model

    def __getattr__(self, name: str):
        return getattr(self.model, name)

    @torch.no_grad()
    def predict(self, interaction: Interaction) -> torch.Tensor:
        """The model's scores."""
        return self.model.predict(interaction).cpu()


class TrainLoader(TrainDataLoader):
    """RecBole's training loader, whose ``dynamic`` negatives work where the model is on a GPU."""

    def get_model(self, model) -> None:
        """As of RecBole, which calls it where negatives are ``dynamic``."""
        super().get_model(_ScoresOnCpu(model))


class SharedTrainDataLoader(TrainLoader):
    """RecBole's training loader, of whose batches each process gets its rows.

    All processes go through the same batches in the same order. Rows are chosen before they
    are gathered and padded; negatives are drawn for the whole batch, so they are those of
    one process. Where RecBole changes rows by chance (``transform``) or by the model
    (``dynamic`` negatives), the whole batch is made first.

    The column :data:`SHARE` says what part of the batch's targets a row has: a loss that is
    a mean over a process's targets, times the sum of the column, is its part of the batch's
    mean. A process that a small batch leaves without rows gets the first one, with share 0.

    Args:
        config: RecBole config.
        dataset: the training split.
        sampler: of negatives, or None.
        shuffle: whether rows are in a new order each epoch.
        rank: of the process.
        size: number of processes.

    Attributes:
        terms: number of targets of each row of an Interaction, ``[B]``; None counts rows.
    """

    terms: Callable[[Interaction], torch.Tensor] | None = None

    def __init__(
        self, config, dataset, sampler, shuffle: bool, rank: int, size: int
    ) -> None:
        self.rank, self.size = rank, size
        dynamic = config["train_neg_sample_args"].get("dynamic", False)
        self.rows_first = config["transform"] is None and not dynamic
        if sampler is not None and self.rows_first:
            sampler = _WholeBatchSampler(sampler)
        super().__init__(config, dataset, sampler, shuffle=shuffle)

    def collate_fn(self, index) -> Interaction:
        """This process's rows of a batch, with their shares."""
        index = np.array(index)
        mine = share_of_rows(self.rank, self.size, len(index))
        shares = self._shares(index)[mine]
        if not len(mine):
            mine, shares = np.zeros(1, dtype=int), shares.new_zeros(1)
        if self.rows_first:
            if self._sampler is not None:
                self._sampler.choose(*self._positives(index), mine)
            batch = super().collate_fn(index[mine])
            times = len(batch) // len(mine)
        else:
            batch = super().collate_fn(index)
            times = len(batch) // len(index)  # rows are repeated with their negatives
            starts = len(index) * np.arange(times)
            batch = batch[(starts[:, None] + mine).reshape(-1)]
        batch.update(Interaction({SHARE: shares.repeat(times) / times}))
        return batch

    def _shares(self, index: np.ndarray) -> torch.Tensor:
        if self.terms is None:
            return torch.full((len(index),), 1 / len(index), dtype=torch.double)
        terms = self.terms(self._dataset.inter_feat[index]).double()
        return terms / terms.sum()

    def _positives(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = self._dataset.inter_feat
        return rows[self.uid_field][index].numpy(), rows[self.iid_field][index].numpy()


class _WholeBatchSampler:
    """Draws a whole batch's negatives and gives those of some rows.

    Args:
        sampler: RecBole's.
    """

    def __init__(self, sampler) -> None:
        self.sampler = sampler

    def choose(self, users: np.ndarray, items: np.ndarray, rows: np.ndarray) -> None:
        """Set the batch's positives, and the rows whose negatives are wanted."""
        self.users, self.items, self.rows = users, items, rows

    def sample_by_user_ids(self, user_ids, item_ids, num: int) -> torch.Tensor:
        """``[num * rows]`` as RecBole's sampler gives them; it is asked for all rows."""
        drawn = self.sampler.sample_by_user_ids(self.users, self.items, num)
        return drawn.view(num, -1)[:, self.rows].reshape(-1)


class EvaluationLoader(FullSortEvalDataLoader):
    """RecBole's full-sort loader, of which a process may take some of the batches.

    Batches stay whole: what a row's rank is computed beside does not depend on the number of
    processes, and so neither does its last bit.
    """

    part = ALL

    @contextlib.contextmanager
    def only(self, rank: int, size: int) -> Iterator[None]:
        """Give a process's batches only: every `size`-th, from its own number on."""
        self.part = slice(rank, None, size)
        try:
            yield
        finally:
            self.part = ALL

    def __iter__(self):
        if self.part == ALL:
            return super().__iter__()
        rows = itertools.islice(
            self.batch_sampler, self.part.start, None, self.part.step
        )
        return map(self.collate_fn, rows)
