"""RecBole's collector, with ties that never flatter a model."""

from __future__ import annotations

import torch
from recbole.evaluator import Collector


class TieSafeCollector(Collector):
    """Counts an item with the target's own score as ranked before the target.

    RecBole takes ``topk`` of the scores, which orders equal ones arbitrarily: a model that gives
    every item the same score may come out perfect. Scores that are not numbers rank last.
    """

    def eval_batch_collect(
        self, scores_tensor, interaction, positive_u, positive_i
    ) -> None:
        """Collect a batch; `scores_tensor` is ``[B, items]``, positives are index pairs."""
        # In float64 the next number below a float32 lies above every other smaller float32, so
        # the targets lose their ties and nothing else moves.
        scores = scores_tensor.double().nan_to_num(nan=-torch.inf, posinf=torch.inf)
        scores = scores.masked_fill(scores_tensor == -torch.inf, -torch.inf)
        target = scores[positive_u, positive_i]
        scores[positive_u, positive_i] = torch.nextafter(
            target, torch.full_like(target, -torch.inf)
        )
        super().eval_batch_collect(scores, interaction, positive_u, positive_i)
