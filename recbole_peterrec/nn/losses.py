"""The pairwise loss of fine-tuning; softmax losses are in ``vocabulary_loss`` and ``sampled_softmax``."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def bpr_loss(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """``-log sigmoid(o_y - o_y-)``, mean over instances (PeterRec, Eq. 8); both ``[B]``."""
    return -F.logsigmoid(positive - negative).mean()
