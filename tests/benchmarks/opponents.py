"""What our modules are measured against, written plainly from the papers' figures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class BatchFirstBlock(nn.Module):
    """The residual block of PeterRec's Fig. 3a over ``[B, L, k]``.

    Args:
        width: k.
        dilation: of the first convolution; the second has twice that.
        dimensions: 1 for ``Conv1d``, 2 for ``Conv2d`` over a height of one, as common
            in public code. Both transpose before and after, and pad a copy on the left.
    """

    def __init__(self, width: int, dilation: int, dimensions: int) -> None:
        super().__init__()
        self.dilations = (dilation, 2 * dilation)
        self.two = dimensions == 2
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, (1, 3), dilation=(1, d))
            if self.two
            else nn.Conv1d(width, width, 3, dilation=d)
            for d in self.dilations
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-8) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, L, k]`` to ``[B, L, k]``."""
        y = x
        for conv, norm, dilation in zip(
            self.convs, self.norms, self.dilations, strict=True
        ):
            if self.two:
                y = F.pad(y.permute(0, 2, 1).unsqueeze(2), (2 * dilation, 0, 0, 0))
                y = conv(y).squeeze(2).permute(0, 2, 1)
            else:
                y = conv(F.pad(y.transpose(1, 2), (2 * dilation, 0))).transpose(1, 2)
            y = F.relu(norm(y))
        return x + y


class PlainNetwork(nn.Module):
    """A next-item network: ``Conv2d`` blocks, a linear layer, and all logits."""

    def __init__(self, items: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(items + 1, width, padding_idx=0)
        self.blocks = nn.Sequential(
            *(BatchFirstBlock(width, dilation, 2) for dilation in dilations)
        )
        self.output = nn.Linear(width, items)

    def loss(self, items: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy of all positions; both ``[B, L]``."""
        logits = self.output(self.blocks(self.embedding(items)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
