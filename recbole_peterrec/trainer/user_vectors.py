"""Users' vectors made once, for trainings that leave the encoder as it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch

from recbole_peterrec.data.loaders import Loaders
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.model.task_recommender import TaskRecommender

USERS_AT_ONCE = 256


@contextlib.contextmanager
def kept_vectors(model: TaskRecommender, loaders: Loaders) -> Iterator[float]:
    """Within it, a model with a fixed encoder (FineCLS) reads kept vectors, and loaders gather no
    sequences; nothing is different for other models.

    Args:
        model: of the task, on the device on which it trains.
        loaders: of its training, validation and test instances.

    Yields:
        Seconds that making the vectors took.
    """
    if not model.network.has_fixed_encoder:
        yield 0.0
        return
    start = time.perf_counter()
    datasets = loaders.parts
    model.vectors = all_vectors(model.network, datasets[0], model.device)
    for dataset in datasets:
        dataset.with_histories = False
    try:
        yield time.perf_counter() - start
    finally:
        model.vectors = None
        for dataset in datasets:
            dataset.with_histories = True


@torch.no_grad()
def all_vectors(
    network: TaskNetwork, dataset: TaskDataset, device: torch.device
) -> torch.Tensor:
    """The vector of every user of a task, whatever split the user is in.

    Users are encoded in the order of their ids, always as many together, so that the same network
    gives the same bytes again.

    Args:
        network: on the device.
        dataset: one of the task's splits.
        device: where the vectors are made and stay.

    Returns:
        ``[users, k]`` by the users' ids in the task; 0, which is padding, has zeros.
    """
    width = network.encoder.architecture.embedding_size
    vectors = torch.zeros(dataset.user_num, width, device=device)
    for users in torch.arange(1, dataset.user_num).split(USERS_AT_ONCE):
        items, lengths = dataset.histories(users)
        vectors[users] = network.user_vectors(items.to(device), lengths.to(device))
    return vectors
