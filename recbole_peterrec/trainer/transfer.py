"""Fine-tuning of one task."""

from __future__ import annotations

from typing import Any

import torch
from recbole.trainer import Trainer

from recbole_peterrec.trainer.base import RunMixin


class TransferTrainer(RunMixin, Trainer):
    """Trains what the strategy chose, with an L2 of its own on the head (key
    ``head_weight_decay``; the authors' code has 0.02)."""

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        head = self.model.network.head.weight
        body = [p for p in self.model.parameters() if p.requires_grad and p is not head]
        decay = self.config["head_weight_decay"]
        groups = [{"params": body}, {"params": [head], "weight_decay": decay}]
        return super()._build_optimizer(**{"params": groups, **kwargs})
