"""A run of PeterRec or one of its baselines: pretraining, then every task."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

from recbole.data.dataloader import TrainDataLoader

from recbole_peterrec.config import Config
from recbole_peterrec.data.loaders import training_loader
from recbole_peterrec.errors import ConfigError, DataError
from recbole_peterrec.nn.digest import tensors_digest
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.results import History, write_results
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.run import Run
from recbole_peterrec.runs.source_stage import SourceStage, pretraining_config
from recbole_peterrec.runs.task_stage import JoinedSource, TaskStage
from recbole_peterrec.runs.unread import (
    PRUNING_KEYS,
    refuse_origins,
    tell_what_does_not_count,
    tuned_without,
)
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.tasks import Task, read_tasks


class TransferRun(Run):
    """PeterRec and its baselines: a pretrained backbone, and a network for each task.

    Keys: ``pretrained``, ``pretrained_path``, ``carry_encoder`` (each task starts from the one
    before, and nothing protects what that had learned), ``joint_coefficient`` (MTL).

    Raises:
        UserError: data, settings or a saved backbone that cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        refuse_origins(config, ["continue_from"])
        if config["pretrained_path"] and not config["pretrained"]:
            logging.getLogger().warning(
                f"{config['model']} starts from random weights: pretrained_path is not read"
            )
        tasks = read_tasks(config)
        if not tasks:
            raise ConfigError(_pretraining_alone(config))
        for key in ("carry_encoder", "joint_coefficient"):
            if config[key]:
                _require_whole_tuning(key, tasks)
        self.source = SourceStage(
            pretraining_config(config),
            trained=config["pretrained"] and not config["pretrained_path"],
        )
        self.encoder = self.source.model.encoder
        self.loaded: dict[str, Any] = {}  # header of the backbone that is named
        if config["pretrained"] and config["pretrained_path"]:
            self.loaded = self.source.load(config["pretrained_path"])
            if config["carry_encoder"]:  # others take over how it was judged, too
                self.source.tell_other_rows(self.loaded["pretrain"])
        self.tasks = [
            TaskStage(task, self.source.dataset, self.encoder.architecture)
            for task in tasks
        ]
        if config["joint_coefficient"]:
            for stage in self.tasks:
                stage.windows = self._windows(stage)
        without = tuned_without(task.config for task in tasks)
        tell_what_does_not_count(config, [*PRUNING_KEYS, *without], tasks)

    def learns_source(self) -> bool:
        """As of :class:`Run`: unless it is loaded, or nothing is pretrained."""
        return bool(self.config["pretrained"]) and not self.loaded

    def starts_from(self) -> dict[str, str]:
        """As of :class:`Run`."""
        if self.loaded:
            return {"pretrained_path": tensors_digest(self.source.model.state_dict())}
        return {}

    def execute(
        self, run_dir: Path, log: RunLog, results: dict[str, Any]
    ) -> dict[str, History]:
        """Pretrain or load, then learn task after task; returns each stage's validated epochs."""
        histories: dict[str, History] = {}
        if self.loaded:
            saved = self.loaded["pretrain"]  # its own metrics, by its own eval_args
            results["pretrain"] = saved | {"epochs": 0, "seconds": 0.0}
        elif self.config["pretrained"]:
            outcome = self.source.train(log)
            results["pretrain"] = self.source.record(outcome)
            histories[PRETRAINING] = outcome.history
        longest = self.source.config.longest_history
        weights = self.source.save(
            run_dir,
            self.loaded.get("pretrain", results["pretrain"]),
            self.loaded.get("max_length", longest),
        )
        encoder = self.encoder
        for stage in self.tasks:
            stage.build(encoder)
            beside = self._beside(stage)
            outcome = stage.train(log, joined=beside)
            record = stage.record(outcome)
            if self.config["carry_encoder"]:
                encoder = stage.model.network.encoder
                record |= self._source_after(encoder, beside)
            results["tasks"][stage.name] = record
            histories[stage.name] = outcome.history
            stage.save(run_dir, record, weights)
            stage.let_go()
            write_results(run_dir, results, histories)
        return histories

    def _source_after(
        self, encoder: Encoder, beside: JoinedSource | None
    ) -> dict[str, Any]:
        """What results.json has of the source, tested on the encoder that a task leaves; nothing
        where nothing has learned the source."""
        self.source.model.encoder = encoder
        if beside is not None:  # the head that was learned with that encoder
            self.source.model.output = beside[0].output
        elif not self.config["pretrained"]:
            return {}
        return {
            "pretrain_test": self.source.test(),
            "pretrain_judged_by": self.source.judged_by(),
        }

    def _windows(self, stage: TaskStage) -> TrainDataLoader:
        """For MTL, the source's windows of the users whose labels are learned: of others it cannot
        use any (Conure, section 6.2)."""
        windows = self.source.loaders.parts[0].of_users(stage.train_data.source_users())
        if not len(windows):
            raise DataError(
                f"task {stage.name!r}: joint_coefficient learns the source from the users of "
                f"the task's training instances, and the source trains on none of them"
            )
        return training_loader(self.source.config, windows)

    def _beside(self, stage: TaskStage) -> JoinedSource | None:
        """For MTL, an untrained backbone on the task's encoder, whose loss on the source is learned
        beside the task."""
        if stage.windows is None:
            return None
        source = self.source.model
        memo = {id(source.encoder): stage.model.network.encoder}  # instead of a copy
        return copy.deepcopy(source, memo), stage.windows


def _require_whole_tuning(key: str, tasks: list[Task]) -> None:
    for task in tasks:
        if task.config["tuning"] != "all":
            raise ConfigError(
                f"task {task.name!r}: {key} trains the whole network: it needs tuning all, got "
                f"{task.config['tuning']}"
            )


def _pretraining_alone(config: Config) -> str:
    """What to tell a user without tasks: the command that pretrains and does no more."""
    flags = f"--model={config['backbone']}"
    if config["protocol"]:
        flags += f" --protocol={config['protocol']}"
    return (
        f"{config['model']} learns tasks, and tasks or task_order is an empty list; {flags} "
        f"pretrains and saves the backbone alone, for pretrained_path"
    )
