"""Conure as a RecBole model: a later task on the learner's one encoder."""

from __future__ import annotations

from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.nn.encoder import Encoder


class Conure(TaskRecommender):
    """One of T2, T3, ... (Conure, section 4): a head on the shared encoder.

    Which of the encoder's weights are used and trained is the
    :class:`recbole_peterrec.model.learner.Learner`'s choice; it is shared, not copied. Keys:
    ``pooling``, ``loss_type``, ``dropout_prob``, ``head_dropout``.
    """

    def _network(self, config, encoder: Encoder) -> TaskNetwork:
        labels, dropout = self.n_items - 1, config["dropout_prob"]
        pooling, head_dropout = config["pooling"], config["head_dropout"]
        return TaskNetwork(encoder, pooling, labels, dropout, head_dropout)
