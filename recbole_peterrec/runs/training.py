"""Training a model and testing it: what every stage of a run does, and what came of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from recbole.data.dataset import Dataset
from recbole.utils import set_color

from recbole_peterrec.data.loaders import Loaders
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.trainer.base import RunMixin


@dataclass
class Outcome:
    """What training a model gave: metrics of the epoch that was kept, and how it got there."""

    valid: dict[str, float]
    test: dict[str, float]
    epochs: int
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The part of results.json that every stage has."""
        return {
            "valid": self.valid,
            "test": self.test,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
        }


def fit_and_test(trainer: RunMixin, loaders: Loaders, log: RunLog) -> Outcome:
    """Train, and test the epoch that ``select_epoch`` keeps; the model then has its weights."""
    show = trainer.config["show_progress"]
    with log.quiet_console():
        _, best = trainer.fit(loaders.train, loaders.valid, show_progress=show)
    trainer.let_go()  # testing needs none of it
    tested = trainer.evaluate(loaders.test, show_progress=show)
    outcome = Outcome(
        valid={metric: float(value) for metric, value in (best or {}).items()},
        test=tested,
        epochs=len(trainer.train_loss_dict),
        seconds=trainer.seconds,
        history=trainer.history,
    )
    logger = logging.getLogger()
    chosen = f"{trainer.config['select_epoch']} valid"
    for split, metrics in ((chosen, outcome.valid), ("test result", tested)):
        logger.info(set_color(f"{trainer.stage} {split}", "yellow") + f": {metrics}")
    return outcome


def largest_splits(loaders: Loaders) -> tuple[Dataset, Dataset]:
    """The training split, and the larger one of the others."""
    train, valid, test = loaders.parts
    return train, max(valid, test, key=lambda split: len(split.inter_feat))
