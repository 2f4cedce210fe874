"""The non-causal backbone: GRec's encoder, predicting masked items."""

from __future__ import annotations

from recbole_peterrec.model.dilated import dilated_architecture
from recbole_peterrec.model.masked_item import MaskedItemBackbone
from recbole_peterrec.nn.dilated import DilatedArchitecture


class GRec(MaskedItemBackbone):
    """The bidirectional encoder of GRec with a softmax layer on it (PeterRec, Eq. 2).

    Keys: ``mask_ratio``, and those of :func:`dilated_architecture`.
    """

    architecture_class = DilatedArchitecture

    @classmethod
    def architecture_of(cls, config, items: int) -> DilatedArchitecture:
        """As of :class:`Backbone`."""
        return dilated_architecture(config, items, causal=False)
