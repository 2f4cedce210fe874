"""Whether a stage fits into memory, estimated before it starts, so that nothing is refused that
would have run."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch

from recbole_peterrec.distributed import group
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.nn.encoder import Architecture
from recbole_peterrec.out_of_memory import SMALLER_MODEL
from recbole_peterrec.runs.free_memory import available_memory
from recbole_peterrec.runs.needs import (
    FLOAT,
    HALF,
    Need,
    evaluation_need,
    training_need,
)

MULTIPLE_OF = {"embedding_size": 8}  # that patches and products like

_checked = ContextVar("checked", default=True)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Let stages be made within that are not to be run here, but on a device of their own."""
    token = _checked.set(False)
    try:
        yield
    finally:
        _checked.reset(token)


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
        trained: how many positions of each training row are encoded.
        evaluated: those of the rows that are encoded in evaluation.
        passed: whether a gradient passes through the whole encoder, to all of its weights.
        last: whether nothing but the last position is wanted, in training and in evaluation.

    Raises:
        ConfigError: see :func:`require_memory`.
    """
    device, longest = config["device"], config["MAX_ITEM_LIST_LENGTH"]
    in_step = min(config["train_batch_size"], len(trained)) // group.size()
    at_once = min(config["eval_batch_size"], len(evaluated))
    steps = []
    if at_once:
        lengths = np.minimum(evaluated, longest)
        steps.append(evaluation_need(architecture, lengths, at_once, last[1]))
    if passed:
        lengths = np.minimum(trained, longest)
        each = (
            FLOAT if config["amp"] is None else HALF
        )  # a little of it in float32, too
        steps.append(training_need(architecture, lengths, in_step, last[0], each))
    require_memory(where, [[*held, step] for step in steps] or [held], device)


def require_memory(
    where: str,
    steps: Sequence[Sequence[Need]],
    device: torch.device,
    alone: bool = False,
) -> None:
    """Refuse a stage that cannot fit.

    Args:
        where: the stage.
        steps: what it holds at the same time, in each of its kinds of steps.
        device: on which it holds them.
        alone: whether one process does, while the others wait.

    Raises:
        ConfigError: names the largest tensor of the step that needs most, and the values of
            settings with which all steps would fit.
    """
    if not _checked.get():
        return
    available = available_memory(device, alone)
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
    settings = dict(next(iter(n.grows_with.items()), (None, 0)) for n in largest)
    if None in settings:
        return SMALLER_MODEL
    for key, value in settings.items():
        growing = [s for s in steps if any(key in need.grows_with for need in s)]
        fitting = min(_fitting(step, key, value, available) for step in growing)
        fitting -= fitting % MULTIPLE_OF.get(key, 1)
        if not fitting:
            return f"a smaller {key} does not suffice: {SMALLER_MODEL}"
        changes.append(f"{key} {fitting}")
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
