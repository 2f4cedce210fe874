"""LabelCS: every user gets the most frequent training label (PeterRec, section 4.1)."""

from __future__ import annotations

import torch
from torch import nn


class LabelCounts(nn.Module):
    """Scores that are the training counts of the labels, for RecBole's evaluator.

    Args:
        train: training split of a profile task.
        device: where scores go.
    """

    def __init__(self, train, device: torch.device) -> None:
        super().__init__()
        labels = train.inter_feat[train.iid_field]
        counts = torch.bincount(labels, minlength=train.item_num).double()
        # The first of equal counts wins.
        counts -= torch.arange(train.item_num) / train.item_num
        self.register_buffer("counts", counts.to(device))

    def full_sort_predict(self, interaction) -> torch.Tensor:
        """``[B, labels + 1]``, the same row for everybody."""
        return self.counts.repeat(len(interaction), 1)
