"""RecBole's collector, by counted ranks: no sorting, and ties never flatter a model."""

from __future__ import annotations

import torch
from recbole.evaluator import Collector


class RankCollector(Collector):
    """Gives RecBole's metrics where each row's one target is among the best K.

    RecBole takes ``topk`` of the scores, which orders equal ones arbitrarily: a model that gives
    every item the same score may come out perfect. Here a target's rank is the number of items
    whose score is at least its own. A target whose score is not a number, or minus infinity, is
    last.
    """

    def eval_batch_collect(
        self, scores_tensor, interaction, positive_u, positive_i
    ) -> None:
        """Collect a batch; `scores_tensor` is ``[B, items]``, positives are index pairs."""
        target = scores_tensor[positive_u, positive_i]
        rank = (scores_tensor >= target.unsqueeze(1)).sum(1)
        rank[target.isnan()] = scores_tensor.shape[1]
        places = torch.arange(1, max(self.topk) + 1, device=rank.device)
        hits = (rank.unsqueeze(1) == places).int()
        one = torch.ones_like(hits[:, :1])
        self.data_struct.update_tensor("rec.topk", torch.cat([hits, one], dim=1))
