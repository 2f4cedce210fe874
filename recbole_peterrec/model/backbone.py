"""What the pretrainable backbones share as RecBole models."""

from __future__ import annotations

import abc
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from recbole_peterrec.data.directions import item_directions
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.scorer import StateScorer
from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.encoder import Architecture
from recbole_peterrec.nn.pooling import READ_LAST, add_tokens
from recbole_peterrec.nn.sampled_softmax import ItemSampler, sampled_softmax_loss
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy

Lengths = TypeVar("Lengths", np.ndarray, torch.Tensor)


class Backbone(StateScorer):
    """An encoder with the classification layer of its pretraining.

    Subclasses say which network it is, where training predicts, and where evaluation reads. Keys:
    those of its architecture, ``dropout_prob``, ``embedding_init`` (``svd``: item embeddings begin
    as :func:`item_directions` of the training rows), ``softmax_samples`` (0 is the exact softmax;
    a fraction of the items, or their number, in each of a step's samples), ``softmax_popularity``
    (power of an item's count in the training rows, by which it is drawn), ``table_updates``
    (``rows``: sparse gradients of the embedding and, with the sampled softmax, of the output layer,
    its bias included, so that an item's weights all move or all rest).

    Attributes:
        architecture_class: of which its :meth:`architecture_of` and its saved files are.
        reads: the pooling by which the item after a sequence is predicted, here and from its saved
            files: ``last``, or ``tcl_end``, where the special token stands for that item.

    Raises:
        ConfigError: a value that no network can have.
        TypeError: a subclass that does not say what it reads.
    """

    architecture_class: type[Architecture]
    reads: str

    @classmethod
    @abc.abstractmethod
    def architecture_of(cls, config, items: int) -> Architecture:
        """The network that a config describes, for so many item ids, that of padding included.

        Raises:
            ConfigError: a value that no network can have.
        """

    def __init__(self, config, dataset) -> None:
        super().__init__(config, dataset)
        if config["loss_type"] != "CE":
            raise ConfigError(
                f"loss_type of {config['model']} must be CE (Eq. 1 and 2), "
                f"got {config['loss_type']!r}"
            )
        if getattr(self, "reads", None) not in READ_LAST:
            raise TypeError(
                f"{type(self).__name__}.reads must be one of {', '.join(READ_LAST)}"
            )
        self.sparse = config["table_updates"] == "rows"
        try:
            architecture = self.architecture_of(config, self.n_items)
            self.encoder = architecture.build(config["dropout_prob"], self.sparse)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if config["embedding_init"] == "svd":
            self._begin_with_directions(dataset, config["seed"])
        self.output = nn.Linear(architecture.embedding_size, self.n_items)
        nn.init.trunc_normal_(self.output.weight, std=INIT_STD)
        nn.init.zeros_(self.output.bias)
        self.softmax_samples = self._count_samples(config["softmax_samples"])
        if self.softmax_samples:
            counts = torch.from_numpy(dataset.training_counts()[1:])
            weights = (1.0 + counts) ** config["softmax_popularity"]
            self.sampler = ItemSampler(weights, self.softmax_samples)

    @torch.no_grad()
    def _begin_with_directions(self, dataset: SequenceDataset, seed: int) -> None:
        """Item embeddings that tell who has the items, as large as random ones."""
        table = self.encoder.embedding.weight[: self.n_items]
        self.logger.info(
            f"item embeddings: up to {table.shape[1]} directions of who had which item are sought "
            f"(embedding_init)"
        )
        vectors = item_directions(
            dataset.sequences, dataset.read_in_training(), table.shape[1], seed
        )
        table.copy_(INIT_STD * vectors)

    def _count_samples(self, samples: float | None) -> int:
        items = self.n_items - 1
        samples = samples or 0
        count = max(1, round(samples * items)) if 0 < samples < 1 else samples
        one = isinstance(samples, float) and samples == 1  # all of them, or one?
        if one or not 0 <= samples or count != int(count) or count > items:
            raise ConfigError(
                f"softmax_samples must be 0 (exact), a fraction below 1 or a number of at most "
                f"{items} items, got {samples!r}"
            )
        return int(count)

    def item_loss(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy of ``[N, k]`` states against ``[N]`` items, exact or sampled."""
        weight, bias = self.output.weight, self.output.bias
        if self.softmax_samples:
            samples = self.sampler.for_rows(len(hidden))
            return sampled_softmax_loss(
                hidden, targets, weight, bias, samples, self.sparse
            )
        return linear_cross_entropy(hidden, weight, bias, targets)

    @staticmethod
    @abc.abstractmethod
    def encoded(lengths: Lengths) -> Lengths:
        """How many positions training encodes of windows of so many items."""

    @abc.abstractmethod
    def loss_terms(self, rows) -> torch.Tensor:
        """``[B]`` how many targets each of a batch's rows has in the mean that is its loss.

        Args:
            rows: an Interaction of the rows' columns, their items not among them.
        """

    def training_flops(self, rows) -> float:
        """FLOP of a step on a batch: products forward and, twice as many, backward.

        Args:
            rows: a batch of windows.
        """
        architecture = self.encoder.architecture
        layer = (self.softmax_samples or self.n_items) * architecture.embedding_size
        lengths = self.encoded(rows[self.ITEM_SEQ_LEN])
        encoded = float(architecture.all_multiplied(lengths, last=False).sum())
        return 6 * (encoded + layer * float(self.loss_terms(rows).sum()))

    def user_states(self, interaction) -> torch.Tensor:
        """As of :class:`StateScorer`."""
        items, lengths = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        token = self.encoder.special_token
        return self.encoder.last_states(*add_tokens(items, lengths, self.reads, token))

    def label_layer(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As of :class:`StateScorer`; the labels are the items."""
        return self.output.weight[1:], self.output.bias[1:]
