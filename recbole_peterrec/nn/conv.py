"""Dilated convolution over time-major activations."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from recbole_peterrec.nn.precision import as_autocast

# Standard deviation of what weights start from. The papers' released code redraws beyond two of
# them (TensorFlow's truncated normal, which leaves 0.0176); torch's, as it is called here, cuts at
# +-2 and so never.
INIT_STD = 0.02


class _ShiftedMatmuls(torch.autograd.Function):
    """``y[t] = bias + sum_j x[t + offset_j] @ weight[j]``, zero outside the sequence.

    Every tap is one matrix product over a contiguous slice of the time axis, added in place: no
    padded copy of the input; for a weight that is frozen no gradient is computed and no input kept.
    Only the last `outputs` positions are computed.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, offsets, outputs):
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.shape, ctx.offsets = x.shape, offsets
        y = bias.expand(outputs, x.shape[1], weight.shape[2]).clone()
        for tap, offset in zip(weight, offsets, strict=True):
            out, src = _slices(len(x), outputs, offset)
            if out.start < out.stop:
                _flat(y[out]).addmm_(_flat(x[src]), tap)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad = grad.contiguous()
        length = ctx.shape[0]
        grad_x = grad.new_empty(ctx.shape) if needs_x else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        if needs_x:  # the tap on the position itself fills what the others add to
            unread = length - len(grad)
            grad_x[:unread].zero_()
            centre = weight[ctx.offsets.index(0)].t()
            torch.mm(_flat(grad), centre, out=_flat(grad_x[unread:]))
        for j, offset in enumerate(ctx.offsets):
            out, src = _slices(length, len(grad), offset)
            if out.start >= out.stop:
                continue
            if needs_x and offset:
                _flat(grad_x[src]).addmm_(_flat(grad[out]), weight[j].t())
            if needs_weight:
                torch.mm(_flat(x[src]).t(), _flat(grad[out]), out=grad_weight[j])
        grad_bias = _flat(grad).sum(0) if needs_bias else None
        return grad_x, grad_weight, grad_bias, None, None


def _slices(length: int, outputs: int, offset: int) -> tuple[slice, slice]:
    """Output and source positions of a tap, for the last `outputs` of `length` positions.

    Output ``t`` stands at position ``t + length - outputs`` and reads `offset` after it.
    """
    shift = length - outputs + offset
    start, stop = max(0, -shift), min(outputs, length - shift)
    return slice(start, stop), slice(start + shift, stop + shift)


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

    @property
    def reach(self) -> int:
        """How many positions before its own an output depends on."""
        return -self.offsets[0]

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        last: int | None = None,
    ) -> torch.Tensor:
        """Convolve.

        Args:
            x: ``[L, B, k]``, time first.
            mask: ``[M, B, 1]``, 0 at padded positions, M at least L; its last L positions are
                those of `x`. None when padding cannot be seen (causal, padded on the right).
            last: how many of the last positions are wanted; None for all.

        Returns:
            ``[min(last, L), B, k]``.
        """
        if mask is not None:
            x = x * mask[len(mask) - len(x) :]
        outputs = len(x) if last is None else min(last, len(x))
        return _ShiftedMatmuls.apply(
            as_autocast(x).contiguous(),
            as_autocast(self.weight),
            as_autocast(self.bias),
            self.offsets,
            outputs,
        )
