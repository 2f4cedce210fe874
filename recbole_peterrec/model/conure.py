"""Conure as a RecBole model: a later task on the learner's one encoder."""

from __future__ import annotations

from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.nn.encoder import Encoder


class Conure(TaskRecommender):
    """One of T2, T3, ... (Conure, section 4): a head on the shared encoder.

    Which of the encoder's weights are used and trained is the
    :class:`recbole_peterrec.model.learner.Learner`'s choice. Keys: ``pooling``, ``loss_type``,
    ``dropout_prob``, ``head_dropout``.

    Args:
        config: the task's config.
        dataset: its instances.
        encoder: the learner's; it is shared, not copied.

    Raises:
        ConfigError: a pooling that the encoder does not allow.
    """

    def __init__(self, config, dataset: TaskDataset, encoder: Encoder) -> None:
        super().__init__(config, dataset)
        try:
            self.network = TaskNetwork(
                encoder,
                config["pooling"],
                self.n_items - 1,
                config["dropout_prob"],
                config["head_dropout"],
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
