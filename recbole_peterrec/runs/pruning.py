"""Pruning and retraining of a task that was trained: Conure, section 4, stages 2, 3 and 5."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.learner import Learner, Ratios
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.stage import Stage
from recbole_peterrec.runs.training import Outcome

Retrain = Callable[[float, str], Outcome]  # after pruning a share, under a name

AUTO = "auto"  # a prune_ratio that is searched for
AUTO_RATIOS = tuple(percent / 100 for percent in range(95, 45, -5))  # largest first


def ratios(config: Config, ratio: float) -> Ratios:
    """The pruning ratio of each kind of weight: `ratio` is the kernels'."""
    return {"convolution": ratio, "embedding": config["embedding_prune_ratio"]}


def retraining_epochs(config: Config) -> int:
    """Bound of retraining after pruning."""
    return config["retrain_epochs"] or config["epochs"]


def require_retraining(stage: Stage) -> None:
    """Refuse before the run what would stop it after a task's first training.

    Raises:
        ConfigError: a bound of retraining that its other keys do not allow, or ``auto`` without
            validation.
    """
    config, validated = stage.config, len(stage.loaders.valid)
    try:
        config.derive(epochs=retraining_epochs(config))
    except ConfigError as error:
        raise ConfigError(f"task {stage.name!r}: retrain_epochs: {error}") from error
    if config["prune_ratio"] == AUTO and not (config["eval_step"] and validated):
        raise ConfigError(
            f"task {stage.name!r}: prune_ratio auto compares validation metrics; it needs validation "
            f"rows (eval_args) and an eval_step above 0"
        )


def prune_and_retrain(
    learner: Learner,
    stage: Stage,
    before: Outcome,
    histories: dict[str, list],
    log: RunLog,
) -> tuple[Outcome, float]:
    """Free a share of what a task has trained, and train the rest again.

    With ``prune_ratio`` auto, the largest share of 0.95, 0.9, ... 0.5 after which the valid metric
    is within ``prune_tolerance`` of what it was; 0.5 if none is.

    Args:
        learner: in which the task was begun and trained.
        stage: the task.
        before: its training.
        histories: of the run, to which those of the retrainings are added.
        log: the run's.

    Returns:
        What retraining gave, its epochs and seconds those of all that were tried, and the share
        that was freed.
    """

    def retrain(ratio: float, what: str) -> Outcome:
        learner.prune(ratios(stage.config, ratio))
        name, epochs = f"{stage.name}@{what}", retraining_epochs(stage.config)
        after = stage.train(log, stage=name, epochs=epochs)
        histories[name] = after.history
        return after

    ratio = stage.config["prune_ratio"]
    if ratio != AUTO:
        return retrain(ratio, "retrained"), ratio
    return _largest_tolerable(learner, stage, before, retrain)


def _largest_tolerable(
    learner: Learner, stage: Stage, before: Outcome, retrain: Retrain
) -> tuple[Outcome, float]:
    """Prune ever less, until retraining comes near enough to what was before pruning."""
    config, log = stage.config, logging.getLogger()
    metric = config["valid_metric"].lower()
    floor = before.valid[metric] * (1 - config["prune_tolerance"])
    head = copy.deepcopy(stage.head.state_dict())
    tried: list[Outcome] = []
    for ratio in AUTO_RATIOS:
        if tried:  # all is as before the first
            learner.unprune()
            stage.head.load_state_dict(head)
        tried.append(retrain(ratio, f"{ratio:g}"))
        reached = tried[-1].valid[metric]
        log.info(
            f"{stage.name}: pruning {ratio:g} gives valid {metric} {reached:.4f}, "
            f"wanted {floor:.4f}"
        )
        if reached >= floor:
            break
    else:
        log.warning(
            f"{stage.name}: no pruning ratio keeps valid {metric} at {floor:.4f}; "
            f"{ratio:g} is used"
        )
    epochs = sum(outcome.epochs for outcome in tried)
    seconds = sum(outcome.seconds for outcome in tried)
    return dataclasses.replace(tried[-1], epochs=epochs, seconds=seconds), ratio
