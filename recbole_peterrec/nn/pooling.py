"""One vector for a whole sequence: where fine-tuning reads the network (PeterRec, Fig. 2)."""

from __future__ import annotations

import torch

POOLINGS = ("tcl_end", "tcl_both", "sum", "mean", "last")

READ_LAST = ("tcl_end", "last")  # poolings that need the last position only
READ_ALL = ("sum", "mean")


def check_pooling(pooling: str, causal: bool) -> None:
    """Refuse what Fig. 2 does not have.

    Raises:
        ValueError: unknown pooling; [TCL] at the start alone, where a causal network has seen
            nothing (Fig. 2b) and which no figure has for a non-causal one; both ends of a causal
            one.
    """
    known = [p for p in POOLINGS if p != "tcl_both" or not causal]
    if pooling in known:
        return
    instead = f"use {', '.join(known[:-1])} or {known[-1]}"
    if causal and pooling in ("tcl_start", "tcl_both"):
        raise ValueError(
            f"pooling {pooling} reads a [TCL] at the start, which carries no information: a causal "
            f"convolution at the first position has seen no item (PeterRec, Fig. 2b); {instead}, or "
            f"tcl_both with a non-causal backbone"
        )
    if pooling == "tcl_start":
        raise ValueError(
            f"pooling tcl_start: no network of the paper reads a [TCL] at the start alone "
            f"(PeterRec, Fig. 2); {instead}"
        )
    raise ValueError(f"pooling must be one of {', '.join(known)}, got {pooling!r}")


def add_tokens(
    items: torch.Tensor, lengths: torch.Tensor, pooling: str, token: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the [TCL] tokens that a pooling reads into right-padded sequences.

    Args:
        items: ``[B, L]`` ids, 0 is padding.
        lengths: ``[B]`` numbers of items.
        pooling: one of :data:`POOLINGS`.
        token: id of [TCL].

    Returns:
        ``[B, L']`` ids and ``[B]`` lengths, tokens counted in.
    """
    rows = torch.arange(len(items), device=items.device)
    if pooling == "tcl_both":
        items = torch.cat([items.new_full((len(items), 1), token), items], dim=1)
        lengths = lengths + 1
    if pooling in ("tcl_both", "tcl_end"):
        items = torch.cat([items, items.new_zeros(len(items), 1)], dim=1)
        items[rows, lengths] = token
        lengths = lengths + 1
    return items, lengths


def pool(hidden: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """Read the vector that a head classifies.

    Args:
        hidden: ``[B, L, k]`` states of the sequences that :func:`add_tokens` made.
        lengths: ``[B]`` their lengths.
        pooling: ``tcl_end`` reads the last position (Eq. 5), ``tcl_both`` the sum of the first
            and the last (Eq. 6), ``sum`` the sum of all (Eq. 7), ``mean`` that sum divided by the
            length, ``last`` the last item (Conure, section 3.2).

    Returns:
        ``[B, k]``.
    """
    if pooling in ("sum", "mean"):
        real = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
        total = (hidden * real.unsqueeze(-1)).sum(dim=1)
        return total if pooling == "sum" else total / lengths[:, None]
    last = at_last(hidden, lengths)
    return hidden[:, 0] + last if pooling == "tcl_both" else last


def at_last(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """``[B, k]`` out of ``[B, L, k]``: the state at each sequence's last position."""
    return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
