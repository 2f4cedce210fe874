"""What a stage holds in memory: tensors, or several of a kind, with their sizes.

Only what is certain to be needed is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_peterrec.data.directions import OVERSAMPLED
from recbole_peterrec.distributed import group
from recbole_peterrec.nn.encoder import Architecture

FLOAT, HALF = 4, 2  # bytes
# Of an owned table in each step: as it is made of its owners, and its gradient.
OWNED_COPIES = 2
FORWARD = 2  # activations that a forward pass has at once, at the least


@dataclass(frozen=True)
class Need:
    """A tensor, or several of a kind, that a stage holds.

    Attributes:
        what: what it is, with its shape.
        bytes: its size.
        grows_with: settings and their values; the first is the one to change, if there is one.
        power: of these values, that its size grows with.
    """

    what: str
    bytes: int
    grows_with: Mapping[str, int]
    power: int = 1

    def with_setting(self, key: str, value: int) -> float:
        """Bytes, were a setting's value another."""
        share = value / self.grows_with[key] if key in self.grows_with else 1
        return self.bytes * share**self.power


def trained_copies(config: Mapping[str, Any]) -> int:
    """Copies of a table that training holds: itself, its gradient (which several processes sum in
    a place that they keep) and the optimiser's moments."""
    gradients = 2 if group.size() > 1 else 1
    if config["table_updates"] == "rows":  # a gradient is as small as its batch
        gradients = 0
    moments = 2 if config["learner"] in ("adam", "adamw") else 0
    return 1 + gradients + moments


def table_need(
    architecture: Architecture, labels: int, label_copies: int, encoder_copies: int
) -> Need:
    """Embeddings and classification layer, which grow with the number of items.

    Args:
        architecture: of the encoder.
        labels: of the classification layer.
        label_copies: of that, see :func:`trained_copies`.
        encoder_copies: of the embeddings; 0 if they are there already.
    """
    k = architecture.embedding_size
    rows = labels * label_copies + (architecture.items + 1) * encoder_copies
    what = (
        f"embeddings of {architecture.items:,} items and the layer of {labels:,} labels, "
        f"with what training keeps of them,"
    )
    return Need(what, FLOAT * rows * k, {"embedding_size": k})


def kernel_need(architecture: Architecture, copies: int) -> Need:
    """The layers' kernels, of which ``copies`` are held; see :func:`trained_copies`."""
    k = architecture.embedding_size
    what = (
        f"kernels of {architecture.layers} layers of {k} channels, with what training "
        f"keeps of them,"
    )
    size = FLOAT * architecture.kernel_weights * copies
    return Need(what, size, {"embedding_size": k}, power=2)


def model_need(name: str, parameters: int, copies: int) -> Need:
    """A model of which nothing is known but how many parameters it has; Adam keeps moments of those
    alone that get gradients, which are nearly always all."""
    what = f"{parameters:,} parameters of {name}, with what training keeps of them,"
    return Need(what, FLOAT * parameters * copies, {})


def directions_need(users: int, items: int, width: int) -> Need:
    """What the search of :mod:`recbole_peterrec.data.directions` multiplies: vectors of all users,
    those that are made orthogonal beside what they are made of, and of all items."""
    sought = min(width + OVERSAMPLED, users, items)
    what = f"the search for {sought} directions of {users:,} users and {items:,} items"
    return Need(what, FLOAT * sought * (2 * users + items), {"embedding_size": width})


def vector_need(architecture: Architecture, users: int) -> Need:
    """The kept vectors of :mod:`recbole_peterrec.trainer.user_vectors`."""
    k = architecture.embedding_size
    what = f"vectors of {users:,} users"
    return Need(what, FLOAT * users * k, {"embedding_size": k})


def training_need(
    architecture: Architecture,
    lengths: np.ndarray,
    rows: int,
    last: bool,
    bytes_each: int = FLOAT,
) -> Need:
    """What a step keeps for its backward pass through the whole encoder.

    Args:
        architecture: of the encoder.
        lengths: of all rows, in items; some step has rows that are as long as the mean.
        rows: of a step, in one process.
        last: as of :meth:`Architecture.saved_positions`.
        bytes_each: of a number.
    """
    k = architecture.embedding_size
    different, counts = np.unique(lengths, return_counts=True)
    saved = [architecture.saved_positions(int(length), last) for length in different]
    size = int(bytes_each * rows * np.average(saved, weights=counts) * k)
    what = (
        f"activations of {rows:,} rows of {lengths.mean():.0f} items in "
        f"{architecture.layers} layers of {k} channels"
    )
    batch = rows * group.size()
    return Need(what, size, {"train_batch_size": batch, "embedding_size": k})


def evaluation_need(
    architecture: Architecture, lengths: np.ndarray, rows: int, last: bool
) -> Need:
    """What evaluation holds beside the weights; arguments as in :func:`training_need`."""
    k = architecture.embedding_size
    length = 1 if last else lengths.mean()
    size = int(FLOAT * FORWARD * rows * length * k)
    what = f"activations of {rows:,} evaluated rows of {length:.0f} items"
    return Need(what, size, {"eval_batch_size": rows, "embedding_size": k})
