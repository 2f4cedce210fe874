"""From an evaluation batch to its targets' ranks."""

from __future__ import annotations

import torch

from recbole_peterrec.evaluation.ranks import ranks_by_scores, ranks_by_states
from recbole_peterrec.model.scorer import StateScorer


class RankingMixin:
    """Put before a RecBole trainer class, it hands ranks in place of scores to its collector.

    The collector must be :class:`recbole_peterrec.evaluation.collector.RankCollector`. A model
    of ours is ranked from its states; of RecBole's models the scores of all items are made.
    """

    def _full_sort_batch_eval(self, batched_data):
        interaction, candidates, positive_u, targets = batched_data
        targets = targets.to(self.device)
        if candidates is not None:
            candidates = candidates.to(self.device)
        if isinstance(self.model, StateScorer):
            states = self.model.user_states(interaction.to(self.device))
            layer = self.model.label_layer()
            ranks = ranks_by_states(states, *layer, targets, candidates)
        else:
            batch = interaction, None, positive_u, targets
            _, scores, *_ = super()._full_sort_batch_eval(batch)
            ranks = ranks_by_scores(scores, targets, candidates)
        return interaction, ranks, positive_u, targets

    def _neg_sample_batch_eval(self, batched_data):
        """Stock RecBole's sampled batches; each target is a case of its own among its user's."""
        _, scores, positive_u, positive_i = super()._neg_sample_batch_eval(batched_data)
        rows = torch.as_tensor(positive_u, device=scores.device)
        targets = torch.as_tensor(positive_i, device=scores.device)
        ranks = ranks_by_scores(scores[rows], targets)
        return batched_data[0], ranks, positive_u, positive_i
