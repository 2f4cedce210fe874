"""What a Conure run learns, the source and later tasks alike, and what shows it unchanged."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from recbole_peterrec.config import Config
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.task_stage import TaskStage
from recbole_peterrec.runs.training import Outcome
from recbole_peterrec.stored.networks import PRETRAINING


@dataclass(frozen=True)
class Lesson:
    """A task to learn: the source or a later one, alike.

    ``train`` takes keys of the config that differ; ``record`` makes an outcome's part of
    results.json.
    """

    name: str
    stage: SourceStage | TaskStage
    model: nn.Module
    head: nn.Module
    train: Callable[..., Outcome]
    record: Callable[[Outcome], dict[str, Any]]

    @property
    def config(self) -> Config:
        """Of its training."""
        return self.stage.config


@dataclass
class Learned:
    """A task that this run has learned, with what shows that it stays as it is."""

    lesson: Lesson
    digest: str
    record: dict[str, Any]


def source_lesson(stage: SourceStage, log: RunLog, loaded: bool) -> Lesson:
    """The first task.

    Args:
        stage: of the source.
        log: the run's.
        loaded: whether its model was trained elsewhere; it is then judged before pruning only.
    """
    model = stage.model

    def train(*, stage_name: str, **overrides: Any) -> Outcome:
        if loaded and stage_name == PRETRAINING:
            return stage.judge()
        return stage.train(log, stage=stage_name, **overrides)

    return Lesson(PRETRAINING, stage, model, model.output, train, stage.record)


def task_lesson(stage: TaskStage, encoder: Encoder, log: RunLog) -> Lesson:
    """A later task, with a head drawn anew on the learner's encoder."""
    model = stage.build(encoder)

    def train(*, stage_name: str, **overrides: Any) -> Outcome:
        return stage.train(model, log, stage=stage_name, **overrides)

    record = functools.partial(stage.record, model)
    return Lesson(stage.task.name, stage, model, model.network.head, train, record)


@torch.no_grad()
def rows_digest(lesson: Lesson) -> str:
    """SHA-256 of what the scores of a task's test rows are made of, as the encoder computes now:
    the classification layer, and the state of each row, or of the first ``checked_rows``. As in
    evaluation, nothing is compiled."""
    digest, rows = hashlib.sha256(), 0
    most = lesson.config["checked_rows"] or sys.maxsize
    model = lesson.model.eval()
    for part in model.label_layer():
        digest.update(part.detach().float().cpu().numpy().tobytes())
    for interaction, *_ in lesson.stage.loaders[2]:
        with torch.compiler.set_stance("force_eager"):
            states = model.user_states(interaction.to(lesson.config["device"]))
        states = states[: most - rows]
        digest.update(states.float().cpu().numpy().tobytes())
        rows += len(states)
        if rows >= most:
            break
    return digest.hexdigest()
