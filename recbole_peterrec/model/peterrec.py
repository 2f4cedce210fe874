"""PeterRec as a RecBole model: one task's tuned network."""

from __future__ import annotations

from recbole_peterrec.model.task_network import TaskNetwork, tuned_network
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.encoder import Encoder


class PeterRec(TaskRecommender):
    """Fine-tuning for a task: PeterRec, or by the key ``tuning`` one of its baselines.

    The pretrained encoder is frozen; its values stay as they are. Keys: those of :class:`Tuning`,
    ``loss_type``, ``dropout_prob``, ``head_dropout``.
    """

    def _network(self, config, encoder: Encoder) -> TaskNetwork:
        labels, dropout = self.n_items - 1, config["dropout_prob"]
        tuning, head_dropout = Tuning.of(config), config["head_dropout"]
        return tuned_network(encoder, tuning, labels, dropout, head_dropout)
