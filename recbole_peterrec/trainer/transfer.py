"""Fine-tuning of one task."""

from __future__ import annotations

from typing import Any

import torch
from recbole.trainer import Trainer

from recbole_peterrec.trainer.averaging import WeightAverage
from recbole_peterrec.trainer.base import RunMixin


class TransferTrainer(RunMixin, Trainer):
    """Trains what the strategy chose; with ``weight_average``, judges and keeps its average.

    L2 differs by what is trained: ``head_weight_decay`` for the head (the authors' code has 0.02),
    ``patch_weight_decay`` for patches, which start as the identity and are drawn back to it, and
    ``weight_decay`` for pretrained weights, which it would draw to zero. ``head_learning_rate``
    is that of the head's weights, which start from nothing; its biases move as the rest does.
    """

    average: WeightAverage | None

    def _parameter_groups(self) -> list[dict[str, Any]]:
        (every,) = super()._parameter_groups()
        network = self.model.network
        head = [network.head.weight]
        patches = network.patch_parameters()
        apart = {id(parameter) for parameter in (*head, *patches)}
        return [
            {"params": [p for p in every["params"] if id(p) not in apart]},
            {"params": patches, "weight_decay": self.config["patch_weight_decay"]},
            {
                "params": head,
                "weight_decay": self.config["head_weight_decay"],
                "lr": self.config["head_learning_rate"] or self.learning_rate,
            },
        ]

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        optimizer = super()._build_optimizer(**kwargs)
        self.average = None
        if self.config["weight_average"]:
            groups = optimizer.param_groups
            trained = [parameter for group in groups for parameter in group["params"]]
            self.average = WeightAverage(trained, self.config["weight_average"])
            optimizer.register_step_post_hook(lambda *_: self.average.update())
        return optimizer

    def _train_epoch(self, *args: Any, **kwargs: Any):
        if self.average is not None:
            self.average.train_on()
        return super()._train_epoch(*args, **kwargs)

    def _valid_epoch(self, *args: Any, **kwargs: Any):
        if self.average is not None:
            self.average.use()
        return super()._valid_epoch(*args, **kwargs)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        # With eval_step 0, no validation has put it in place.
        if self.average is not None:
            self.average.use()
        super()._save_checkpoint(*args, **kwargs)

    def let_go(self) -> None:
        """As of :class:`RunMixin`, and the average."""
        super().let_go()
        self.average = None

    def _progress(self, epoch: int, train_data) -> dict[str, Any]:
        progress = super()._progress(epoch, train_data)
        if self.average is not None and not progress["finished"]:
            progress["average"] = self.average.state()
        return progress

    def _take_up(self, progress: dict[str, Any], train_data) -> None:
        super()._take_up(progress, train_data)
        if self.average is not None and not self.finished:
            self.average.load(progress["average"])
