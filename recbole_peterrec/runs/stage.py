"""What the stages of a run have alike: a model, and data whose splits train and judge it."""

from __future__ import annotations

import abc
from typing import Any

from recbole.data.dataset import Dataset
from recbole.utils import init_seed
from torch import nn

from recbole_peterrec.config import Config
from recbole_peterrec.data.identity import data_digest, judged_by
from recbole_peterrec.data.loaders import Loaders
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.training import Outcome


class Stage(abc.ABC):
    """One thing that a run learns: the source, or a task.

    Attributes:
        name: by which a run's data and results tell it.
        config: of its training.
        dataset: not split.
        loaders: of its training, validation and test rows.
        model: what is trained.
    """

    name: str
    config: Config
    dataset: Dataset
    loaders: Loaders
    model: nn.Module

    @property
    @abc.abstractmethod
    def head(self) -> nn.Module:
        """The model's classification layer."""

    @abc.abstractmethod
    def train(
        self, log: RunLog, stage: str | None = None, epochs: int | None = None
    ) -> Outcome:
        """Train the model and test the epoch that ``select_epoch`` keeps, whose weights it then has.

        Args:
            log: the run's.
            stage: the name that this training has in the run; None is that of the config.
            epochs: its bound; None is that of the config.
        """

    @abc.abstractmethod
    def test(self) -> dict[str, float]:
        """Metrics of the model as it is now on the test rows."""

    @abc.abstractmethod
    def record(self, outcome: Outcome) -> dict[str, Any]:
        """Its part of results.json."""

    def data_digest(self) -> str:
        """Of all that it reads; see :func:`recbole_peterrec.data.identity.data_digest`."""
        return data_digest(self.dataset, self.loaders)

    def judged_by(self) -> str:
        """What it is tested on; see :func:`recbole_peterrec.data.identity.judged_by`."""
        return judged_by(self.dataset, self.loaders.test)

    def _beginning(self, stage: str | None, epochs: int | None) -> Config:
        """The config of a training, as of :meth:`train`, whose random numbers start anew."""
        own = {"stage": stage, "epochs": epochs}
        own = {key: value for key, value in own.items() if value is not None}
        config = self.config.derive(**own) if own else self.config
        init_seed(config["seed"], config["reproducibility"])
        return config
