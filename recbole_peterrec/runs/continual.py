"""A Conure run: task after task in one network, pruned, retrained, frozen, and checked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.config import Config
from recbole_peterrec.distributed.exchange import require_agreement
from recbole_peterrec.errors import ConfigError, TrainingError
from recbole_peterrec.nn.digest import tensors_digest
from recbole_peterrec.out_of_memory import SMALLER_MODEL, out_of_memory
from recbole_peterrec.results import History, write_results
from recbole_peterrec.runs.beginning import begin
from recbole_peterrec.runs.capacity import (
    capacity_table,
    plan_again,
    plan_capacity,
)
from recbole_peterrec.runs.learned import Learned, rows_digest
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.pruning import AUTO, prune_and_retrain, require_retraining
from recbole_peterrec.runs.run import Run
from recbole_peterrec.runs.source_stage import SourceStage, pretraining_config
from recbole_peterrec.runs.stage import Stage
from recbole_peterrec.runs.task_stage import TaskStage
from recbole_peterrec.runs.training import Outcome
from recbole_peterrec.runs.unread import (
    TUNING_KEYS,
    refuse_origins,
    tell_what_does_not_count,
)
from recbole_peterrec.stored.learner import (
    holds_more,
    save_learned_task,
    save_learner,
)
from recbole_peterrec.tasks import Task, read_tasks, require_apart


class ContinualRun(Run):
    """Learns the source and then every task, or further tasks on a saved learner.

    Without tasks it learns the source alone, for runs that continue from it. Everything that can
    be wrong shows in the constructor, before anything is trained.

    Raises:
        UserError: data, settings, ratios or a saved learner that cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        refuse_origins(config, ["pretrained"])
        tasks = read_tasks(config)
        if config["continue_from"] and not tasks:
            raise ConfigError(
                "continue_from learns further tasks, and tasks or task_order is an empty list; "
                "name at least one"
            )
        self.source = SourceStage(
            pretraining_config(config),
            trained=not config["continue_from"],
            loaded=bool(config["pretrained_path"]),
        )
        self.beginning = begin(config, self.source)
        self.learner = self.beginning.learner
        with out_of_memory(config["model"], SMALLER_MODEL):
            for module in (self.learner.encoder, *self.learner.heads.values()):
                module.to(config["device"])
        self.tasks = [self._stage(task) for task in tasks]
        ahead = self.tasks if self.learner.tasks else [self.source, *self.tasks]
        for stage in ahead:
            require_retraining(stage)
        self.ahead = ahead
        self.scarce = plan_capacity(self.learner, ahead)
        self.automatic = any(s.config["prune_ratio"] == AUTO for s in ahead)
        unread = [*TUNING_KEYS, *self._unread_pruning()]
        tell_what_does_not_count(config, unread, tasks)

    def learns_source(self) -> bool:
        """As of :class:`Run`: unless it goes on with a saved learner."""
        return not self.config["continue_from"]

    def starts_from(self) -> dict[str, str]:
        """As of :class:`Run`."""
        if self.config["continue_from"]:
            return {"continue_from": self.learner.life_fingerprint()}
        if self.config["pretrained_path"]:
            return {"pretrained_path": tensors_digest(self.source.model.state_dict())}
        return {}

    def execute(
        self, run_dir: Path, log: RunLog, results: dict[str, Any]
    ) -> dict[str, History]:
        """Learn, save after each task, and at the end test every task again.

        Returns:
            The validated epochs of each training and retraining.

        Raises:
            TrainingError: an earlier task computes something else than when it was kept.
            ConfigError: with ``prune_ratio`` auto, earlier tasks have left a task no free weight.
        """
        self.log = log
        self.histories: dict[str, History] = {}
        self.warned: list[str] = []
        self._tell(self.scarce)
        self.learned: dict[str, Learned] = {}
        self.told = dict(self.beginning.tasks)  # of each later task, what its file does
        if not self.learner.tasks:
            results["pretrain"] = self._learn(self.source).record
        else:
            results["pretrain"] = self.beginning.pretrain
        for name, header in self.told.items():
            results["tasks"][name] = header["record"]
            save_learned_task(run_dir, name, self.learner, header)
        self._write(run_dir, results)
        for stage in self.tasks:
            stage.build(self.learner.encoder)
            learned = self._learn(stage)
            results["tasks"][stage.name] = learned.record
            self._write_task(run_dir, learned)
            self._write(run_dir, results)
        for name, learned in self.learned.items():
            self.learner.view(name)
            again = learned.stage.test()
            if again != learned.record["test"]:
                raise TrainingError(
                    f"task {name!r}: its test metrics were {learned.record['test']} when it was "
                    f"learned and are {again} now; please report this"
                )
            learned.record["test_after_all"] = again
            self._write_task(run_dir, learned)
        self._write(run_dir, results)
        return self.histories

    # --- one task

    def _learn(self, stage: Stage) -> Learned:
        """Train, prune, retrain and freeze; then look whether every earlier task is the same."""
        name = stage.name
        if self.automatic:  # what earlier tasks keep was not known before the run
            left = self.ahead[self.ahead.index(stage) :]
            self._tell(plan_again(self.learner, left))
        self.learner.begin(name)
        if stage is self.source and self.config["pretrained_path"]:
            before = self.source.judge()  # it was trained elsewhere
        else:
            before = stage.train(self.log)
        self.histories[name] = before.history
        trained = stage.record(before)  # counts what training before pruning trains
        after, ratio = prune_and_retrain(
            self.learner, stage, before, self.histories, self.log
        )
        self.learner.keep(stage.head)
        require_agreement(f"{name}: the learner", self.learner.life_fingerprint)
        self._check(self.learner.tasks[:-1])
        record = trained | self._continual_record(name, before, after, ratio)
        self.learned[name] = Learned(stage, rows_digest(stage), record)
        logging.getLogger().info(capacity_table(self.learner, name))
        return self.learned[name]

    def _continual_record(
        self, name: str, before: Outcome, after: Outcome, ratio: float
    ) -> dict[str, Any]:
        """What results.json has of a task that was retrained, over what it had before pruning."""
        return {
            **after.record(),
            "epochs": before.epochs + after.epochs,
            "seconds": round(before.seconds + after.seconds, 3),
            "before_pruning": {"valid": before.valid, "test": before.test},
            "prune_ratio": ratio,
            "kept_parameters": self.learner.kept_weights(name),
            "capacity_free": self.learner.capacity_free(),
        }

    # --- nothing may be forgotten

    def _check(self, earlier: list[str]) -> None:
        """Stop if anything that an earlier task computes with, or what its test rows become, has changed.

        Raises:
            TrainingError: it has.
        """
        for task in earlier:
            then = self.learner.fingerprints[task]
            changed = self.learner.fingerprint(task) != then
            if not changed and task in self.learned:
                learned = self.learned[task]
                with self.learner.viewing(task):
                    changed = rows_digest(learned.stage) != learned.digest
            if changed:
                raise TrainingError(
                    f"task {task!r} has changed while {self.learner.tasks[-1]!r} was learned; "
                    f"nothing more is saved; please report this"
                )

    # --- before the run

    def _stage(self, task: Task) -> TaskStage:
        """The stage of a task whose name the learner does not have yet."""
        if task.name in self.learner.tasks:
            raise ConfigError(
                f"task {task.name!r}: the learner already has a task of this name; give the new "
                f"one another"
            )
        require_apart(task.name, self.learner.tasks)  # but for case
        return TaskStage(
            task, self.source.dataset, self.source.model.encoder.architecture
        )

    def _unread_pruning(self) -> list[str]:
        """Keys of pruning that the other settings leave without use."""
        unread = [] if self.automatic else ["prune_tolerance"]
        if "embedding" not in self.learner.kinds:
            unread.append("embedding_prune_ratio")
        return unread

    # --- what a run tells and writes

    def _tell(self, warnings: list[str]) -> None:
        for line in warnings:
            if line not in self.warned:
                logging.getLogger().warning(line)
                self.warned.append(line)

    def _write(self, run_dir: Path, results: dict) -> None:
        """The learner as it is now, and the results until now, unless a resumed run is not yet
        where it was: a learner that others may use does not lose tasks meanwhile."""
        if holds_more(run_dir, self.learner):
            return
        save_learner(
            run_dir,
            self.config["backbone"],
            self.learner,
            self.source.vocabulary,
            results["pretrain"],
            self.beginning.max_length,
            self.told,
        )
        self.source.save_vocabulary(run_dir)
        save_json(run_dir / "capacity.json", self.learner.shares())
        write_results(run_dir, results, self.histories)

    def _write_task(self, run_dir: Path, learned: Learned) -> None:
        """A later task's own files; the first task's are the learner's."""
        stage = learned.stage
        if stage is self.source:
            return
        self.told[stage.name] = {
            "kind": stage.task.kind,
            "labels": stage.dataset.labels,
            "pooling": stage.config["pooling"],
            "max_length": stage.config.longest_history,
            "record": learned.record,
        }
        save_learned_task(run_dir, stage.name, self.learner, self.told[stage.name])
