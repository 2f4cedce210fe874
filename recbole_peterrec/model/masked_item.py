"""Pretraining of a non-causal network: items that are masked."""

from __future__ import annotations

import torch

from recbole_peterrec.data.masking import mask_items, masked_number
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.backbone import Backbone, Lengths


class MaskedItemBackbone(Backbone):
    """Learns and is read as PeterRec's Eq. 2 has it.

    Key ``mask_ratio``: share of each sequence's items that are hidden and predicted (0.3).

    Raises:
        ConfigError: a share that is not between 0 and 1.
    """

    reads = "tcl_end"  # of a mask symbol after the last item

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        self.mask_ratio = config["mask_ratio"]
        if not isinstance(self.mask_ratio, float) or not 0 < self.mask_ratio < 1:
            raise ConfigError(
                f"mask_ratio must be between 0 and 1, got {self.mask_ratio!r}"
            )

    def calculate_loss(self, interaction) -> torch.Tensor:
        """Mean cross entropy over the masked items of a batch of windows ``[B, L]``."""
        items = interaction[self.ITEM_SEQ]
        masked, hidden = mask_items(
            items,
            interaction[self.ITEM_SEQ_LEN],
            self.mask_ratio,
            self.encoder.special_token,
        )
        return self.item_loss(self.encoder(masked)[hidden], items[hidden])

    @staticmethod
    def encoded(lengths: Lengths) -> Lengths:
        """As of :class:`Backbone`: all."""
        return lengths

    def loss_terms(self, rows) -> torch.Tensor:
        """As of :class:`Backbone`: the items that are masked."""
        return masked_number(rows[self.ITEM_SEQ_LEN], self.mask_ratio)
