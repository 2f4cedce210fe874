"""The papers' encoder: item embeddings and dilated residual blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from recbole_peterrec.nn.encoder import Architecture, Encoder
from recbole_peterrec.nn.residual import residual_stack


@dataclass(frozen=True)
class DilatedArchitecture(Architecture):
    """A stack of dilated residual blocks.

    Attributes:
        items, embedding_size, causal: as of :class:`Architecture`; causal is NextItNet, not causal
            GRec's encoder.
        kernel_size: taps of each convolution.
        dilations: dilation of each block's first layer, blocks in order.
        norm: ``"post"`` (PeterRec) or ``"pre"`` (Conure, section 3.2).
        embedding_scale: embeddings enter the first block times this. The papers have 1; there
            each block's branch, normalised, is some hundred times what enters it, and the states
            hardly tell which items there were.

    Raises:
        ValueError: a value that no network can have.
    """

    items: int
    embedding_size: int
    kernel_size: int
    dilations: tuple[int, ...]
    causal: bool
    norm: str
    embedding_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("items", "embedding_size", "kernel_size"):
            _require_count(name, getattr(self, name))
        if not self.dilations:
            raise ValueError("dilations and block_num give no block")
        for dilation in self.dilations:
            _require_count("each of dilations", dilation)
        if not 0 < self.embedding_scale < math.inf:
            raise ValueError(
                f"embedding_scale must be above 0, got {self.embedding_scale}"
            )

    def build(self, dropout: float = 0.0, sparse: bool = False) -> DilatedEncoder:
        """As of :class:`Architecture`."""
        return DilatedEncoder(self, dropout, sparse)

    @property
    def layers(self) -> int:
        """Convolutions, two a block."""
        return 2 * len(self.dilations)

    @property
    def kernel_weights(self) -> int:
        """Weights of all convolutions' kernels."""
        return self.layers * self.kernel_size * self.embedding_size**2

    def positions_read(self, length: int) -> int:
        """As of :class:`Architecture`: a layer reaches back by all of its taps, or half of them."""
        return min(length, 1 + sum(self._taps_back * 3 * d for d in self.dilations))

    @property
    def _taps_back(self) -> int:
        """Taps of a convolution on positions before its own."""
        return (self.kernel_size - 1) // (1 if self.causal else 2)

    def saved_positions(self, length: int, last: bool) -> int:
        """As of :class:`Architecture`.

        Each convolution keeps what it reads, and each LayerNorm: the convolution's output (post)
        or what comes before it (pre). A post-norm block keeps its last ReLU's output besides.
        Where only the last position is wanted, a layer reads as many as its taps reach back from
        those above: with dilations 1 and 2 of three taps, causal, the second reads 5 and the
        first 7.
        """
        positions = 0
        layers = self._read_and_given(length, last)
        for place, (_, read, given) in enumerate(layers):
            if self.norm == "post" and place % 2 == 0:
                positions += given  # of the block's last ReLU
            positions += read + (read if self.norm == "pre" else given)
        return positions

    def multiplied(self, length: int, last: bool) -> list[float]:
        """As of :class:`Architecture`: a tap makes them for the positions that a layer gives, but
        those from which it would read outside the row."""
        back, ahead = self._taps_back, self.kernel_size - 1 - self._taps_back
        products = []
        for dilation, read, given in self._read_and_given(length, last):
            before = (min(given, read - tap * dilation) for tap in range(back + 1))
            after = (given - tap * dilation for tap in range(1, ahead + 1))
            products.append(sum(max(0, n) for n in (*before, *after)))
        return [self.embedding_size**2 * positions for positions in reversed(products)]

    def _read_and_given(
        self, length: int, last: bool
    ) -> Iterator[tuple[int, int, int]]:
        """Each layer's dilation and the positions that it reads and gives, of a row; the last
        layer first."""
        given = 1 if last else length
        for first in reversed(self.dilations):
            for dilation in (2 * first, first):
                read = min(length, given + dilation * self._taps_back)
                yield dilation, read, given
                given = read


def _require_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


class DilatedEncoder(Encoder):
    """Item sequences to hidden states (PeterRec, section 3.2).

    Args:
        architecture: shape of the network.
        dropout: probability of dropping an element of an embedding or of a block's output.
        sparse: whether the embedding gets sparse gradients, of the touched rows only.
    """

    architecture: DilatedArchitecture

    def __init__(
        self,
        architecture: DilatedArchitecture,
        dropout: float = 0.0,
        sparse: bool = False,
    ) -> None:
        super().__init__(architecture, dropout, sparse)
        a = architecture
        self.blocks = residual_stack(
            a.embedding_size, a.kernel_size, a.dilations, a.causal, a.norm, dropout
        )
        self.size = sum(p.numel() for p in self.parameters())

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """As of :class:`Encoder`."""
        mask = None
        if not self.architecture.causal:
            mask = (items != 0).t().unsqueeze(-1).to(self.embedding.weight.dtype)
        return self.blocks(self._embed(items), mask).transpose(0, 1)

    def _embed(self, items: torch.Tensor) -> torch.Tensor:
        """``[B, L]`` ids to ``[L, B, k]``, what the first block reads."""
        scale = self.architecture.embedding_scale
        return self.dropout(self.embedding(items.t()) * scale)

    def last_states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """As of :class:`Encoder`, without the positions that the last one does not read.

        The sequences are moved so that their last items coincide; each layer then computes just the
        last positions that a later one reads.
        """
        shift = items.shape[1] - lengths.unsqueeze(1)
        source = torch.arange(items.shape[1], device=items.device) - shift
        real = source >= 0
        items = torch.where(real, items.gather(1, source.clamp(min=0)), 0)
        read = 1 + self.blocks.reach
        x = self._embed(items[:, -read:])
        mask = None
        if x.is_cuda or shift.any():  # a GPU would have to be waited for
            mask = real.t().unsqueeze(-1).to(x.dtype)
        return self.blocks(x, mask, last=1).squeeze(0)

    def compile_blocks(self) -> None:
        """As of :class:`Encoder`: the whole stack, which all ways through it call."""
        self.blocks.compile()

    def patch_sites(self, kind: str) -> list[list[str]]:
        """As of :class:`Encoder`; ``conv`` and ``unit`` give two names a block, ``branch`` one."""
        names = []
        for i in range(len(self.blocks)):
            branch = f"blocks.{i}.branch"
            units = [f"{branch}.0", f"{branch}.1"]
            names.append(
                {
                    "branch": [branch],
                    "unit": units,
                    "conv": [f"{unit}.conv" for unit in units],
                }[kind]
            )
        return names

    def prunable_weights(self) -> dict[str, list[str]]:
        """As of :class:`Encoder`."""
        sites = self.patch_sites("conv")
        return {
            "convolution": [name for block in sites for name in block],
            "embedding": ["embedding"],
        }

    def tunable_layers(self) -> list[nn.Module]:
        """As of :class:`Encoder`: a convolution with its LayerNorm and ReLU."""
        return [unit for block in self.blocks for unit in block.branch]
