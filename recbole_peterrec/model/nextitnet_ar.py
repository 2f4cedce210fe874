"""The causal backbone: NextItNet, predicting the next item at every position."""

from __future__ import annotations

from recbole_peterrec.model.dilated import dilated_architecture
from recbole_peterrec.model.next_item import NextItemBackbone
from recbole_peterrec.nn.dilated import DilatedArchitecture


class NextItNetAR(NextItemBackbone):
    """NextItNet, autoregressive (PeterRec, Eq. 1; Yuan et al., WSDM 2019).

    RecBole's own ``NextItNet`` learns from the last position of every prefix; this one from all
    positions of a window at once. Keys: those of :func:`dilated_architecture`.
    """

    architecture_class = DilatedArchitecture

    @classmethod
    def architecture_of(cls, config, items: int) -> DilatedArchitecture:
        """As of :class:`Backbone`."""
        return dilated_architecture(config, items, causal=True)
