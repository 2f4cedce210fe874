"""A backbone from outside the package: the layers of RecBole's SASRec, which declare their sites."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from recbole.model.layers import TransformerLayer
from torch import nn

from recbole_peterrec.model.next_item import NextItemBackbone
from recbole_peterrec.nn.encoder import Architecture, Encoder

POSITIONS = (
    32  # more than the toy has in a sequence; a real one would take a key for it
)
KERNELS = (
    "multi_head_attention.query",
    "multi_head_attention.key",
    "multi_head_attention.value",
    "multi_head_attention.dense",
    "feed_forward.dense_1",
    "feed_forward.dense_2",
)


@dataclass(frozen=True)
class AttentionArchitecture(Architecture):
    """``block_num`` layers of self-attention; ``positions`` is the longest sequence."""

    items: int
    embedding_size: int
    positions: int
    block_num: int
    causal: bool = True

    def build(self, dropout: float = 0.0, sparse: bool = False) -> AttentionEncoder:
        return AttentionEncoder(self, dropout, sparse)

    @property
    def layers(self) -> int:
        return 2 * self.block_num

    @property
    def kernel_weights(self) -> int:
        return len(KERNELS) * self.block_num * self.embedding_size**2

    def saved_positions(self, length: int, last: bool) -> int:
        return self.layers * length


class AttentionEncoder(Encoder):
    """Item and position embeddings, and RecBole's layers under a causal mask."""

    def __init__(
        self,
        architecture: AttentionArchitecture,
        dropout: float = 0.0,
        sparse: bool = False,
    ) -> None:
        super().__init__(architecture, dropout, sparse)
        width = architecture.embedding_size
        self.position = nn.Embedding(architecture.positions, width)
        self.blocks = nn.ModuleList(
            TransformerLayer(1, width, width, dropout, dropout, "gelu", 1e-12)
            for _ in range(architecture.block_num)
        )
        self.size = sum(p.numel() for p in self.parameters())

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        length = items.shape[1]
        later = torch.ones(length, length, device=items.device).triu(1).bool()
        mask = torch.zeros(length, length, device=items.device)
        mask = mask.masked_fill(later, -torch.inf).expand(len(items), 1, -1, -1)
        at = torch.arange(length, device=items.device)
        states = self.dropout(self.embedding(items) + self.position(at))
        for block in self.blocks:
            states = block(states, mask)
        return states

    def patch_sites(self, kind: str) -> list[list[str]]:
        """Before each LayerNorm, as in Fig. 3 (b) and (d); a layer has no other places."""
        if kind != "conv":
            return []
        ends = ("multi_head_attention.dense", "feed_forward.dense_2")
        return [[f"blocks.{i}.{end}" for end in ends] for i in range(len(self.blocks))]

    def prunable_weights(self) -> dict[str, list[str]]:
        kernels = [
            f"blocks.{i}.{kernel}"
            for i in range(len(self.blocks))
            for kernel in KERNELS
        ]
        return {"convolution": kernels, "embedding": ["embedding"]}

    def tunable_layers(self) -> list[nn.Module]:
        return [
            part
            for block in self.blocks
            for part in (block.multi_head_attention, block.feed_forward)
        ]


class AttentionAR(NextItemBackbone):
    """Self-attention, predicting the next item at every position."""

    architecture_class = AttentionArchitecture

    @classmethod
    def architecture_of(cls, config, items: int) -> AttentionArchitecture:
        return AttentionArchitecture(
            items, config["embedding_size"], POSITIONS, config["block_num"]
        )
