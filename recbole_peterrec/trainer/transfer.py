"""Fine-tuning of one task."""

from __future__ import annotations

from typing import Any

import torch
from recbole.trainer import Trainer

from recbole_peterrec.trainer.base import RunMixin


class TransferTrainer(RunMixin, Trainer):
    """Trains what the strategy chose.

    L2 differs by what is trained: ``head_weight_decay`` for the head (the authors' code has 0.02),
    ``patch_weight_decay`` for patches, which start as the identity and are drawn back to it, and
    ``weight_decay`` for pretrained weights, which it would draw to zero.
    """

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        network = self.model.network
        head = [network.head.weight]
        patches = network.patch_parameters()
        apart = {id(parameter) for parameter in (*head, *patches)}
        rest = [
            p for p in self.model.parameters() if p.requires_grad and id(p) not in apart
        ]
        groups = [
            {"params": rest},
            {"params": patches, "weight_decay": self.config["patch_weight_decay"]},
            {"params": head, "weight_decay": self.config["head_weight_decay"]},
        ]
        return super()._build_optimizer(**{"params": groups, **kwargs})
