"""Pretraining of a causal network: the next item at every position."""

from __future__ import annotations

import torch

from recbole_peterrec.data.sequence_dataset import TARGETS
from recbole_peterrec.model.backbone import Backbone, Lengths


class NextItemBackbone(Backbone):
    """Learns and is read as PeterRec's Eq. 1 has it."""

    reads = "last"

    def calculate_loss(self, interaction) -> torch.Tensor:
        """Mean cross entropy over the windows' targets.

        Args:
            interaction: a batch of windows: ids ``[B, L]``, their lengths, and how many of each
                window's last items are targets.
        """
        items, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        position = torch.arange(1, items.shape[1], device=items.device)
        first = (lengths - interaction[TARGETS]).unsqueeze(1)
        chosen = (position >= first) & (position < lengths.unsqueeze(1))
        hidden = self.encoder(items[:, :-1])
        return self.item_loss(hidden[chosen], items[:, 1:][chosen])

    @staticmethod
    def encoded(lengths: Lengths) -> Lengths:
        """As of :class:`Backbone`: the last item is a target alone."""
        return lengths - 1

    def loss_terms(self, rows) -> torch.Tensor:
        """As of :class:`Backbone`: the windows' targets."""
        return rows[TARGETS]
