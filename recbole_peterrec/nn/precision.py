"""What autocast asks of products that run inside our own autograd functions."""

from __future__ import annotations

import torch


def as_autocast(x: torch.Tensor) -> torch.Tensor:
    """`x` in autocast's type where autocast is on, else `x` itself.

    Autocast does not reach in-place products, so their operands are cast before.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return x.to(torch.get_autocast_dtype(device))
    return x


def add_product(
    out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0
) -> None:
    """``out += scale * (left @ right)``, kept in the type of `out`; all are matrices."""
    if left.dtype == out.dtype:
        out.addmm_(left, right, alpha=scale)
    else:
        out.add_(left @ right, alpha=scale)


def has_bf16(device: torch.device) -> bool:
    """Whether products in bfloat16 run on a device without being emulated."""
    if device.type == "cpu":
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return False
