"""The non-causal backbone: GRec's encoder, predicting masked items."""

from __future__ import annotations

from recbole_peterrec.model.dilated import DilatedBackbone
from recbole_peterrec.model.masked_item import MaskedItemBackbone


class GRec(MaskedItemBackbone, DilatedBackbone):
    """The bidirectional encoder of GRec with a softmax layer on it (PeterRec, Eq. 2)."""

    causal = False
