"""A tuned network for one task: encoder, patches, pooling and head; no RecBole in it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import operator

import torch
from torch import nn
from torch.nn.utils import parametrize

from recbole_peterrec.model.tuning import Tuning, choose_trainable
from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.dropout import Dropout
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.nn.patch import ModelPatch
from recbole_peterrec.nn.placement import insert_patches
from recbole_peterrec.nn.pooling import READ_LAST, add_tokens, check_pooling, pool

PARTS = 4  # of a batch that are encoded apart
SMALLEST_PART = 8  # rows


class TaskNetwork(nn.Module):
    """An encoder, a pooling and a head: what fine-tuning trains and a task is served by.

    Args:
        encoder: as it will be computed with, patches inserted.
        pooling: one of :data:`recbole_peterrec.nn.pooling.POOLINGS`.
        labels: number of labels.
        dropout: probability inside the encoder while training.
        head_dropout: probability on the vector that the head reads.

    Raises:
        ValueError: a pooling that the encoder does not allow.
    """

    def __init__(
        self,
        encoder: Encoder,
        pooling: str,
        labels: int,
        dropout: float = 0.0,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_pooling(pooling, encoder.architecture.causal)
        self.pooling = pooling
        self.encoder = encoder
        encoder.set_dropout(dropout)
        self.head_dropout = Dropout(head_dropout)
        self.head = nn.Linear(encoder.architecture.embedding_size, labels)
        nn.init.trunc_normal_(self.head.weight, std=INIT_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """What the head reads: :meth:`user_vectors` under ``head_dropout``, ``[B, k]``."""
        return self.head_dropout(self.user_vectors(items, lengths))

    def user_vectors(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Encode users.

        Args:
            items: ``[B, L]`` source ids, padded with 0 on the right.
            lengths: ``[B]``.

        Returns:
            ``[B, k]``.
        """
        items, lengths = add_tokens(
            items, lengths, self.pooling, self.encoder.special_token
        )
        if self.pooling in READ_LAST:
            return self.encoder.last_states(items, lengths)
        return self._pooled(items, lengths)

    def _pooled(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool all positions; rows of like lengths together, so that few are padding."""
        parts = max(1, min(PARTS, len(items) // SMALLEST_PART))
        order = lengths.argsort(stable=True)
        users = []
        # What is trained is made once for all parts. The cache is the whole process's, and threads
        # may serve, so only training uses it.
        made_once = parametrize.cached() if self.training else contextlib.nullcontext()
        with made_once:
            chunks = order.chunk(parts)
            # At once: a GPU is waited for.
            longest = lengths[torch.stack([rows[-1] for rows in chunks])].tolist()
            for rows, length in zip(chunks, longest, strict=True):
                real = lengths[rows]
                states = self.encoder(items[rows, :length])
                users.append(pool(states, real, self.pooling))
        return torch.cat(users)[order.argsort()]

    def scores(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """``o = h W + b`` (Eq. 5 to 7), ``[B, labels]``; arguments as in :meth:`forward`."""
        return self.head(self(items, lengths))

    @property
    def has_fixed_encoder(self) -> bool:
        """Whether training leaves every user's vector as it is: nothing of the encoder is
        trained, and nothing in it is dropped."""
        drops = any(
            module.p
            for module in self.encoder.modules()
            if isinstance(module, nn.Dropout)
        )
        return not drops and not any(p.requires_grad for p in self.encoder.parameters())

    def training_flops(self, lengths: torch.Tensor) -> float:
        """FLOP of the encoder's products in a training step: of all layers forward, of the
        gradients that pass through those below which something learns, and of the gradients of
        kernels and patches that learn.

        Args:
            lengths: ``[B]`` numbers of the users' items.
        """
        architecture, last = self.encoder.architecture, self.pooling in READ_LAST
        tokens = {"tcl_end": 1, "tcl_both": 2}.get(self.pooling, 0)
        products = architecture.all_multiplied(lengths + tokens, last)
        passes = torch.tensor(self._passes(), dtype=torch.double)
        patches = sum(p.numel() for p in self.patch_parameters())
        added = 3 * patches / architecture.kernel_weights  # at as many positions
        return 2 * float(products @ (passes + added))

    def _passes(self) -> list[int]:
        """How often a training step makes the products of each layer: with those of gradients."""
        patches = {id(p) for p in self.patch_parameters()}
        layers = self.encoder.tunable_layers()
        learning = [
            {id(p) for p in layer.parameters() if p.requires_grad} for layer in layers
        ]
        embedding = any(p.requires_grad for p in self.encoder.embedding.parameters())
        below = itertools.accumulate(
            [embedding, *map(bool, learning[:-1])], operator.or_
        )
        kernels = [
            bool(ids - patches - _norms(layer))
            for ids, layer in zip(learning, layers, strict=True)
        ]
        return [1 + passed + own for passed, own in zip(below, kernels, strict=True)]

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Name and value of every trained parameter: all that a task's file must hold."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def patch_parameters(self) -> list[nn.Parameter]:
        """The weights of all model patches."""
        return [
            parameter
            for module in self.encoder.modules()
            if isinstance(module, ModelPatch)
            for parameter in module.parameters()
        ]

    @property
    def full_parameters(self) -> int:
        """Number of weights that full fine-tuning trains: the encoder's and the head's."""
        return self.encoder.size + sum(p.numel() for p in self.head.parameters())

    @property
    def trainable_parameters(self) -> int:
        """Number of trained weights: the paper's vartheta and v."""
        return sum(p.numel() for p in self.trained_state().values())


def _norms(module: nn.Module) -> set[int]:
    """The parameters of its LayerNorms, by ``id``."""
    norms = [m for m in module.modules() if isinstance(m, nn.LayerNorm)]
    return {id(p) for norm in norms for p in norm.parameters()}


def tuned_network(
    encoder: Encoder,
    tuning: Tuning,
    labels: int,
    dropout: float = 0.0,
    head_dropout: float = 0.0,
) -> TaskNetwork:
    """The fine-tuning network of PeterRec (Fig. 1b), or of one of its baselines.

    Args:
        encoder: the pretrained encoder. Its values stay as they are, and it is frozen: what the
            strategy trains is copied, the rest is shared.
        tuning: the strategy.
        labels: number of labels.
        dropout: see :class:`TaskNetwork`.
        head_dropout: see :class:`TaskNetwork`.

    Raises:
        ValueError: a value or combination that the paper rules out.
    """
    check_pooling(tuning.pooling, encoder.architecture.causal)
    choose_trainable(encoder, tuning)
    frozen = {id(p): p for p in encoder.parameters() if not p.requires_grad}
    copied = copy.deepcopy(encoder, frozen)  # what the memo has is shared, not copied
    encoder.requires_grad_(False)
    if tuning.tuning == "patch":
        width = encoder.architecture.embedding_size
        insert_patches(
            copied,
            tuning.patch_insertion,
            lambda: ModelPatch(
                width,
                tuning.patch_reduction,
                tuning.patch_activation,
                tuning.patch_cardinality,
            ),
            tuning.patch_count,
        )
    return TaskNetwork(copied, tuning.pooling, labels, dropout, head_dropout)
