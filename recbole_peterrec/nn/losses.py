"""Losses of pretraining and fine-tuning."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def sampled_softmax_loss(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    samples: int,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Softmax cross entropy over the target and `samples` items drawn uniformly without repeats.

    All rows share the sample; a row's own target is left out of its negatives. Negatives are
    weighted up so that their sum estimates the full softmax's, which makes the loss's expected
    partition function exact. Both papers pretrain so, with 20 % of the items.

    Args:
        hidden: ``[N, k]``.
        targets: ``[N]`` item ids in ``1 .. V - 1``.
        weight: ``[V, k]`` classification layer; row 0 is padding and never drawn.
        bias: ``[V]``.
        samples: number of items drawn, ``1 .. V - 1``.
        generator: source of randomness, None for torch's own.

    Returns:
        Mean loss over the rows, a scalar.
    """
    items = len(weight) - 1
    drawn = (
        1 + torch.randperm(items, generator=generator, device=hidden.device)[:samples]
    )
    positive = (hidden * weight[targets]).sum(-1) + bias[targets]
    negative = F.linear(hidden, weight[drawn], bias[drawn])
    negative = negative + torch.log(torch.tensor(items / samples, dtype=hidden.dtype))
    negative = negative.masked_fill(drawn == targets[:, None], -torch.inf)
    logits = torch.cat([positive[:, None], negative], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(targets))


def bpr_loss(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """``-log sigmoid(o_y - o_y-)``, mean over instances (PeterRec, Eq. 8); both ``[B]``."""
    return -F.logsigmoid(positive - negative).mean()
