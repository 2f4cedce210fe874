"""The backbone without its classification layer: embedding and dilated residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.dropout import Dropout
from recbole_peterrec.nn.pooling import at_last
from recbole_peterrec.nn.residual import residual_stack


@dataclass(frozen=True)
class Architecture:
    """What fixes the shape of a backbone's weights.

    Attributes:
        items: size of the item vocabulary, the padding index 0 included.
        embedding_size: width ``k`` of embeddings and hidden states.
        kernel_size: taps of each convolution.
        dilations: dilation of each block's first layer, blocks in order.
        causal: next-item network (NextItNet) or bidirectional encoder (GRec).
        norm: ``"post"`` (PeterRec) or ``"pre"`` (Conure's code).
        embedding_scale: embeddings enter the first block times this. The papers have 1; there
            each block's branch, normalised, is some hundred times what enters it, and the states
            hardly tell which items there were.
    """

    items: int
    embedding_size: int
    kernel_size: int
    dilations: tuple[int, ...]
    causal: bool
    norm: str
    embedding_scale: float = 1.0

    def as_dict(self) -> dict:
        """Plain data for JSON."""
        return {**asdict(self), "dilations": list(self.dilations)}

    @classmethod
    def of(cls, saved: dict) -> Architecture:
        """From the plain data of :meth:`as_dict`.

        Raises:
            KeyError, TypeError: a field is missing, unknown or no list.
        """
        return cls(**{**saved, "dilations": tuple(saved["dilations"])})


class DilatedEncoder(nn.Module):
    """Item sequences to hidden states (PeterRec, section 3.2).

    Index 0 is padding, ``1 .. items - 1`` are items, and ``items`` is the special token: the mask
    symbol of pretraining and the [TCL] token of fine-tuning share it (PeterRec, footnote 1).

    Args:
        architecture: shape of the network.
        dropout: probability of dropping an embedding channel or a block's output channel.
        sparse: whether the embedding gets sparse gradients, of the touched rows only.

    Attributes:
        size: number of weights, patches and other additions left out.
    """

    def __init__(
        self, architecture: Architecture, dropout: float = 0.0, sparse: bool = False
    ) -> None:
        super().__init__()
        self.architecture = architecture
        a = architecture
        self.embedding = nn.Embedding(
            a.items + 1, a.embedding_size, padding_idx=0, sparse=sparse
        )
        nn.init.trunc_normal_(self.embedding.weight, std=INIT_STD)
        with torch.no_grad():
            self.embedding.weight[0].zero_()
        self.dropout = Dropout(dropout)
        self.blocks = residual_stack(
            a.embedding_size, a.kernel_size, a.dilations, a.causal, a.norm, dropout
        )
        self.size = sum(p.numel() for p in self.parameters())

    @property
    def special_token(self) -> int:
        """Index of the mask symbol and of [TCL]."""
        return self.architecture.items

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Encode.

        Args:
            items: ``[B, L]`` integer ids, padded with 0 on the right.

        Returns:
            Hidden states ``[B, L, k]``. Those of padded positions mean nothing.
        """
        mask = None
        if not self.architecture.causal:
            mask = (items != 0).t().unsqueeze(-1).to(self.embedding.weight.dtype)
        return self.blocks(self._embed(items), mask).transpose(0, 1)

    def _embed(self, items: torch.Tensor) -> torch.Tensor:
        """``[B, L]`` ids to ``[L, B, k]``, what the first block reads."""
        scale = self.architecture.embedding_scale
        return self.dropout(self.embedding(items.t()) * scale)

    def set_dropout(self, probability: float) -> None:
        """Drop with this probability from now on, everywhere in the encoder."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = probability

    def last_states(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The state of each sequence's last item, without the positions it does not read.

        In a causal network the sequences are moved so that their last items coincide; each
        layer then computes just the last positions that a later one reads.

        Args:
            items: as in :meth:`forward`.
            lengths: ``[B]`` numbers of items, at least 1.

        Returns:
            ``[B, k]``, what :meth:`forward` gives at position ``lengths - 1``.
        """
        if not self.architecture.causal:
            return at_last(self(items), lengths)
        shift = items.shape[1] - lengths.unsqueeze(1)
        source = torch.arange(items.shape[1], device=items.device) - shift
        real = source >= 0
        items = torch.where(real, items.gather(1, source.clamp(min=0)), 0)
        read = 1 + self.blocks.reach
        x = self._embed(items[:, -read:])
        mask = None
        if shift.any():
            mask = real.t().unsqueeze(-1).to(x.dtype)
        return self.blocks(x, mask, last=1).squeeze(0)

    def patch_sites(self, kind: str) -> list[list[str]]:
        """Names of the modules that a patch may wrap, block by block.

        Args:
            kind: ``"conv"`` and ``"unit"`` give two names a block, ``"branch"`` one.
        """
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
        """Names of the modules whose ``weight`` Conure may prune, by kind, first to last."""
        sites = self.patch_sites("conv")
        return {
            "convolution": [name for block in sites for name in block],
            "embedding": ["embedding"],
        }

    def convolution_layers(self) -> list[nn.Module]:
        """Each convolution layer with its LayerNorm, first to last."""
        return [unit for block in self.blocks for unit in block.branch]


def repeat_dilations(dilations: Sequence[int], block_num: int) -> tuple[int, ...]:
    """RecBole's NextItNet convention: the list of dilations, repeated `block_num` times."""
    return tuple(dilations) * block_num
