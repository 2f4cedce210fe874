"""GRec's masks (PeterRec, Eq. 2)."""

from __future__ import annotations

import torch


def masked_number(lengths: torch.Tensor, ratio: float) -> torch.Tensor:
    """How many items of sequences are hidden: the share, rounded; at least one, and of two or more
    not all (Eq. 2); ``[B]``."""
    return torch.minimum((lengths * ratio).round(), lengths - 1).clamp(min=1)


def mask_items(
    items: torch.Tensor, lengths: torch.Tensor, ratio: float, token: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide a share of each sequence's items.

    Args:
        items: ``[B, L]`` ids, padded with 0 on the right.
        lengths: ``[B]``.
        ratio: share of the items to hide, see :func:`masked_number`.
        token: id of the mask symbol.

    Returns:
        ``[B, L]`` ids with the mask symbol in, and ``[B, L]`` true where it is.
    """
    position = torch.arange(items.shape[1], device=items.device)
    real = position < lengths.unsqueeze(1)
    number = masked_number(lengths, ratio).unsqueeze(1)
    noise = torch.rand(items.shape, device=items.device).masked_fill(~real, torch.inf)
    hidden = (noise.argsort(dim=1).argsort(dim=1) < number) & real
    return items.masked_fill(hidden, token), hidden
