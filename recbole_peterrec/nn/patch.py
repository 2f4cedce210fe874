"""The model patch (PeterRec, Eq. 10 and Fig. 3f)."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.precision import as_autocast

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


class ModelPatch(nn.Module):
    """``H(E) = E + up(act(down(E)))``, two 1x1 convolutions ``k -> d -> k`` with a shortcut.

    `up` starts at zero, so a serial patch starts as the identity and fine-tuning starts from the
    pretrained network.

    Args:
        channels: ``k``.
        reduction: ``r``; one path is ``k / r`` wide (8 in the paper, 4 in its code).
        activation: ``"relu"`` (paper) or ``"gelu"`` (code).
        cardinality: number of parallel paths that are summed (code). Their sum is one bottleneck
            of width ``d = cardinality * k / r`` and is computed as that.

    Raises:
        ValueError: `reduction` does not divide `channels`, cardinality below 1, or an unknown
            activation.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 8,
        activation: str = "relu",
        cardinality: int = 1,
    ) -> None:
        super().__init__()
        if reduction < 1 or channels % reduction:
            raise ValueError(
                f"patch_reduction {reduction} does not divide embedding_size {channels}"
            )
        if cardinality < 1:
            raise ValueError(f"patch_cardinality must be at least 1, got {cardinality}")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"patch_activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        width = cardinality * (channels // reduction)
        self.down = nn.Linear(channels, width)
        self.act = ACTIVATIONS[activation]()
        self.up = nn.Linear(width, channels)
        nn.init.trunc_normal_(self.down.weight, std=INIT_STD)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[..., k]`` to ``[..., k]``."""
        down, up = self.down, self.up
        operands = (
            as_autocast(operand)
            for operand in (
                x.reshape(-1, x.shape[-1]),
                *(down.weight, down.bias, up.weight, up.bias),
            )
        )
        return _Bottleneck.apply(*operands, self.act).view(x.shape)


class _Bottleneck(torch.autograd.Function):
    """``x + up(act(down(x)))`` over rows; shortcut and product share one sum both ways.

    All that is as wide as `x` then passes through memory once, which at ``k / 8`` costs as
    much as the products.
    """

    @staticmethod
    def forward(ctx, x, down, down_bias, up, up_bias, act):
        narrow = torch.addmm(down_bias, x, down.t())
        inner = act(narrow)
        ctx.save_for_backward(x, down, up, narrow, inner)
        ctx.act = act
        return (x + up_bias).addmm_(inner, up.t())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, down, up, narrow, inner = ctx.saved_tensors
        with torch.enable_grad():
            narrow = narrow.detach().requires_grad_()
            (grad_narrow,) = torch.autograd.grad(ctx.act(narrow), narrow, grad @ up)
        return (
            torch.addmm(grad, grad_narrow, down) if ctx.needs_input_grad[0] else None,
            grad_narrow.t() @ x,
            grad_narrow.sum(0),
            grad.t() @ inner,
            grad.sum(0),
            None,
        )
