"""Units, residual blocks and their stack (PeterRec, Fig. 3a; Conure normalises first)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from recbole_peterrec.nn.conv import DilatedConv
from recbole_peterrec.nn.dropout import Dropout

NORMS = ("post", "pre")
LAYER_NORM_EPS = 1e-8


def last_positions(x: torch.Tensor, count: int) -> torch.Tensor:
    """The last `count` of ``[L, B, k]``: `x` itself where these are all, since the gradient of a
    slice is a copy."""
    return x if count == len(x) else x[len(x) - count :]


class Chain(nn.Sequential):
    """``nn.Sequential`` of modules that take a padding mask and give the last positions."""

    @property
    def reach(self) -> int:
        """As of :class:`DilatedConv`."""
        return sum(module.reach for module in self)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        last: int | None = None,
    ) -> torch.Tensor:
        """``[L, B, k]`` to ``[min(last, L), B, k]``, with no position that nobody reads."""
        wanted = self.reach + (len(x) if last is None else last)
        for module in self:
            wanted -= module.reach
            x = module(x, mask, wanted)
        return x


class Unit(nn.Module):
    """One convolution with its normalisation and ReLU.

    ``norm="post"``: conv - LayerNorm - ReLU (PeterRec, Eq. 4); ``norm="pre"``: LayerNorm - ReLU -
    conv (Conure, section 3.2).

    Raises:
        ValueError: another norm.
    """

    def __init__(self, conv: DilatedConv, channels: int, norm: str) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
        self.conv = conv
        self.norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.act = nn.ReLU(inplace=True)  # LayerNorm keeps its input, not its output
        self.norm_first = norm == "pre"

    @property
    def reach(self) -> int:
        """As of :class:`DilatedConv`."""
        return self.conv.reach

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        last: int | None = None,
    ) -> torch.Tensor:
        """As :meth:`DilatedConv.forward`."""
        if self.norm_first:
            return self.conv(self.act(self.norm(x)), mask, last)
        return self.act(self.norm(self.conv(x, mask, last)))


class ResidualBlock(nn.Module):
    """``E + F(E)`` where F is two units with dilations ``d`` and ``2 d`` (Eq. 3 and 4).

    Args:
        channels: width ``k``.
        kernel_size: taps of each convolution.
        dilation: dilation ``d`` of the first unit.
        causal: see :class:`DilatedConv`.
        norm: ``"post"`` or ``"pre"``.
        dropout: probability of dropping an element of F's output while training.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        dilation: int,
        causal: bool,
        norm: str,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.branch = Chain(
            *(
                Unit(DilatedConv(channels, kernel_size, d, causal), channels, norm)
                for d in (dilation, 2 * dilation)
            )
        )
        self.dropout = Dropout(dropout)

    @property
    def reach(self) -> int:
        """As of :class:`DilatedConv`."""
        return self.branch.reach

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        last: int | None = None,
    ) -> torch.Tensor:
        """As :meth:`DilatedConv.forward`."""
        change = self.branch(x, mask, last)
        return last_positions(x, len(change)) + self.dropout(change)


def residual_stack(
    channels: int,
    kernel_size: int,
    dilations: Sequence[int],
    causal: bool,
    norm: str,
    dropout: float = 0.0,
) -> Chain:
    """One block per entry of `dilations`: ``[1, 4]`` gives layers with dilations 1, 2, 4, 8."""
    return Chain(
        *(
            ResidualBlock(channels, kernel_size, d, causal, norm, dropout)
            for d in dilations
        )
    )
