"""Models whose scores are one linear layer on a state of the user."""

from __future__ import annotations

import abc

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from torch import nn


class StateScorer(SequentialRecommender, abc.ABC):
    """Scores labels by ``h W + b`` (PeterRec, Eq. 5 to 7).

    Whoever ranks may take the states and the layer apart, and need not make all scores.
    """

    @abc.abstractmethod
    def user_states(self, interaction) -> torch.Tensor:
        """``h``, ``[B, k]``, of a batch's rows."""

    @abc.abstractmethod
    def label_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``W`` ``[V, k]`` and ``b`` ``[V]`` of the labels with ids ``1 .. V``."""

    def full_sort_predict(self, interaction) -> torch.Tensor:
        """RecBole's interface: scores ``[B, V + 1]``; column 0, its padding, is ``-inf``."""
        scores = nn.functional.linear(
            self.user_states(interaction), *self.label_layer()
        )
        return nn.functional.pad(scores, (1, 0), value=-torch.inf)

    def predict(self, interaction) -> torch.Tensor:
        """RecBole's interface: score ``[B]`` of each row's own label, which is not padding."""
        weight, bias = self.label_layer()
        label = interaction[self.ITEM_ID] - 1
        return (self.user_states(interaction) * weight[label]).sum(-1) + bias[label]
