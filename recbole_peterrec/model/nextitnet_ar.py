"""The causal backbone: NextItNet, predicting the next item at every position."""

from __future__ import annotations

from recbole_peterrec.model.dilated import DilatedBackbone
from recbole_peterrec.model.next_item import NextItemBackbone


class NextItNetAR(NextItemBackbone, DilatedBackbone):
    """NextItNet, autoregressive (PeterRec, Eq. 1; Yuan et al., WSDM 2019).

    RecBole's own ``NextItNet`` learns from the last position of every prefix; this one from all
    positions of a window at once.
    """

    causal = True
