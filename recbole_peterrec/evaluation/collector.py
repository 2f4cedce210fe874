"""RecBole's collector, by ranks that were counted: no sorting of scores."""

from __future__ import annotations

import torch
from recbole.evaluator import Collector


class RankCollector(Collector):
    """Gives RecBole's metrics where each row's one target is among the best K.

    RecBole takes ``topk`` of the scores, which orders equal ones arbitrarily: a model that gives
    every item the same score may come out perfect. Here the trainer counts ranks
    (:mod:`recbole_peterrec.evaluation.ranks`) and hands those over.
    """

    def eval_batch_collect(
        self, scores_tensor, interaction, positive_u, positive_i
    ) -> None:
        """Collect a batch; `scores_tensor` is the ``[B]`` ranks of the positives, 1 the best."""
        places = torch.arange(1, max(self.topk) + 1, device=scores_tensor.device)
        hits = (scores_tensor.unsqueeze(1) == places).int()
        one = torch.ones_like(hits[:, :1])
        self.data_struct.update_tensor("rec.topk", torch.cat([hits, one], dim=1))
