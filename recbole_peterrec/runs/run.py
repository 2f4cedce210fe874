"""What every kind of run has: a source, tasks on it, and their order of events."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_peterrec.results import History
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.runs.task_stage import TaskStage


class Run(abc.ABC):
    """Made of a config; everything that can be wrong with it, its data or what it starts from shows
    in the constructor, before anything is trained.

    Attributes:
        source: what the network is pretrained on.
        tasks: in the order in which they are learned.
    """

    source: SourceStage
    tasks: Sequence[TaskStage]

    @abc.abstractmethod
    def learns_source(self) -> bool:
        """Whether ``pretrain`` of its results.json is what it learned itself: not where that was
        loaded, or left out."""

    @abc.abstractmethod
    def starts_from(self) -> dict[str, str]:
        """Digest of the network that the run starts from, by the key that names it; if one does."""

    @abc.abstractmethod
    def execute(
        self, run_dir: Path, log: RunLog, results: dict[str, Any]
    ) -> dict[str, History]:
        """Train, test and save.

        Args:
            run_dir: where.
            log: the run's.
            results: what results.json holds, filled on the way.

        Returns:
            The validated epochs of each training.
        """
