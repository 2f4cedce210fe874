"""Which runs of a suite pretrain the same backbone, so that one of them does it for all."""

from __future__ import annotations

import hashlib
import pprint
from pathlib import Path

from recbole_peterrec.checkpoint import TRAINING
from recbole_peterrec.config import Config
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.runs.directory import CONFIG_FILE
from recbole_peterrec.runs.unread import TUNING_KEYS
from recbole_peterrec.settings.given import GIVEN
from recbole_peterrec.settings.literals import read_yaml
from recbole_peterrec.suite.plan import Entry
from recbole_peterrec.suite.progress import Progress

# What only tasks read, or tells of a run and not of its training. Any other key makes runs differ.
NOT_OF_PRETRAINING = frozenset(
    (
        *(GIVEN, "model", "pretrained", *TUNING_KEYS),
        *("tasks", "task_defaults", "task_order", "train_share", "finetune_epochs"),
        *("pooling", "head_dropout", "head_learning_rate", "head_weight_decay"),
    )
)


def pretraining_of(config: Config) -> str | None:
    """Digest of all settings that determine a run's backbone: runs with the same one and the same
    seed pretrain the same bytes. None if the run makes no backbone that others may take.

    A learner (Conure) prunes what it pretrains, and a model without tasks is a result itself.
    """
    takes = issubclass(config.model_class, PeterRec) and config["pretrained"]
    if not takes or config["pretrained_path"]:
        return None
    settings = {
        key: value
        for key, value in config.resolved().items()
        if key not in NOT_OF_PRETRAINING
    }
    return hashlib.sha256(pprint.saferepr(settings).encode()).hexdigest()


class Backbones:
    """Who makes the backbones of a suite, one a seed for all whose pretraining is the same.

    Args:
        progress: of the suite; what has been run offers its backbones.
    """

    def __init__(self, progress: Progress) -> None:
        suite, self.progress = progress.suite, progress
        self._kinds = {}
        for entry in suite.entries:
            settings = suite.config(entry, suite.seeds[0])
            config = Config(entry.model, suite.dataset, config_dict=settings)
            self._kinds[entry.name] = pretraining_of(config)
        self._made: dict[tuple[str | None, int], Path] = {}
        self._failed: dict[tuple[str | None, int], str] = {}  # whose it was
        for seed, entry in suite.runs():
            self.offer(entry, seed)

    def taken_by(self, entry: Entry, seed: int) -> Path | None:
        """Run directory of the backbone that a run takes, or has taken; None if it makes its own.

        Raises:
            TrainingError: it could not be made.
        """
        kind = self._kinds[entry.name], seed
        if kind[0] is None:
            return None
        begun = self.progress.run_dir(entry, seed) / CONFIG_FILE
        if begun.is_file():
            taken = read_yaml(begun).get("pretrained_path")  # where the suite was then
            if taken:
                return self.progress.folder.joinpath(*Path(taken).parts[-2:])
            return None
        if kind in self._failed:
            raise TrainingError(f"it shares the pretraining of {self._failed[kind]}")
        return self._made.get(kind)

    def offer(self, entry: Entry, seed: int) -> None:
        """Let others take a run's backbone, if it has come to one."""
        kind = self._kinds[entry.name], seed
        run_dir = self.progress.run_dir(entry, seed)
        if kind[0] is not None and (run_dir / "backbone.json").is_file():
            self._made.setdefault(kind, run_dir)

    def fail(self, entry: Entry, seed: int) -> None:
        """A run has begun, and its training has failed: if that was the pretraining, nobody tries
        the same again."""
        kind = self._kinds[entry.name], seed
        begun = (self.progress.run_dir(entry, seed) / TRAINING).is_dir()
        if kind[0] is not None and begun and kind not in self._made:
            self._failed[kind] = f"{entry.name}, which has failed"
