"""What every downstream task's RecBole model does: losses and scores of a task's network."""

from __future__ import annotations

import abc

import torch

from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.scorer import StateScorer
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.nn.losses import bpr_loss
from recbole_peterrec.nn.table_rows import rows_of
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy


class TaskRecommender(StateScorer):
    """Instances (u, y) of one task, by a network that a subclass makes.

    Args:
        config: the task's config; ``loss_type`` is CE or BPR.
        dataset: its instances.
        encoder: which the network is made on.

    Attributes:
        vectors: ``[users, k]`` of all users by their ids in the task, where a training keeps them
            (:mod:`recbole_peterrec.trainer.user_vectors`); batches then need no sequences.

    Raises:
        ConfigError: a network that cannot be.
    """

    vectors: torch.Tensor | None

    def __init__(self, config, dataset: TaskDataset, encoder: Encoder) -> None:
        super().__init__(config, dataset)
        self.ITEM_SEQ = dataset.source.item_list_field
        self.loss_type = config["loss_type"]
        self.vectors = None
        try:
            self.network = self._network(config, encoder)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @abc.abstractmethod
    def _network(self, config, encoder: Encoder) -> TaskNetwork:
        """The task's network.

        Raises:
            ValueError: a value or combination that cannot be.
        """

    def calculate_loss(self, interaction) -> torch.Tensor:
        """Cross entropy or BPR of a batch of instances (Eq. 8). Label ids start at 1."""
        user = self.user_states(interaction)
        label = interaction[self.ITEM_ID] - 1
        if self.loss_type == "CE":
            return linear_cross_entropy(user, *self.label_layer(), label)
        other = interaction[self.NEG_ITEM_ID] - 1
        return bpr_loss(self._score(user, label), self._score(user, other))

    def training_flops(self, rows) -> float:
        """FLOP of a step on a batch of instances: the encoder's products and the head's."""
        scored = self.network.head.out_features if self.loss_type == "CE" else 2
        head = 6 * len(rows) * scored * self.network.head.in_features
        if self.vectors is not None:
            return head
        return head + self.network.training_flops(rows[self.ITEM_SEQ_LEN])

    def user_states(self, interaction) -> torch.Tensor:
        """As of :class:`StateScorer`: what the head reads."""
        if self.vectors is not None:
            return self.network.head_dropout(self.vectors[interaction[self.USER_ID]])
        return self.network(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    def _score(self, user: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        head = self.network.head
        return (user * rows_of(head.weight, label)).sum(-1) + rows_of(head.bias, label)

    def label_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As of :class:`StateScorer`: the head."""
        return self.network.head.weight, self.network.head.bias
