"""Dilated convolution over time-major activations."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

INIT_STD = 0.02  # truncated normal of the papers' released code


class _ShiftedMatmuls(torch.autograd.Function):
    """``y[t] = bias + sum_j x[t + offset_j] @ weight[j]``, zero outside the sequence.

    Every tap is one matrix product over a contiguous slice of the time axis, added in place: no
    padded copy of the input, and no gradient is computed for a weight that is frozen.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, offsets):
        ctx.save_for_backward(x, weight)
        ctx.offsets = offsets
        length, width = x.shape[0], weight.shape[2]
        y = bias.expand(*x.shape[:-1], width).clone()
        for tap, offset in zip(weight, offsets, strict=True):
            out, src = _slices(length, offset)
            if out.start < out.stop:
                _flat(y[out]).addmm_(_flat(x[src]), tap)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad = grad.contiguous()
        grad_x = torch.zeros_like(x) if needs_x else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        for j, offset in enumerate(ctx.offsets):
            out, src = _slices(x.shape[0], offset)
            if out.start >= out.stop:
                continue
            if needs_x:
                _flat(grad_x[src]).addmm_(_flat(grad[out]), weight[j].t())
            if needs_weight:
                torch.mm(_flat(x[src]).t(), _flat(grad[out]), out=grad_weight[j])
        grad_bias = _flat(grad).sum(0) if needs_bias else None
        return grad_x, grad_weight, grad_bias, None


def _slices(length: int, offset: int) -> tuple[slice, slice]:
    """Output and source positions of a tap: output ``t`` reads source ``t + offset``."""
    return (
        slice(max(0, -offset), length - max(0, offset)),
        slice(max(0, offset), length - max(0, -offset)),
    )


def _flat(x: torch.Tensor) -> torch.Tensor:
    return x.view(-1, x.shape[-1])


class DilatedConv(nn.Module):
    """One-dimensional dilated convolution, causal or not (PeterRec, Fig. 2; Eq. 4).

    A causal convolution sees ``t - (kernel_size - 1) * dilation .. t``, a non-causal one the same
    span centred on ``t``. Outside the sequence the input counts as zero.

    Args:
        channels: width ``k`` of input and output.
        kernel_size: number of taps (3 in both papers).
        dilation: distance between taps, in positions.
        causal: whether an output may depend on later inputs.

    Raises:
        ValueError: kernel_size or dilation below 1, or an even kernel_size when not causal.
    """

    def __init__(
        self, channels: int, kernel_size: int, dilation: int, causal: bool
    ) -> None:
        super().__init__()
        if kernel_size < 1 or dilation < 1:
            raise ValueError(
                f"kernel_size {kernel_size} and dilation {dilation} must be at least 1"
            )
        if not causal and kernel_size % 2 == 0:
            raise ValueError(f"a non-causal kernel_size must be odd, got {kernel_size}")
        last = 0 if causal else (kernel_size - 1) // 2
        self.offsets = tuple(
            (j - (kernel_size - 1) + last) * dilation for j in range(kernel_size)
        )
        self.weight = nn.Parameter(torch.empty(kernel_size, channels, channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.trunc_normal_(self.weight, std=INIT_STD)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Convolve.

        Args:
            x: ``[L, B, k]``, time first.
            mask: ``[L, B, 1]``, 0 at padded positions, or None when padding cannot be seen
                (causal, padded on the right).

        Returns:
            ``[L, B, k]``.
        """
        if mask is not None:
            x = x * mask
        return _ShiftedMatmuls.apply(
            x.contiguous(), self.weight, self.bias, self.offsets
        )
