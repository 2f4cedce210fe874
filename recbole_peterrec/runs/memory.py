"""Whether a stage fits into memory, estimated before it starts.

Only what is certain to be needed is counted, so that nothing is refused that would have run.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch

from recbole_peterrec.distributed import group
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.nn.encoder import Architecture

FLOAT = 4  # bytes
# Of an owned table in each step: as it is made of its owners, and its gradient.
OWNED_COPIES = 2
MULTIPLE_OF = {"embedding_size": 8}  # that patches and products like
FORWARD = 2  # activations that a forward pass has at once, at the least


@dataclass(frozen=True)
class Need:
    """A tensor, or several of a kind, that a stage holds.

    Attributes:
        what: what it is, with its shape.
        bytes: its size.
        grows_with: settings and their values; the first is the one to change.
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


_checked = ContextVar("checked", default=True)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Let stages be made within that are not to be run here, but on a device of their own."""
    token = _checked.set(False)
    try:
        yield
    finally:
        _checked.reset(token)


def trained_copies(config: Mapping[str, Any]) -> int:
    """Copies of a table that training holds: itself, its gradient and the optimiser's moments."""
    # By rows, a gradient is as small as its batch.
    dense = config["table_updates"] != "rows"
    moments = 2 if config["learner"] in ("adam", "adamw") else 0
    return 1 + dense + moments


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


def vector_need(architecture: Architecture, users: int) -> Need:
    """The kept vectors of :mod:`recbole_peterrec.trainer.user_vectors`."""
    k = architecture.embedding_size
    what = f"vectors of {users:,} users"
    return Need(what, FLOAT * users * k, {"embedding_size": k})


def training_need(
    architecture: Architecture, lengths: np.ndarray, rows: int, last: bool
) -> Need:
    """What a float32 step keeps for its backward pass through the whole encoder.

    Args:
        architecture: of the encoder.
        lengths: of all rows, in items; some step has rows that are as long as the mean.
        rows: of a step, in one process.
        last: as of :meth:`Architecture.saved_positions`.
    """
    k = architecture.embedding_size
    different, counts = np.unique(lengths, return_counts=True)
    saved = [architecture.saved_positions(int(length), last) for length in different]
    size = int(FLOAT * rows * np.average(saved, weights=counts) * k)
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
    length = 1 if last and architecture.causal else lengths.mean()
    size = int(FLOAT * FORWARD * rows * length * k)
    what = f"activations of {rows:,} evaluated rows of {length:.0f} items"
    return Need(what, size, {"eval_batch_size": rows, "embedding_size": k})


def available_memory(device: torch.device) -> int:
    """Bytes that are free on a device now, for this one of the processes that share it."""
    if device.type == "cuda":  # torch keeps what an earlier stage has freed
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    member = group.member()
    sharing = member.local_size if member else 1
    return psutil.virtual_memory().available // sharing


def require_stage(
    where: str,
    config: Mapping[str, Any],
    architecture: Architecture,
    held: Sequence[Need],
    trained: np.ndarray,
    evaluated: np.ndarray,
    passed: bool,
    last: tuple[bool, bool],
) -> None:
    """Refuse a stage whose training or evaluation cannot fit on its device.

    Args:
        where: the stage.
        config: ``device``, ``MAX_ITEM_LIST_LENGTH``, ``amp`` and the batch sizes.
        architecture: of the encoder.
        held: what is there all the time.
        trained: lengths of the histories of the training rows.
        evaluated: those of the rows that are encoded in evaluation.
        passed: whether a gradient passes through the whole encoder, to all of its weights.
        last: whether nothing but the last position is wanted, in training and in evaluation.

    Raises:
        ConfigError: see :func:`require_memory`.
    """
    if not _checked.get():
        return
    device, longest = config["device"], config["MAX_ITEM_LIST_LENGTH"]
    in_step = min(config["train_batch_size"], len(trained)) // group.size()
    at_once = min(config["eval_batch_size"], len(evaluated))
    steps = []
    if at_once:
        lengths = np.minimum(evaluated, longest)
        steps.append(evaluation_need(architecture, lengths, at_once, last[1]))
    if passed and config["amp"] is None:  # half of it, or less, with amp
        lengths = np.minimum(trained, longest)
        steps.append(training_need(architecture, lengths, in_step, last[0]))
    needs = [[*held, step] for step in steps] or [held]
    require_memory(where, needs, available_memory(device), device)


def require_memory(
    where: str, steps: Sequence[Sequence[Need]], available: int, device: torch.device
) -> None:
    """Refuse a stage that cannot fit.

    Args:
        where: the stage.
        steps: what it holds at the same time, in each of its kinds of steps.
        available: bytes.
        device: whose they are, for the message.

    Raises:
        ConfigError: names the largest tensor of the step that needs most, and the values of
            settings with which all steps would fit.
    """
    over = sorted((s for s in steps if _total(s) > available), key=_total, reverse=True)
    if not over:
        return
    largest = [max(step, key=lambda need: need.bytes) for step in over]
    raise ConfigError(
        f"{where}: needs at least {_gib(_total(over[0]))}, and {_gib(available)} are free on "
        f"{device}; {largest[0].what} take {_gib(largest[0].bytes)}; "
        f"{_advice(largest, steps, available)}"
    )


def _advice(
    largest: Iterable[Need], steps: Sequence[Sequence[Need]], available: int
) -> str:
    """What to set so that all fits: the first setting of the largest need of each step that does
    not, each small enough for all steps that grow with it."""
    changes = []
    settings = dict(next(iter(need.grows_with.items())) for need in largest)
    for key, value in settings.items():
        growing = [s for s in steps if any(key in need.grows_with for need in s)]
        fitting = min(_fitting(step, key, value, available) for step in growing)
        fitting -= fitting % MULTIPLE_OF.get(key, 1)
        if not fitting:
            return f"a smaller {key} does not suffice: use a smaller model"
        changes.append(f"{key} {fitting} instead of {value}")
    return f"{' and '.join(changes)} would fit"


def _total(needs: Sequence[Need]) -> int:
    return sum(need.bytes for need in needs)


def _fitting(needs: Sequence[Need], key: str, value: int, available: int) -> int:
    """The largest smaller value of a setting that would fit; none above 0, if none would."""

    def total(smaller: int) -> float:
        return sum(need.with_setting(key, smaller) for need in needs)

    return max(0, bisect.bisect_right(range(value), available, key=total) - 1)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
