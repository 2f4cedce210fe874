"""Items as the leading directions of who interacted with them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recbole_peterrec.data.sequences import Sequences
from recbole_peterrec.errors import DataError

# Halko et al. (2011), algorithm 4.4: directions that are sought besides those that are wanted, and
# passes over the matrix that sharpen them.
OVERSAMPLED = 32
PASSES = 8


def item_directions(
    sequences: Sequences, read: np.ndarray, width: int, seed: int
) -> torch.Tensor:
    """Item vectors whose products with users' vectors are nearest to who had which item.

    Of the matrix of users and items, 1 where a user had an item, the leading singular values and
    vectors ``U S V'`` give ``V sqrt(S)``: the factors of PureSVD (Cremonesi et al., RecSys 2010),
    their lengths shared between users and items. They are turned at random, so that no channel
    holds more than the others, which dropout and Adam treat alike. Another number of threads, or
    another processor, may find a direction with the other sign: the products of items are the same.

    Args:
        sequences: of all users.
        read: ``[N]`` booleans, which of their interactions count.
        width: ``k`` of the vectors; where there are fewer directions, they lie in a subspace.
        seed: of the turn, and of where the search for directions begins.

    Returns:
        ``[items, k]``, the root mean square of the items that occur 1; zeros for all others.

    Raises:
        DataError: no interaction counts.
    """
    if not read.any():
        raise DataError("embedding_init svd: the source has no training rows")
    had = _who_had_what(sequences, read)
    directions = min(width, *had.shape)
    sought = min(directions + OVERSAMPLED, *had.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, values, vectors = torch.svd_lowrank(had, q=sought, niter=PASSES)
        turn, _ = torch.linalg.qr(torch.randn(width, directions))
    factors = vectors[:, :directions] * values[:directions].sqrt()
    table = torch.zeros(had.shape[1], width)
    occurring = had.indices()[1].unique()
    table[occurring] = factors[occurring] @ turn.t()
    return table / table[occurring].square().mean().sqrt()


def _who_had_what(sequences: Sequences, read: np.ndarray) -> torch.Tensor:
    """``[users, items]``, sparse: 1 where a user had an item."""
    before = np.concatenate([[0], read.cumsum()])[sequences.start]
    items = sequences.items[read]
    shape = len(sequences.user_tokens), len(sequences.item_tokens)
    had = csr_matrix((np.ones(len(items), np.float32), items, before), shape)
    had.sum_duplicates()  # in place, which torch's would not be
    users = np.repeat(np.arange(shape[0]), np.diff(had.indptr))
    return torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([users, had.indices])),
        torch.ones(had.nnz),
        shape,
        check_invariants=False,
        is_coalesced=True,
    )
