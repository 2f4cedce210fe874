"""Joint training of a task with the source (Conure, section 5: MTL)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from recbole.data.dataloader import TrainDataLoader

from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.trainer.transfer import TransferTrainer

T = TypeVar("T")


class MultiTaskTrainer(TransferTrainer):
    """Learns a task and the source on one encoder; an epoch goes once through the longer of them.

    A step's loss is that of a batch of the task plus ``joint_coefficient`` times that of a batch
    of the source. Where the source has more batches, the task's are spread evenly over its steps,
    and the others have the source's part alone: with as few steps as a small task makes, a source
    would hardly be learned. Where the task has more, the source begins anew, also in each epoch.

    Args:
        config: the task's config.
        model: the task's model; all of its encoder is trained.
        source: a backbone whose loss is joined; it takes over the model's encoder.
        source_data: loader of the source's windows, of the users who have a label of the task: of
            others the paper's cannot use any (section 6.2).
    """

    def __init__(
        self, config, model, source: Backbone, source_data: TrainDataLoader
    ) -> None:
        source.encoder = model.network.encoder  # if it is not on it yet
        # So that it is trained, clipped, averaged and kept with the model.
        model.source_output = source.output
        self.source, self.source_data = source, source_data
        self._work = 0.0  # FLOP of the last step, where bars tell
        super().__init__(config, model)

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        coefficient = self.config["joint_coefficient"]
        task_loss = self._shared(self.model, train_data)
        source_loss = self._shared(self.source, self.source_data)
        task_is_longer = len(train_data) > len(self.source_data)
        if task_is_longer:  # the source begins again and again
            again = itertools.repeat(self.source_data)
            steps, others = train_data, itertools.chain.from_iterable(again)
        else:  # the task is spread over the source
            steps = self.source_data
            others = spread(train_data, len(train_data), len(steps))

        def joint_loss(batch) -> torch.Tensor:
            other = next(others)
            task, source = (batch, other) if task_is_longer else (other, batch)
            if show_progress:
                self._work = self.source.training_flops(source)
                self._work += 0 if task is None else self.model.training_flops(task)
            loss = coefficient * source_loss(source.to(self.device))
            return loss if task is None else loss + task_loss(task.to(self.device))

        return super()._train_epoch(steps, epoch_idx, joint_loss, show_progress)

    def _step_flops(self) -> Callable[[Any], float]:
        return lambda batch: self._work  # of both batches of the step

    def _progress(self, epoch: int, train_data) -> dict[str, Any]:
        return super()._progress(epoch, train_data) | {
            "source_shuffle": self.source_data.generator.get_state(),
        }

    def _take_up(self, progress: dict[str, Any], train_data) -> None:
        super()._take_up(progress, train_data)
        self.source_data.generator.set_state(progress["source_shuffle"].cpu())


def spread(batches: Iterable[T], number: int, steps: int) -> Iterator[T | None]:
    """Batches at even distances, None at the steps between them.

    Args:
        batches: `number` of them.
        number: at most `steps`.
        steps: how many to give in all.
    """
    left = iter(batches)
    for step in range(1, steps + 1):
        due = step * number // steps > (step - 1) * number // steps
        yield next(left) if due else None
