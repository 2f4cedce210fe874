"""How soon ours is as good as RecBole's GRU4Rec at its best, on ml-100k."""

from __future__ import annotations

import tempfile
from typing import Any, NamedTuple

from measure import Row
from recbole.utils import init_seed

from recbole_peterrec.config import Config
from recbole_peterrec.runs.source_stage import SourceStage

PATIENCE = 10  # epochs without a better one after which the opponent is at its best
MOST_EPOCHS = 60  # of the opponent, 50 to 80 s each; it stops before, after 39
THEIRS = {
    "train_batch_size": 2048,
    "epochs": MOST_EPOCHS,
    "stopping_step": PATIENCE - 1,  # RecBole stops at one more than this
}
SETTINGS: dict[str, Any] = {
    "MAX_ITEM_LIST_LENGTH": 50,
    "valid_metric": "MRR@5",
    "show_progress": False,
    "state": "ERROR",
    "use_gpu": False,
}


class Validated(NamedTuple):
    """A validated epoch: its number from 1, seconds of training until then, MRR@5."""

    epoch: int
    seconds: float
    score: float


def training(model: str, **settings: Any) -> list[Validated]:
    """Train a model to its stop; seconds have all of training, validation and saving."""
    curve: list[Validated] = []
    with tempfile.TemporaryDirectory() as folder:
        keys = SETTINGS | settings | {"run_dir": folder}
        stage = SourceStage(Config(model, "ml-100k", config_dict=keys))
        init_seed(stage.config["seed"], stage.config["reproducibility"])
        trainer = stage._make_trainer(stage.config)

        def after_epoch(epoch: int, score: float) -> None:
            curve.append(Validated(epoch + 1, trainer.seconds, float(score)))

        train, valid, _ = stage.loaders
        trainer.fit(train, valid, verbose=False, callback_fn=after_epoch)
    return curve


def reached(curve: list[Validated], score: float) -> Validated | None:
    """The first epoch with at least this score."""
    return next((epoch for epoch in curve if epoch.score >= score), None)


def time_to_best() -> list[Row]:
    """Seconds until their best validation MRR@5, of those until ours is at least that."""
    ours, theirs = training("NextItNetAR"), training("GRU4Rec", **THEIRS)
    goal = reached(theirs, max(epoch.score for epoch in theirs))
    met = reached(ours, goal.score)
    best = max(ours, key=lambda epoch: epoch.score)
    told = "theirs {} in epoch {} of {}, {:.3g} s".format(
        f"{goal.score:.4f}", goal.epoch, len(theirs), goal.seconds
    )
    if met is None:
        told += f"; ours at most {best.score:.4f} in {len(ours)} epochs"
    else:
        told += f"; ours {met.score:.4f} in epoch {met.epoch}, {met.seconds:.3g} s"
        told += f"; our best {best.score:.4f} in epoch {best.epoch}"
        told += f", {best.seconds:.3g} s"
    ratio = goal.seconds / met.seconds if met else 0.0
    case = "time to RecBole GRU4Rec's best validation MRR@5, ml-100k"
    return [Row(case, ratio, 20, note=told)]
