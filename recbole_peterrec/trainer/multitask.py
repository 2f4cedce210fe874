"""Joint training of a task with the source (Conure, section 5: MTL)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from recbole.data.dataloader import TrainDataLoader

from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.trainer.transfer import TransferTrainer


class MultiTaskTrainer(TransferTrainer):
    """Each step learns a batch of the task and one of the source, on one encoder.

    The loss is the task's plus ``joint_coefficient`` times the source's.

    Args:
        config: the task's config.
        model: the task's model; all of its encoder is trained.
        source: a backbone whose loss is joined; it takes over the model's encoder.
        source_data: loader of the source's windows; begun anew at each of the task's epochs, and when it is
            used up.
    """

    def __init__(
        self, config, model, source: Backbone, source_data: TrainDataLoader
    ) -> None:
        source.encoder = model.network.encoder
        self.source, self.source_data = source, source_data
        super().__init__(config, model)

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        optimizer = super()._build_optimizer(**kwargs)
        optimizer.add_param_group({"params": list(self.source.output.parameters())})
        return optimizer

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        batches = itertools.chain.from_iterable(itertools.repeat(self.source_data))
        coefficient = self.config["joint_coefficient"]
        task_loss = self._shared(self.model, train_data)
        source_loss = self._shared(self.source, self.source_data)

        def joint_loss(interaction) -> torch.Tensor:
            source = source_loss(next(batches).to(self.device))
            return task_loss(interaction) + coefficient * source

        return super()._train_epoch(train_data, epoch_idx, joint_loss, show_progress)

    def _progress(self, epoch: int, train_data) -> dict[str, Any]:
        return super()._progress(epoch, train_data) | {
            "source_output": self.source.output.state_dict(),
            "source_shuffle": self.source_data.generator.get_state(),
        }

    def _take_up(self, progress: dict[str, Any], train_data) -> None:
        super()._take_up(progress, train_data)
        self.source.output.load_state_dict(progress["source_output"])
        self.source_data.generator.set_state(progress["source_shuffle"].cpu())
