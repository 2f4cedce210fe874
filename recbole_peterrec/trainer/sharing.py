"""Several processes train as one: shares of a loss, summed gradients, shared evaluation."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from recbole_peterrec.data.sharing import SHARE
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.distributed.gradients import GradientSum
from recbole_peterrec.nn.digest import tensors_digest

Loss = Callable[[Any], Any]  # from a batch to a loss, or to several that are summed


class SharingMixin:
    """Put before a RecBole trainer class, it makes each step that of one process.

    Loaders must be of :func:`recbole_peterrec.data.loaders.make_loaders`. Each process
    computes the loss of its rows, weighted by their share of the batch's targets; before
    the optimiser's step, gradients are summed, then clipped. The step is that of one process
    up to rounding, chance apart: dropout, GRec's masks and the items of a sampled softmax
    are drawn by each process for its rows, so there are at least as many of these as in one
    process. In evaluation, each process ranks whole batches, and all know all ranks.

    A process on its own does as without this class.
    """

    def _share_steps(self, optimizer: torch.optim.Optimizer) -> None:
        """Sum processes' gradients before each step, and clip them then, not as RecBole does before."""
        if group.size() == 1:
            return
        sum_gradients = GradientSum()
        clip, self.clip_grad_norm = self.config["clip_grad_norm"], None

        def before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            sum_gradients(p for g in optimizer.param_groups for p in g["params"])
            if clip:
                clip_grad_norm_(self.model.parameters(), **clip)

        optimizer.register_step_pre_hook(before_step)

    def _shared(self, model: torch.nn.Module, loader) -> Loss:
        """A model's loss on this process's part of a loader's batches."""
        if group.size() == 1:
            return model.calculate_loss
        loader.terms = getattr(model, "loss_terms", None)

        def part(interaction) -> Any:
            share = interaction[SHARE].sum()
            losses = model.calculate_loss(interaction)
            if isinstance(losses, tuple):
                return tuple(share.to(loss.dtype) * loss for loss in losses)
            return share.to(losses.dtype) * losses

        return part

    def _evaluating(self, loader) -> contextlib.AbstractContextManager:
        """Within it, the loader gives this process's batches."""
        if group.size() == 1:
            return contextlib.nullcontext()
        return loader.only(group.rank(), group.size())

    def _require_agreement(self) -> None:
        """Stop unless all processes have trained the same weights.

        Raises:
            TrainingError: they have not.
        """
        exchange.require_agreement(
            f"{self.stage}: what was trained",
            lambda: tensors_digest(self._trained_state()),
        )


def draw_apart() -> None:
    """Let each process go on with random numbers of its own; the first's stay as they are.

    NumPy's stay in step: RecBole's samplers draw a batch's negatives with them.
    """
    if group.rank():
        seed = (torch.initial_seed() + 1_000_003 * group.rank()) % 2**63
        torch.manual_seed(seed)
        random.seed(seed)


def total_loss(loss: float | tuple[float, ...]) -> float | tuple[float, ...]:
    """An epoch's loss from those of all processes."""
    if group.size() == 1:
        return loss
    if isinstance(loss, tuple):
        return tuple(exchange.total(part) for part in loss)
    return exchange.total(loss)
