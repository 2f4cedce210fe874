"""From a dataset to its loaders: RecBole's, and its full-sort loader with fixed candidates."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataloader import TrainDataLoader
from recbole.data.dataset import Dataset
from recbole.data.utils import create_samplers
from torch.utils.data import DataLoader

from recbole_peterrec.data.samplers import CandidateSampler, RankSampler
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.sharing import (
    EvaluationLoader,
    SharedTrainDataLoader,
    TrainLoader,
)
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.distributed import group
from recbole_peterrec.errors import DataError

# Users and items of interactions, made when they are asked for: of a large source, 600 MB of users.
Positives = Callable[[], tuple[np.ndarray, np.ndarray]]


class Loaders(NamedTuple):
    """Of a dataset's three parts."""

    train: TrainDataLoader
    valid: EvaluationLoader
    test: EvaluationLoader

    @property
    def parts(self) -> tuple[Dataset, Dataset, Dataset]:
        """What they load: training, validation and test rows."""
        # RecBole tells it by no other name.
        return tuple(loader._dataset for loader in self)


class SampledEvalDataLoader(EvaluationLoader):
    """Sampled ranking, each row a case of its own against its fixed candidates.

    RecBole's loader for sampled evaluation joins a user's rows into one case, redraws the
    negatives each time and encodes the sequence once per candidate. This one gives each row once,
    with its candidates.

    Args:
        config: RecBole config.
        dataset: a split.
        candidates: ``[rows, n]`` item ids.
    """

    def __init__(self, config: Config, dataset, candidates: np.ndarray) -> None:
        self.candidates = torch.from_numpy(candidates)
        super().__init__(config, dataset, sampler=None, shuffle=False)

    def collate_fn(self, index):
        """RecBole's full-sort batch, the candidates ``[B, n]`` in place of history."""
        interaction, _, positive_u, positive_i = super().collate_fn(index)
        candidates = self.candidates[np.asarray(index)].long()
        return interaction, candidates, positive_u, positive_i


def _built(dataset) -> tuple[list, Positives]:
    """The splits, and what gives users and items of every interaction, whatever its split."""
    if isinstance(dataset, SequenceDataset):
        return dataset.build(), dataset.interactions
    # Before the build, which leaves RecBole's sequential datasets without first interactions.
    rows = dataset.inter_feat
    positives = np.asarray(rows[dataset.uid_field]), np.asarray(rows[dataset.iid_field])
    return dataset.build(), lambda: positives


def _evaluation_loader(
    config: Config, dataset, phase: str, positives: Positives
) -> EvaluationLoader:
    sampling = config[f"{phase}_neg_sample_args"]
    if sampling["sample_num"] == "none":
        return EvaluationLoader(config, dataset, sampler=None, shuffle=False)
    sampler = CandidateSampler(
        *positives(),
        dataset.user_num,
        dataset.item_num,
        sampling["distribution"],
    )
    users = dataset.inter_feat[dataset.uid_field].numpy()
    seed = (2 * config["seed"] + (phase == "test")) % 2**32
    candidates = sampler.candidates(users, sampling["sample_num"], seed)
    return SampledEvalDataLoader(config, dataset, candidates)


def _negative_sampler(config: Config, dataset, datasets):
    try:
        if config["rank_rho"]:
            return RankSampler(datasets[0], config["rank_rho"]).set_phase("train")
        return create_samplers(config, dataset, datasets)[0]
    except ValueError as error:  # RecBole: a user who has all items
        raise DataError(" ".join(str(error).split())) from error


def training_loader(config: Config, dataset, sampler=None) -> TrainDataLoader:
    """A loader of a training split, whose batches the processes of a run share.

    Args:
        config: RecBole config.
        dataset: the split.
        sampler: RecBole's, of negatives; None for a loss that needs none.
    """
    shuffle = config["shuffle"]
    if group.size() == 1:
        loader = TrainLoader(config, dataset, sampler, shuffle=shuffle)
    else:
        loader = SharedTrainDataLoader(
            config, dataset, sampler, shuffle, group.rank(), group.size()
        )
    _fork_workers(config, loader)
    return loader


def _fork_workers(config: Config, *loaders: DataLoader) -> None:
    """As Linux starts them by itself, but not in the processes of a run of several, which were
    spawned: what spawning hands over, a generator of random numbers among it, fails there."""
    if config["worker"] and sys.platform == "linux":
        for loader in loaders:
            loader.multiprocessing_context = "fork"


def make_loaders(config: Config, dataset: Dataset) -> Loaders:
    """Split a dataset by its ``eval_args`` and make the loaders of train, valid and test.

    In a run of several processes, batches of training are shared between them. Where
    ``train_share`` leaves out training instances of a task, negatives and candidates are drawn as
    if it did not.

    Args:
        config: RecBole config.
        dataset: RecBole's or one of ours; its ``build`` splits.

    Raises:
        ConfigError: more negatives asked for than there are.
        DataError: a user for whom every item is a positive has none; a share of no instance; no
            row to train on.
    """
    datasets, positives = _built(dataset)
    for part in datasets:
        if isinstance(part, SequenceDataset):
            part.pads_to_longest = True
    sampler = None
    if config["train_neg_sample_args"]["distribution"] != "none":
        sampler = _negative_sampler(config, dataset, datasets)
    train = datasets[0]
    if isinstance(train, TaskDataset):
        train = train.learned()
    if not len(train):
        raise DataError(
            "source: eval_args and filters leave no row to train on; give the first part of the "
            "split a larger share"
        )
    loaders = Loaders(
        training_loader(config, train, sampler),
        _evaluation_loader(config, datasets[1], "valid", positives),
        _evaluation_loader(config, datasets[2], "test", positives),
    )
    _fork_workers(config, loaders.valid, loaders.test)
    return loaders
