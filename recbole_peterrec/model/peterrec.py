"""PeterRec: a pretrained encoder, model patches and a head for one task."""

from __future__ import annotations

import copy

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from torch import nn

from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.tuning import choose_trainable
from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.encoder import DilatedEncoder
from recbole_peterrec.nn.losses import bpr_loss
from recbole_peterrec.nn.patch import ModelPatch
from recbole_peterrec.nn.placement import insert_patches
from recbole_peterrec.nn.pooling import add_tokens, check_pooling, pool

LOSSES = ("CE", "BPR")


class PeterRec(SequentialRecommender):
    """The fine-tuning network of PeterRec (Fig. 1b) and, by ``tuning``, its baselines.

    Keys: ``tuning``, ``tune_layers``, ``tune_layernorm``, ``pooling``, ``patch_insertion``,
    ``patch_count``, ``patch_reduction``, ``patch_activation``, ``patch_cardinality``,
    ``loss_type``, ``dropout_prob``, ``head_dropout``.

    Args:
        config: the task's config.
        dataset: its instances.
        encoder: the pretrained encoder. It is not changed: what the strategy trains is copied,
            what it freezes is shared.

    Raises:
        ConfigError: a value or combination that the paper rules out.
    """

    def __init__(self, config, dataset: TaskDataset, encoder: DilatedEncoder) -> None:
        super().__init__(config, dataset)
        self.ITEM_SEQ = dataset.source.item_list_field
        self.pooling = config["pooling"]
        if config["loss_type"] not in LOSSES:
            raise ConfigError(
                f"loss_type of a task must be CE or BPR, got {config['loss_type']!r}"
            )
        self.loss_type = config["loss_type"]
        try:
            check_pooling(self.pooling, encoder.architecture.causal)
            self.encoder = _partly_shared_copy(encoder, config)
            if config["tuning"] == "patch":
                insert_patches(
                    self.encoder,
                    config["patch_insertion"],
                    lambda: ModelPatch(
                        encoder.architecture.embedding_size,
                        config["patch_reduction"],
                        config["patch_activation"],
                        config["patch_cardinality"],
                    ),
                    config["patch_count"],
                )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = config["dropout_prob"]
        self.head_dropout = nn.Dropout(config["head_dropout"])
        self.head = nn.Linear(encoder.architecture.embedding_size, self.n_items - 1)
        nn.init.trunc_normal_(self.head.weight, std=INIT_STD)
        nn.init.zeros_(self.head.bias)
        self.full_parameters = sum(p.numel() for p in encoder.parameters()) + sum(
            p.numel() for p in self.head.parameters()
        )

    def forward(self, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """User vectors.

        Args:
            items: ``[B, L]`` source ids, padded with 0 on the right.
            lengths: ``[B]``.

        Returns:
            ``[B, k]``, what the head reads.
        """
        items, lengths = add_tokens(items, lengths, self.pooling, self.encoder.special_token)
        return self.head_dropout(pool(self.encoder(items), lengths, self.pooling))

    def calculate_loss(self, interaction) -> torch.Tensor:
        """Cross entropy or BPR of a batch of instances (Eq. 8). Label ids start at 1."""
        user = self(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        label = interaction[self.ITEM_ID] - 1
        if self.loss_type == "CE":
            return nn.functional.cross_entropy(self.head(user), label)
        other = interaction[self.NEG_ITEM_ID] - 1
        return bpr_loss(self._score(user, label), self._score(user, other))

    def _score(self, user: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (user * self.head.weight[label]).sum(-1) + self.head.bias[label]

    def full_sort_predict(self, interaction) -> torch.Tensor:
        """Scores ``[B, labels + 1]``; column 0 is RecBole's padding."""
        scores = self.head(self(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]))
        return nn.functional.pad(scores, (1, 0), value=-torch.inf)

    def predict(self, interaction) -> torch.Tensor:
        """Score ``[B]`` of each row's own label."""
        scores = self.full_sort_predict(interaction)
        return scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Name and value of every trained parameter: all that a task's file must hold."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    @property
    def trainable_parameters(self) -> int:
        """Number of trained weights: the paper's vartheta and v."""
        return sum(p.numel() for p in self.trained_state().values())


def _partly_shared_copy(encoder: DilatedEncoder, config) -> DilatedEncoder:
    """A copy in which what stays frozen is the pretrained tensor itself."""
    choose_trainable(
        encoder, config["tuning"], config["tune_layers"], bool(config["tune_layernorm"])
    )
    frozen = {id(p): p for p in encoder.parameters() if not p.requires_grad}
    copied = copy.deepcopy(encoder, memo=frozen)
    encoder.requires_grad_(False)
    return copied
