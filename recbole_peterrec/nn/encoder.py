"""What PeterRec and Conure ask of a backbone's network, and nothing else that they know of one."""

from __future__ import annotations

import abc
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.dropout import Dropout
from recbole_peterrec.nn.pooling import at_last


class Architecture(abc.ABC):
    """What fixes the shape of an encoder's weights: a frozen dataclass of plain values.

    Attributes:
        items: size of the item vocabulary, the padding index 0 included.
        embedding_size: width ``k`` of embeddings and hidden states.
        causal: whether a position sees nothing of those after it.
    """

    items: int
    embedding_size: int
    causal: bool

    @abc.abstractmethod
    def build(self, dropout: float = 0.0, sparse: bool = False) -> Encoder:
        """The encoder on random weights; arguments as of :class:`Encoder`.

        Raises:
            ValueError: a value that no network can have.
        """

    @property
    @abc.abstractmethod
    def layers(self) -> int:
        """Number of layers: of :meth:`Encoder.tunable_layers`."""

    @property
    @abc.abstractmethod
    def kernel_weights(self) -> int:
        """Weights by which each position's state is multiplied, in all layers."""

    @abc.abstractmethod
    def saved_positions(self, length: int, last: bool) -> int:
        """Positions of which training keeps a tensor ``[k]`` for its backward pass, of one row.

        Args:
            length: of the row, in items.
            last: whether nothing but the last position is wanted.
        """

    def multiplied(self, length: int, last: bool) -> list[float]:
        """Products of a weight and a number of a state that each layer makes of one row, first
        layer first: as many in all, at every position, where a subclass does not say otherwise.

        Args:
            length: of the row, in items.
            last: whether nothing but the last position is wanted.
        """
        return [self.kernel_weights * length / self.layers] * self.layers

    def all_multiplied(self, lengths: torch.Tensor, last: bool) -> torch.Tensor:
        """``[layers]``: :meth:`multiplied` of rows of these ``[B]`` lengths together."""
        different, counts = lengths.unique(return_counts=True)
        each = [self.multiplied(length, last) for length in different.tolist()]
        return counts.double().cpu() @ torch.tensor(each, dtype=torch.double)

    def positions_read(self, length: int) -> int:
        """On how many of `length` positions the last one's state depends, its own included: all
        of them, where a subclass does not say otherwise."""
        return length

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Architecture:
        """From the plain data of :meth:`as_dict`.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in saved.items()
            }
        )


class Encoder(nn.Module, abc.ABC):
    """Item sequences to hidden states.

    Index 0 is padding, ``1 .. items - 1`` are items, and ``items`` is the special token: the mask
    symbol of pretraining and the [TCL] token of fine-tuning share it (PeterRec, footnote 1).

    Args:
        architecture: shape of the network.
        dropout: probability of dropping an element of an embedding, and of what a subclass drops.
        sparse: whether the embedding gets sparse gradients, of the touched rows only.

    Attributes:
        embedding: of the items and the special token.
        blocks: the network's blocks, first to last, of which each is called with the states.
        size: number of weights, patches and other additions left out; a subclass sets it.
    """

    blocks: nn.Sequential | nn.ModuleList
    size: int

    def __init__(
        self, architecture: Architecture, dropout: float = 0.0, sparse: bool = False
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.embedding = nn.Embedding(
            architecture.items + 1,
            architecture.embedding_size,
            padding_idx=0,
            sparse=sparse,
        )
        nn.init.trunc_normal_(self.embedding.weight, std=INIT_STD)
        with torch.no_grad():
            self.embedding.weight[0].zero_()
        self.dropout = Dropout(dropout)

    @property
    def special_token(self) -> int:
        """Index of the mask symbol and of [TCL]."""
        return self.architecture.items

    @abc.abstractmethod
    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Encode.

        Args:
            items: ``[B, L]`` integer ids, padded with 0 on the right.

        Returns:
            Hidden states ``[B, L, k]``. Those of padded positions mean nothing, and padding changes
            no other position's.
        """

    def last_states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The state of each sequence's last item.

        Args:
            items: as in :meth:`forward`.
            lengths: ``[B]`` numbers of items, at least 1.

        Returns:
            ``[B, k]``, what :meth:`forward` gives at position ``lengths - 1``.
        """
        return at_last(self(items), lengths)

    def set_dropout(self, probability: float) -> None:
        """Drop with this probability from now on, everywhere in the encoder."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = probability

    def compile_blocks(self) -> None:
        """Compile what the time goes into, in place (``torch.compile``)."""
        for block in self.blocks:
            block.compile()

    @abc.abstractmethod
    def patch_sites(self, kind: str) -> list[list[str]]:
        """Names of the modules that a patch may wrap, block by block (PeterRec, Fig. 3).

        Args:
            kind: of Fig. 3's network: ``"conv"``, what a LayerNorm follows, or comes before;
                ``"unit"``, a layer with its norm and activation; ``"branch"``, a block without
                its shortcut.

        Returns:
            Of each block the names; none where the network has no such place. A module takes the
            states as its first argument and gives states; if fewer positions than it took, then
            the last ones, along the first axis.
        """

    @abc.abstractmethod
    def prunable_weights(self) -> dict[str, list[str]]:
        """Names of the modules whose ``weight`` Conure may prune, first to last: its kernels under
        ``"convolution"``, and ``"embedding"`` (Conure, Table 5)."""

    @abc.abstractmethod
    def tunable_layers(self) -> list[nn.Module]:
        """The layers of which FineLast trains the last, each with what normalises it."""
