"""Dropout whose random numbers cost little on a CPU."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

LEVELS = 2**16  # of a random number: 16 bits, four of which are drawn at once


class Dropout(nn.Dropout):
    """``nn.Dropout``; on a CPU, four elements share one 64-bit random number.

    torch draws a number for each element there, which can be a seventh of a training step.
    Sixteen bits an element make the probability right to ``2 ** -17``, and what is kept is
    scaled by just the share that is kept. While it trains on a CPU, second derivatives and
    ``torch.func``'s transforms (vmap, grad, ...) raise.

    Args:
        p: probability of an element to be dropped.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` with elements dropped while training, the others scaled up; any shape."""
        dropped = round(self.p * LEVELS)
        native = x.device.type != "cpu" or torch.compiler.is_compiling()
        if native or not self.training or dropped in (0, LEVELS):
            return super().forward(x)
        return _Drop.apply(x, dropped)


class _Drop(torch.autograd.Function):
    """Drops elements with probability ``dropped / LEVELS``; keeps their random bits for later."""

    @staticmethod
    def forward(ctx, x, dropped):
        count = (x.numel() + 3) // 4
        numbers = torch.empty(count, dtype=torch.int64, device=x.device)
        bits = numbers.random_(torch.iinfo(torch.int64).min, None).view(torch.int16)
        ctx.save_for_backward(bits)
        ctx.dropped = dropped
        return _drop(x, bits, dropped)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (bits,) = ctx.saved_tensors
        return _drop(grad, bits, ctx.dropped), None


def _drop(x: torch.Tensor, bits: torch.Tensor, dropped: int) -> torch.Tensor:
    """`x`, its elements multiplied by 0 or by what makes up for those that are.

    The comparison writes zeros and ones of the type of `x`: torch converts any others in a pass of
    their own before it multiplies.
    """
    kept = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    lowest = torch.iinfo(torch.int16).min
    torch.ge(bits[: x.numel()], dropped + lowest, out=kept.view(-1))
    return kept.mul_(x).mul_(LEVELS / (LEVELS - dropped))
