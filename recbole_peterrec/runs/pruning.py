"""Pruning and retraining of a task that was trained: Conure, section 4, stages 2, 3 and 5."""

from __future__ import annotations

import copy
import dataclasses
import logging
from typing import Any

from recbole_peterrec.model.learner import Learner
from recbole_peterrec.runs.lessons import Lesson
from recbole_peterrec.runs.prune_ratios import (
    AUTO,
    AUTO_RATIOS,
    ratios,
    retraining_epochs,
)
from recbole_peterrec.runs.training import Outcome


def prune_and_retrain(
    learner: Learner, lesson: Lesson, before: Outcome, histories: dict[str, list]
) -> tuple[Outcome, float]:
    """Free a share of what a task has trained, and train the rest again.

    With ``prune_ratio`` auto, the largest share of 0.95, 0.9, ... 0.5 after which the valid metric
    is within ``prune_tolerance`` of what it was; 0.5 if none is.

    Args:
        learner: in which the task was begun and trained.
        lesson: the task.
        before: its training.
        histories: of the run, to which those of the retrainings are added.

    Returns:
        What retraining gave, its epochs and seconds those of all that were tried, and the share
        that was freed.
    """
    ratio = lesson.config["prune_ratio"]
    if ratio != AUTO:
        stage_name = f"{lesson.name}@retrained"
        return _retrain(learner, lesson, ratio, stage_name, histories), ratio
    return _largest_tolerable(learner, lesson, before, histories)


def _largest_tolerable(
    learner: Learner, lesson: Lesson, before: Outcome, histories: dict[str, list]
) -> tuple[Outcome, float]:
    """Prune ever less, until retraining comes near enough to what was before pruning."""
    config, name = lesson.config, lesson.name
    metric = config["valid_metric"].lower()
    floor = before.valid[metric] * (1 - config["prune_tolerance"])
    head_state: dict[str, Any] = copy.deepcopy(lesson.head.state_dict())
    epochs, seconds = 0, 0.0
    for ratio in AUTO_RATIOS:
        after = _retrain(learner, lesson, ratio, f"{name}@{ratio:g}", histories)
        epochs, seconds = epochs + after.epochs, seconds + after.seconds
        after = dataclasses.replace(after, epochs=epochs, seconds=seconds)
        reached = after.valid[metric]
        logging.getLogger().info(
            f"{name}: pruning {ratio:g} gives valid {metric} {reached:.4f}, wanted {floor:.4f}"
        )
        if reached >= floor:
            return after, ratio
        if ratio != AUTO_RATIOS[-1]:
            learner.unprune()
            lesson.head.load_state_dict(head_state)
    logging.getLogger().warning(
        f"{name}: no pruning ratio keeps valid {metric} at {floor:.4f}; {ratio:g} is used"
    )
    return after, ratio


def _retrain(
    learner: Learner,
    lesson: Lesson,
    ratio: float,
    stage_name: str,
    histories: dict[str, list],
) -> Outcome:
    learner.prune(ratios(lesson.config, ratio))
    epochs = retraining_epochs(lesson.config)
    after = lesson.train(stage_name=stage_name, epochs=epochs)
    histories[stage_name] = after.history
    return after
