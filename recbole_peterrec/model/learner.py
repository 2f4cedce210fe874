"""Conure's network through its life: one encoder, its weights' owners, and a head per task."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from recbole_peterrec.nn.digest import tensors_digest
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.nn.ownership import (
    MOST_TASKS,
    OwnedWeight,
    OwnershipError,
    own,
    pruned_entries,
)

# Pruning ratios by the kind of weight, "convolution" or "embedding".
Ratios = Mapping[str, float]
OWNED = ".parametrizations."  # in names of what torch has in place of an owned weight


class Learner:
    """Learns task after task in one encoder and forgets nothing (Conure, section 4).

    A task is begun, pruned and kept, in this order; between tasks, :meth:`view` makes the encoder
    compute as any kept task does. The encoder itself is shared by all tasks' networks.

    Args:
        encoder: on random or pretrained weights, or one that
            :func:`recbole_peterrec.stored.learner.open_learner` fills.
        kinds: which of the encoder's prunable weights are under ownership: ``convolution``
            (section 4), ``embedding`` too in Table 5.
        layernorm_per_task: whether each task has LayerNorms of its own (the authors' code) or all
            share the first task's (the paper).
    """

    def __init__(
        self,
        encoder: Encoder,
        kinds: tuple[str, ...] = ("convolution",),
        layernorm_per_task: bool = False,
    ) -> None:
        self.encoder = encoder
        self.kinds = kinds
        self.layernorm_per_task = layernorm_per_task
        self.tasks: list[str] = []
        self.heads: dict[str, nn.Module] = {}
        self.fingerprints: dict[str, str] = {}  # of each task, as it was kept
        self.current: str | None = None
        self._pruned = False  # whether the current task is
        self._unpruned_norms: dict[str, torch.Tensor] = {}  # as they were before
        self._modules: dict[str, nn.Module] = {}
        self._kind: dict[str, str] = {}
        prunable = encoder.prunable_weights()
        for kind in kinds:
            for name in prunable[kind]:
                module = encoder.get_submodule(name)
                own(module)
                self._modules[name], self._kind[name] = module, kind
        self._norms = [
            name
            for name, module in encoder.named_modules()
            if layernorm_per_task and isinstance(module, nn.LayerNorm)
        ]
        self._norm_states: dict[str, dict[str, torch.Tensor]] = {}

    def number(self, task: str) -> int:
        """The owner that stands for a task: 1 is the first."""
        return self.tasks.index(task) + 1

    # --- the life of a task

    def begin(self, task: str) -> None:
        """Train the free weights for a new task, with the kept ones as frozen knowledge (Eq. 4).

        The first task trains the whole encoder; later ones leave embeddings, biases and (unless
        they are per task) LayerNorms as the first left them.

        Raises:
            OwnershipError: the name is taken, another task is not kept yet, or no weight is free.
        """
        if self.current is not None:
            raise OwnershipError(f"task {self.current!r} is not kept yet")
        if task in self.tasks:
            raise OwnershipError(f"the learner already has a task {task!r}")
        if len(self.tasks) == MOST_TASKS:
            raise OwnershipError(f"a learner holds at most {MOST_TASKS} tasks")
        for name in self._modules:
            if not self.owned(name).free():
                raise OwnershipError(f"no free weight is left in {name}")
        if self.tasks:
            self._load_norms(self.tasks[0])
        self._train_beside_kernels(first=not self.tasks)
        self.tasks.append(task)
        self.current = task
        for name in self._modules:
            self.owned(name).train_free(self.stored(name))

    def prune(self, ratios: Ratios) -> None:
        """Leave the current task the largest weights it trained (Eq. 3); it trains on with them.

        Args:
            ratios: share pruned, of each kind of weight.

        Raises:
            OwnershipError: no task is in training, it is pruned already, or a ratio leaves
                nothing.
        """
        number = self.number(self._in_training(pruned=False))
        for name, kind in self._kind.items():
            pruned_entries(self.owned(name).free(), ratios[kind])
        self._pruned, self._unpruned_norms = True, self._norm_state()
        for name, kind in self._kind.items():
            self.owned(name).prune(self.stored(name), number, ratios[kind])
        self._train_beside_kernels(first=False)

    def unprune(self) -> None:
        """Back to before :meth:`prune`, with the values that were trained by then.

        What the pruned task trained since is lost; heads are the caller's. Only to prune anew: what
        the first task trains beside owned weights stays as it is.

        Raises:
            OwnershipError: no task is in training, or it is not pruned.
        """
        number = self.number(self._in_training(pruned=True))
        self.encoder.load_state_dict(self._unpruned_norms, strict=False)
        self._pruned = False
        for name in self._modules:
            owned, stored = self.owned(name), self.stored(name)
            owned.release(number)
            owned.train_free(stored)

    def keep(self, head: nn.Module) -> None:
        """End the current task: it is frozen for good.

        Args:
            head: its classification layer, frozen too.

        Raises:
            OwnershipError: no task is in training, or it is not pruned.
        """
        task = self._in_training(pruned=True)
        for name in self._modules:
            self.owned(name).keep(self.stored(name))
        self.encoder.requires_grad_(False)
        head.requires_grad_(False)
        self.heads[task] = head
        self._norm_states[task] = self._norm_state()
        self.current, self._pruned = None, False
        self.fingerprints[task] = self.fingerprint(task)  # and the task is viewed

    def view(self, task: str) -> None:
        """Make the encoder compute as a kept task does; no weight is trainable meanwhile.

        Raises:
            OwnershipError: a task is in training.
        """
        if self.current is not None:
            raise OwnershipError(f"task {self.current!r} is in training")
        for name in self._modules:
            self.owned(name).view(self.stored(name), self.number(task))
        self._load_norms(task)

    def adopt(
        self,
        task: str,
        head: nn.Module,
        norms: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Add a kept task whose weights and owners were loaded already.

        Args:
            task: its name.
            head: its classification layer.
            norms: LayerNorms of its own; None takes the encoder's, as of the first task.
        """
        self.tasks.append(task)
        self.heads[task] = head.requires_grad_(False)
        self.encoder.requires_grad_(False)
        self._norm_states[task] = self._norm_state() if norms is None else norms
        self.fingerprints[task] = self.fingerprint(task)

    # --- what there is

    def owned(self, name: str) -> OwnedWeight:
        """The ownership of a weight."""
        return self._modules[name].parametrizations.weight[0]

    def stored(self, name: str) -> torch.Tensor:
        """The stored tensor of a weight: every task's values, and those of the free entries."""
        return self._modules[name].parametrizations.weight.original

    def kind(self, name: str) -> str:
        """Kind of an owned weight."""
        return self._kind[name]

    @property
    def weights(self) -> list[str]:
        """Names of the modules whose weight is under ownership."""
        return list(self._modules)

    def capacity_free(self) -> float:
        """Share of the owned weights that no task keeps."""
        free = sum(self.owned(name).free() for name in self._modules)
        return free / sum(self.stored(name).numel() for name in self._modules)

    def shares(self) -> dict[str, dict[str, float]]:
        """Of each weight, the share that each task owns, and ``free``."""
        table = {}
        for name in self._modules:
            owner = self.owned(name).owner
            counts = torch.bincount(owner.view(-1), minlength=MOST_TASKS + 1)
            parts = counts[: len(self.tasks) + 1] / owner.numel()
            names = ["free", *self.tasks]
            table[name] = dict(zip(names, parts.tolist(), strict=True))
        return table

    def kept_weights(self, task: str) -> int:
        """How many weights of the encoder a task owns."""
        number = self.number(task)
        return sum(int((self.owned(n).owner == number).sum()) for n in self._modules)

    def norms(self, task: str) -> dict[str, torch.Tensor]:
        """A task's own LayerNorms; empty where all share the first task's."""
        return self._norm_states.get(task, {})

    def fingerprint(self, task: str) -> str:
        """SHA-256 of all that a kept task computes with, bit for bit: encoder and head."""
        with self.viewing(task):
            tensors = {f"encoder.{k}": v for k, v in self.effective_state().items()}
            head = self.heads[task].state_dict()
            tensors |= {f"head.{key}": value for key, value in head.items()}
            return tensors_digest(tensors)

    def life_fingerprint(self) -> str:
        """SHA-256 of who owns each weight, of all stored values, and of every kept task."""
        parts = [
            *sorted(self.fingerprints.items()),
            tensors_digest(self.owner_maps()),
            tensors_digest(self.stored_state()),
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def effective_state(self) -> dict[str, torch.Tensor]:
        """The encoder's weights by their plain names, as it computes with them now."""
        return self._plain_state(lambda name: self._modules[name].weight.detach())

    def stored_state(self) -> dict[str, torch.Tensor]:
        """The encoder's weights by their plain names, all tasks' together: what is saved."""
        return self._plain_state(self.stored)

    def owner_maps(self) -> dict[str, torch.Tensor]:
        """One byte a weight: who owns it."""
        return {name: self.owned(name).owner for name in self._modules}

    @contextlib.contextmanager
    def viewing(self, task: str) -> Iterator[None]:
        """View a task, and go back to the newest afterwards."""
        self.view(task)
        try:
            yield
        finally:
            self.view(self.tasks[-1])

    # --- within

    def _in_training(self, pruned: bool) -> str:
        """The current task, which must or must not be pruned yet."""
        if self.current is None:
            raise OwnershipError("no task is in training")
        if pruned != self._pruned:
            state = "not pruned yet" if pruned else "pruned already"
            raise OwnershipError(f"task {self.current!r} is {state}")
        return self.current

    def _train_beside_kernels(self, first: bool) -> None:
        """Choose what is trained of the encoder beside its owned weights."""
        for name, parameter in self.encoder.named_parameters():
            if OWNED not in name:
                parameter.requires_grad_(first)
        for name in self._norms:
            self.encoder.get_submodule(name).requires_grad_(True)

    def _norm_state(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{key}": value.detach().clone()
            for name in self._norms
            for key, value in self.encoder.get_submodule(name).state_dict().items()
        }

    def _load_norms(self, task: str) -> None:
        state = self.norms(task)
        if state:
            self.encoder.load_state_dict(state, strict=False)

    def _plain_state(self, weight_of) -> dict[str, torch.Tensor]:
        plain = {
            key: value
            for key, value in self.encoder.state_dict().items()
            if OWNED not in key
        }
        return plain | {f"{name}.weight": weight_of(name) for name in self._modules}
