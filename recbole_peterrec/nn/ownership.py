"""Who owns each weight: Conure's masks as one map, and the weight that is made by it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

FREE = 0
MOST_TASKS = 255  # an owner is one byte


class OwnershipError(ValueError):
    """A step that the life cycle of an owned weight does not have now, or weights that ran out."""


class _Scatter(torch.autograd.Function):
    """``base`` with ``values`` at the flat positions ``index``; gradients go to ``values`` only."""

    @staticmethod
    def forward(ctx, values, base, index):
        ctx.save_for_backward(index)
        weight = base.clone()
        weight.view(-1).index_copy_(0, index, values)
        return weight

    @staticmethod
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        return grad.reshape(-1).index_select(0, index), None, None


class OwnedWeight(nn.Module):
    """Parametrisation of a weight whose entries belong to tasks (Conure, section 4).

    An owner map holds every mask of every task: :data:`FREE`, or the number of the task that keeps
    the entry. Nothing frozen is ever a trained parameter. What the current task trains lies in one
    compact vector, ``values``, which is all that an optimiser can see.

    The life of a task is ``train`` (stages 1 and 4: all free entries, from the values that are
    there) - ``prune`` (stages 2 and 5; what is kept goes on being trained, stage 3) - ``keep``.
    What it computes with is ``base`` with ``values`` put at the flat positions ``index``:

    ======== ============================== ============ ======================
    state    ``base``                       ``values``   ``index``
    ======== ============================== ============ ======================
    viewed   the task's entries, others 0   None         empty
    training earlier tasks' entries, else 0 trained      the free entries
    pruned   earlier tasks' entries, else 0 trained on   the task's own entries
    kept     of before, until the next view None         of before
    ======== ============================== ============ ======================

    Args:
        weight: the weight as it is; all of it is free.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("owner", torch.zeros_like(weight, dtype=torch.uint8))
        # Derived from the stored weight and its owners, so never saved.
        self.register_buffer("base", weight.detach().clone(), persistent=False)
        self.register_buffer("index", torch.zeros(0, dtype=torch.long), False)
        self.register_parameter("values", None)

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """The effective weight, of the shape of `stored`: what the network computes with."""
        if self.values is None:
            return self.base
        if self.values.numel() == stored.numel():
            return self.values.view(stored.shape)
        return _Scatter.apply(self.values, self.base, self.index)

    def used_by(self, task: int) -> torch.Tensor:
        """Mask of the entries that a task computes with: its own and those before it."""
        return (self.owner != FREE) & (self.owner <= task)

    def free(self) -> int:
        """Number of free entries."""
        return int((self.owner == FREE).sum())

    def view(self, stored: torch.Tensor, task: int) -> None:
        """Compute as a kept task does; nothing is trained."""
        self.values = None
        self.index = self.index.new_zeros(0)
        self.base = torch.where(self.used_by(task), stored.detach(), 0)

    def train_free(self, stored: torch.Tensor) -> None:
        """Train every free entry, starting from its stored value (Eq. 4).

        Raises:
            OwnershipError: no entry is free.
        """
        if not self.free():
            raise OwnershipError("no free weight is left")
        self._train(stored, self.owner == FREE)

    def prune(self, stored: torch.Tensor, task: int, ratio: float) -> None:
        """Give a task the largest of the entries it trained; the rest is zero for it (Eq. 3).

        Args:
            stored: receives the trained values, pruned ones too: the next task starts from them.
            task: its number.
            ratio: share of the trained entries that is pruned, above 0 and below 1.

        Raises:
            OwnershipError: the ratio leaves the task no entry, or nothing is being trained.
        """
        if self.values is None:
            raise OwnershipError("only a weight that is being trained can be pruned")
        self._store(stored)
        pruned = pruned_entries(len(self.index), ratio)
        order = self.values.detach().abs().argsort(stable=True)
        self.owner.view(-1)[self.index[order[pruned:]]] = task
        self._train(stored, self.owner == task)

    def keep(self, stored: torch.Tensor) -> None:
        """End a task: what it trained is stored, and no longer trained."""
        self._store(stored)
        self.values = None

    def release(self, task: int) -> None:
        """Undo :meth:`prune`: the task's entries are free again; the stored values stay."""
        self.owner[self.owner == task] = FREE
        self.values = None

    def _store(self, stored: torch.Tensor) -> None:
        with torch.no_grad():
            stored.view(-1)[self.index] = self.values.to(stored.dtype)

    def _train(self, stored: torch.Tensor, chosen: torch.Tensor) -> None:
        frozen = (self.owner != FREE) & ~chosen
        self.base = torch.where(frozen, stored.detach(), 0)
        self.index = chosen.view(-1).nonzero().squeeze(1)
        self.values = nn.Parameter(stored.detach().reshape(-1)[self.index].clone())


def pruned_entries(entries: int, ratio: float) -> int:
    """How many of a weight's entries a ratio prunes (the index Q|Z| of Eq. 3).

    Raises:
        OwnershipError: nothing would be kept, or the ratio is not above 0 and below 1.
    """
    if not 0 < ratio < 1:
        raise OwnershipError(f"a pruning ratio is above 0 and below 1, got {ratio!r}")
    pruned = int(round(ratio * entries, 6))  # 29 of 100, where 0.29 * 100 is below 29
    if pruned == entries:
        raise OwnershipError(f"pruning {ratio:g} of {entries} weights keeps none")
    return pruned


def own(module: nn.Module) -> OwnedWeight:
    """Put a module's weight under ownership; the stored tensor itself is frozen for good.

    Returns:
        The parametrisation, with all entries free.
    """
    owned = OwnedWeight(module.weight.requires_grad_(False))
    parametrize.register_parametrization(module, "weight", owned)
    return owned
