"""A Conure run: task after task in one network, pruned, retrained, frozen, and checked."""

from __future__ import annotations

import copy
import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_peterrec.capacity import (
    AUTO,
    AUTO_RATIOS,
    capacity_table,
    plan_capacity,
    ratios,
)
from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.config import Config
from recbole_peterrec.data.vocabulary import describe, item_tokens
from recbole_peterrec.distributed.exchange import require_agreement
from recbole_peterrec.errors import CheckpointError, ConfigError, TrainingError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.results import write_results
from recbole_peterrec.runlog import RunLog
from recbole_peterrec.saved_learner import (
    open_learner,
    open_network,
    save_learned_task,
    save_learner,
)
from recbole_peterrec.saved_model import load_backbone, require_fit
from recbole_peterrec.stages import Outcome, SequentialStage, TaskStage
from recbole_peterrec.tasks import read_tasks

FIRST = "pretraining"
CHECKED_ROWS = 2048  # test rows of a task that are scored again after each later one
SCORES_AT_ONCE = 2**24


@dataclass(frozen=True)
class _Lesson:
    """A task to learn: the source or a later one, alike.

    ``train`` takes keys of the config that differ; ``record`` makes an outcome's part of
    results.json.
    """

    name: str
    stage: SequentialStage | TaskStage
    model: nn.Module
    head: nn.Module
    train: Callable[..., Outcome]
    record: Callable[[Outcome], dict[str, Any]]

    @property
    def config(self) -> Config:
        """Of its training."""
        return self.stage.config


@dataclass
class _Learned:
    """A task that this run has learned, with what shows that it stays as it is."""

    lesson: _Lesson
    scores: str
    record: dict[str, Any]


class ContinualRun:
    """Learns the source and then every task, or further tasks on a saved learner.

    Everything that can be wrong shows in the constructor, before anything is trained.

    Args:
        config: of the run.

    Raises:
        UserError: data, settings, ratios or a saved learner that cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        tasks = read_tasks(config)
        epochs = config["pretrain_epochs"] or config["epochs"]
        self.source = SequentialStage(
            config.derive(model=config["backbone"], epochs=epochs, stage=FIRST)
        )
        self.vocabulary = describe(self.source.dataset)
        self.earlier: dict[str, dict[str, Any]] = {}
        self.pretrain_record: dict[str, Any] | None = None
        if config["pretrained_path"]:
            self._load_first()
        if config["continue_from"]:
            self.learner = self._continued(config["continue_from"])
        else:
            kinds = ("convolution", "embedding")
            self.learner = Learner(
                self.source.model.encoder,
                kinds if config["prune_embeddings"] else kinds[:1],
                bool(config["layernorm_per_task"]),
            )
        device = config["device"]
        self.learner.encoder.to(device)
        for head in self.learner.heads.values():
            head.to(device)
        architecture = self.source.model.encoder.architecture
        self.tasks = [
            TaskStage(task, self.source.dataset, architecture) for task in tasks
        ]
        for stage in self.tasks:
            if stage.task.name in self.learner.tasks:
                raise ConfigError(
                    f"task {stage.task.name!r}: the learner already has a task of this name; give "
                    f"the new one another"
                )
        lessons = [] if self.pretrain_record else [(FIRST, self.source.config)]
        lessons += [(stage.task.name, stage.config) for stage in self.tasks]
        self.scarce = plan_capacity(self.learner, lessons)

    def definitions(self) -> dict[str, Any]:
        """The tasks with their defaults written out, for ``config.yaml``."""
        return {"tasks": [stage.task.definition for stage in self.tasks]}

    def use(self, run_dir: Path) -> None:
        """Let every stage write into a run directory."""
        for stage in (self.source, *self.tasks):
            stage.config["run_dir"] = str(run_dir)

    def execute(
        self, run_dir: Path, log: RunLog, results: dict, histories: dict
    ) -> None:
        """Learn, save after each task, and at the end test every task again."""
        self.histories = histories
        for line in self.scarce:
            logging.getLogger().warning(line)
        self.learned: dict[str, _Learned] = {}
        if self.pretrain_record is None:
            self.pretrain_record = self._learn(self._source_lesson(log)).record
        results["pretrain"] = self.pretrain_record
        for name, header in self.earlier.items():
            results["tasks"][name] = header["record"]
            save_learned_task(run_dir, name, self.learner, header)
        self._write(run_dir, results)
        for stage in self.tasks:
            learned = self._learn(self._task_lesson(stage, log))
            results["tasks"][stage.task.name] = learned.record
            self._write_task(run_dir, learned)
            self._write(run_dir, results)
        for name, learned in self.learned.items():
            self.learner.view(name)
            again = learned.lesson.stage.test()
            if again != learned.record["test"]:
                raise TrainingError(
                    f"task {name!r}: its test metrics were {learned.record['test']} when it was "
                    f"learned and are {again} now; please report this"
                )
            learned.record["test_after_all"] = again
            self._write_task(run_dir, learned)
        self._write(run_dir, results)

    # --- one task

    def _source_lesson(self, log: RunLog) -> _Lesson:
        model = self.source.model
        size = model.encoder.size + sum(p.numel() for p in model.output.parameters())

        def record(outcome: Outcome) -> dict[str, Any]:
            return outcome.record() | {"trainable_parameters": size}

        train = functools.partial(self._train_first, log)
        return _Lesson(FIRST, self.source, model, model.output, train, record)

    def _train_first(self, log: RunLog, stage: str, **overrides: Any) -> Outcome:
        """Train on the source, or before pruning take what ``pretrained_path`` gave."""
        if stage == FIRST and self.config["pretrained_path"]:
            return self.source.judge()
        return self.source.train(log, stage=stage, **overrides)

    def _task_lesson(self, stage: TaskStage, log: RunLog) -> _Lesson:
        model = stage.build(self.learner.encoder)
        train = functools.partial(stage.train, model, log)
        record = functools.partial(stage.record, model)
        return _Lesson(stage.task.name, stage, model, model.network.head, train, record)

    def _learn(self, lesson: _Lesson) -> _Learned:
        """Train, prune, retrain and freeze; then look whether every earlier task is the same."""
        name = lesson.name
        self.learner.begin(name)
        before = lesson.train(stage=name)
        self.histories[name] = before.history
        record = lesson.record(before)  # counts what training before pruning trains
        after, ratio = self._prune_and_retrain(lesson, before)
        self.learner.keep(lesson.head)
        record |= {
            **after.record(),
            "epochs": before.epochs + after.epochs,
            "seconds": round(before.seconds + after.seconds, 3),
            "before_pruning": {"valid": before.valid, "test": before.test},
            "prune_ratio": ratio,
            "kept_parameters": self.learner.kept_weights(name),
            "capacity_free": self.learner.capacity_free(),
        }
        require_agreement(f"{name}: the learner", self.learner.life_fingerprint)
        self._check(self.learner.tasks[:-1])
        digest = self._score_digest(lesson)
        self.learned[name] = _Learned(lesson, digest, record)
        logging.getLogger().info(capacity_table(self.learner, name))
        return self.learned[name]

    def _prune_and_retrain(
        self, lesson: _Lesson, before: Outcome
    ) -> tuple[Outcome, float]:
        """Stages 2, 3 and 5; with the ratio ``auto``, the largest that costs too little."""
        config, name = lesson.config, lesson.name
        if config["prune_ratio"] != AUTO:
            ratio = config["prune_ratio"]
            return self._retrain(lesson, ratio, f"{name}@retrained"), ratio
        metric = config["valid_metric"].lower()
        floor = before.valid[metric] * (1 - config["prune_tolerance"])
        head_state = copy.deepcopy(lesson.head.state_dict())
        for ratio in AUTO_RATIOS:
            after = self._retrain(lesson, ratio, f"{name}@{ratio:g}")
            logging.getLogger().info(
                f"{name}: pruning {ratio:g} gives valid {metric} {after.valid[metric]:.4f}, "
                f"wanted {floor:.4f}"
            )
            if after.valid[metric] >= floor:
                return after, ratio
            if ratio != AUTO_RATIOS[-1]:
                self.learner.unprune()
                lesson.head.load_state_dict(head_state)
        logging.getLogger().warning(
            f"{name}: no pruning ratio keeps valid {metric} at {floor:.4f}; {ratio:g} is used"
        )
        return after, ratio

    def _retrain(self, lesson: _Lesson, ratio: float, stage: str) -> Outcome:
        self.learner.prune(ratios(lesson.config, ratio))
        epochs = lesson.config["retrain_epochs"] or lesson.config["epochs"]
        after = lesson.train(stage=stage, epochs=epochs)
        self.histories[stage] = after.history
        return after

    # --- nothing may be forgotten

    def _check(self, earlier: list[str]) -> None:
        """Stop if anything that an earlier task computes with, or its scores, has changed.

        Raises:
            TrainingError: it has.
        """
        for task in earlier:
            then = self.learner.fingerprints[task]
            changed = self.learner.fingerprint(task) != then
            if not changed and task in self.learned:
                learned = self.learned[task]
                with self.learner.viewing(task):
                    changed = self._score_digest(learned.lesson) != learned.scores
            if changed:
                raise TrainingError(
                    f"task {task!r} has changed while {self.learner.tasks[-1]!r} was learned; "
                    f"nothing more is saved; please report this"
                )

    @torch.no_grad()
    def _score_digest(self, lesson: _Lesson) -> str:
        """SHA-256 of the scores of the first test rows."""
        digest, rows = hashlib.sha256(), 0
        model = lesson.model.eval()
        for interaction, *_ in lesson.stage.loaders[2]:
            states = model.user_states(interaction.to(self.config["device"]))
            weight, bias = model.label_layer()
            for some in states.split(max(1, SCORES_AT_ONCE // len(bias))):
                scores = torch.nn.functional.linear(some, weight, bias)
                digest.update(scores.float().cpu().numpy().tobytes())
            rows += len(states)
            if rows >= CHECKED_ROWS:
                break
        return digest.hexdigest()

    # --- before the run

    def _load_first(self) -> None:
        """Let the first task start from a saved backbone, trained on this run's source."""
        if self.config["continue_from"]:
            raise ConfigError(
                "continue_from has a first task already; leave out pretrained_path"
            )
        load_backbone(
            self.config["pretrained_path"],
            self.config["backbone"],
            self.source.model.encoder,
            self.vocabulary,
            self.source.model.output,
        )

    def _continued(self, run_dir: str) -> Learner:
        """The learner that this run goes on with, checked against this run's source."""
        learner, self.earlier, header = open_learner(run_dir)
        config, model = self.source.config, self.source.model
        require_fit(
            run_dir,
            header,
            config["model"],
            model.encoder.architecture,
            self.vocabulary,
        )
        for name, told in self.earlier.items():
            open_network(learner, name, told, Path(run_dir))
            if not isinstance(told.get("record"), dict):
                raise CheckpointError(
                    f"{run_dir}: task {name!r} has no record of its metrics"
                )
        self.pretrain_record = header["pretrain"]
        return learner

    # --- what a run tells and writes

    def _write(self, run_dir: Path, results: dict) -> None:
        """The learner as it is now, and the results until now."""
        save_learner(
            run_dir,
            self.config["backbone"],
            self.learner,
            self.vocabulary,
            results["pretrain"],
            self.source.config["MAX_ITEM_LIST_LENGTH"],
        )
        save_json(
            run_dir / "vocabulary.json", {"items": item_tokens(self.source.dataset)}
        )
        save_json(run_dir / "capacity.json", self.learner.shares())
        write_results(run_dir, results, self.histories)

    def _write_task(self, run_dir: Path, learned: _Learned) -> None:
        """A later task's own files; the first task's are the learner's."""
        stage = learned.lesson.stage
        if isinstance(stage, SequentialStage):
            return
        told = {
            "kind": stage.task.kind,
            "labels": stage.dataset.labels,
            "pooling": stage.config["pooling"],
            "max_length": stage.config["MAX_ITEM_LIST_LENGTH"],
            "record": learned.record,
        }
        save_learned_task(run_dir, stage.task.name, self.learner, told)
