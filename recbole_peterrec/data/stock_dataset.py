"""The source as stock RecBole's loaders and samplers read it."""

from __future__ import annotations

import numpy as np
import torch
from recbole.data.interaction import Interaction

from recbole_peterrec.data.sequence_dataset import SequenceDataset


class StockSequenceDataset(SequenceDataset):
    """Has the items in ``inter_feat``, where RecBole's sampler counts them to draw by popularity.

    Our own samplers count them in ``sequences``, which takes no memory.
    """

    def _unsplit_rows(self) -> Interaction:
        asked = [self.config[f"{split}_neg_sample_args"] for split in ("valid", "test")]
        if not any(args and args["distribution"] == "popularity" for args in asked):
            return super()._unsplit_rows()
        items = self.sequences.items[self.sequences.prefix_targets(slice(None))]
        return Interaction({self.iid_field: torch.from_numpy(items.astype(np.int64))})
