"""The stages of a run: training a sequential model, and fine-tuning it to a task."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import recbole.data.dataset as recbole_datasets
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.utils import ModelType, get_trainer, init_seed, set_color
from torch import nn

from recbole_peterrec.config import Config
from recbole_peterrec.data.atomic import reading, require_columns
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import PROFILE, TaskDataset
from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.evaluation.label_cs import LabelCounts
from recbole_peterrec.memory import (
    kernel_needs,
    out_of_memory,
    require_stage,
    table_needs,
    trained_copies,
    vector_needs,
)
from recbole_peterrec.model.backbone import Backbone, architecture_of
from recbole_peterrec.model.task_network import TaskNetwork, Tuning
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.nn.encoder import Architecture, DilatedEncoder
from recbole_peterrec.nn.pooling import READ_LAST
from recbole_peterrec.runlog import RunLog
from recbole_peterrec.saved_model import save_task
from recbole_peterrec.tasks import Task
from recbole_peterrec.trainer.base import BackboneTrainer, RunMixin, runnable
from recbole_peterrec.trainer.multitask import MultiTaskTrainer
from recbole_peterrec.trainer.transfer import TransferTrainer
from recbole_peterrec.trainer.user_vectors import USERS_AT_ONCE, kept_vectors

JoinedSource = tuple[Backbone, TrainDataLoader]  # a model and its training windows


@dataclass
class Outcome:
    """What training a model gave: metrics of its best epoch, and how it got there."""

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


def fit_and_test(trainer: RunMixin, loaders, log: RunLog) -> Outcome:
    """Train to the best validated epoch and test it; the model then has its weights."""
    train, valid, test = loaders
    show = trainer.config["show_progress"]
    with log.quiet_console():
        _, best = trainer.fit(train, valid, show_progress=show)
    tested = trainer.evaluate(test, show_progress=show)
    trainer.let_go()
    outcome = Outcome(
        valid={metric: float(value) for metric, value in (best or {}).items()},
        test=tested,
        epochs=len(trainer.train_loss_dict),
        seconds=trainer.seconds,
        history=trainer.history,
    )
    logger = logging.getLogger()
    for split, metrics in (("best valid", outcome.valid), ("test result", tested)):
        logger.info(set_color(f"{trainer.stage} {split}", "yellow") + f": {metrics}")
    return outcome


def _largest_splits(loaders) -> tuple[int, int]:
    """Rows of the training split, and of the larger one of the others."""
    train, valid, test = (len(loader.dataset) for loader in loaders)
    return train, max(valid, test)


class SequentialStage:
    """A sequential model on a source: a backbone of ours, or a baseline of RecBole's.

    Everything that can be wrong with the data or the model shows in the constructor.

    Args:
        config: the model's config.
        trained: whether it will be; what is only loaded needs less memory.

    Raises:
        UserError: a dataset or value that cannot be used.
    """

    def __init__(self, config: Config, trained: bool = True) -> None:
        if config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            raise ConfigError(f"{config['model']} is not a sequential model")
        self.config = config
        self.ours = issubclass(config.model_class, Backbone)
        self.dataset = self._load()
        self.loaders = make_loaders(config, self.dataset)
        if self.ours:
            self._require_memory(trained)
        init_seed(config["seed"], config["reproducibility"])
        with out_of_memory(config["stage"] or config["model"]):
            self.model = self._build().to(config["device"])
        self.trainer: RunMixin | None = None

    def _require_memory(self, trained: bool) -> None:
        config, items = self.config, self.dataset.item_num
        architecture = architecture_of(config, items, config.model_class.causal)
        copies = trained_copies(config) if trained else 1
        require_stage(
            config["stage"] or "training",
            config,
            architecture,
            table_needs(architecture, items, copies, copies)
            + kernel_needs(architecture, copies),
            _largest_splits(self.loaders),
            int(self.dataset.sequences.lengths.max()),
            passed=trained,
        )

    def _build(self) -> nn.Module:
        try:
            return self.config.model_class(self.config, self.loaders[0]._dataset)
        except (KeyError, ValueError, TypeError) as error:
            if self.ours:
                raise
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{self.config['model']} cannot be built on {self.config['dataset']}: {reason}; "
                f"it may need columns or keys of its own"
            ) from error

    def _load(self):
        if self.ours:
            return SequenceDataset(self.config)
        if self.config["eval_args"]["order"] != "TO":
            raise ConfigError(
                f"eval_args: order RO (held-out users) needs a backbone of ours, "
                f"not {self.config['model']}"
            )
        if self.config["recent_interactions"] is not None:
            raise ConfigError(
                f"recent_interactions needs a backbone of ours, not {self.config['model']}; "
                f"set it to ~"
            )
        columns = [
            self.config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")
        ]
        require_columns(
            self.config["data_path"],
            self.config["dataset"],
            "inter",
            columns,
            self.config["field_separator"],
            "source",
            self.config["encoding"],
            tokens=columns[:2],
        )
        name = f"{self.config['model']}Dataset"
        default = recbole_datasets.SequentialDataset
        with reading("source", self.config):
            return getattr(recbole_datasets, name, default)(self.config)

    def train(self, log: RunLog, **overrides: Any) -> Outcome:
        """Train the model and test its best epoch, whose weights it then has.

        Args:
            log: the run's.
            overrides: keys of the config that differ in this training: ``stage``, ``epochs``.
        """
        config = self.config.derive(**overrides) if overrides else self.config
        init_seed(config["seed"], config["reproducibility"])
        with out_of_memory(config["stage"] or config["model"]):
            self.trainer = self._make_trainer(config)
            return fit_and_test(self.trainer, self.loaders, log)

    def judge(self) -> Outcome:
        """Validate and test the model as it is, with no epoch of training."""
        trainer = self._make_trainer(self.config)
        valid, test = (
            trainer.evaluate(loader, load_best_model=False)
            for loader in self.loaders[1:]
        )
        return Outcome(valid, test, epochs=0, seconds=0.0)

    def test(self, encoder: DilatedEncoder | None = None) -> dict[str, float]:
        """Metrics of the model as it is now on the test rows.

        Args:
            encoder: what a backbone of ours computes with from now on, if not its own.
        """
        if encoder is not None:
            self.model.encoder = encoder
        trainer = self.trainer or self._make_trainer(self.config)
        return trainer.evaluate(self.loaders[2], load_best_model=False)

    def _make_trainer(self, config: Config) -> RunMixin:
        if self.ours:
            return BackboneTrainer(config, self.model)
        found = get_trainer(config["MODEL_TYPE"], config["model"])
        return runnable(found)(config, self.model)


class TaskStage:
    """One downstream task on a source.

    Args:
        task: its name and config.
        source: the source dataset, built.
        architecture: of the encoder that will be tuned; a network is built from it at once, on no
            device, so that a wrong setting shows before anything is trained.

    Raises:
        UserError: data or settings that cannot be used.
    """

    def __init__(
        self, task: Task, source: SequenceDataset, architecture: Architecture
    ) -> None:
        self.task = task
        self.config = task.config
        self.dataset = TaskDataset(self.config, source)
        try:
            self.loaders = make_loaders(self.config, self.dataset)
            with torch.device("meta"):
                encoder = DilatedEncoder(architecture)
                model = self.config.model_class(self.config, self.train_data, encoder)
            self._require_memory(model.network)
        except UserError as error:
            raise type(error)(f"task {task.name!r}: {error}") from error

    def _require_memory(self, network: TaskNetwork) -> None:
        config, encoder = self.config, network.encoder
        architecture = encoder.architecture
        copies, labels = trained_copies(config), len(self.dataset.labels)
        moves = encoder.embedding.weight.requires_grad
        if config["tuning"] is None:  # Conure's learner chooses later what is trained
            moves = config["prune_embeddings"]
        held = table_needs(architecture, labels, copies, copies if moves else 0)
        rows = _largest_splits(self.loaders)
        longest = int(self.dataset.source.sequences.lengths.max())
        if network.has_fixed_encoder:
            held += vector_needs(architecture, self.dataset.user_num)
            rows = rows[0], USERS_AT_ONCE
        require_stage(
            "fine-tuning",
            config,
            architecture,
            held,
            rows,
            longest,
            passed=any(p.requires_grad for p in encoder.blocks[0].parameters()),
            last=config["pooling"] in READ_LAST,
        )

    @property
    def train_data(self) -> TaskDataset:
        """Training split."""
        return self.loaders[0]._dataset

    def build(self, encoder: DilatedEncoder) -> TaskRecommender:
        """The task's model on an encoder, with a head drawn anew."""
        init_seed(self.config["seed"], self.config["reproducibility"])
        model = self.config.model_class(self.config, self.train_data, encoder)
        return model.to(self.config["device"])

    def train(
        self,
        model: TaskRecommender,
        log: RunLog,
        joined: JoinedSource | None = None,
        **overrides: Any,
    ) -> Outcome:
        """Fine-tune what is trainable and test the best epoch; see :class:`SequentialStage`.

        Args:
            model: from :meth:`build`.
            log: the run's.
            joined: a source that is learned in the same steps (MTL).
            overrides: keys of the config that differ in this training: ``stage``, ``epochs``.
        """
        config = self.config
        if overrides:  # RecBole derives no other value; it steers loaders, made already
            config = config.derive(repeatable=True, **overrides)
        init_seed(config["seed"], config["reproducibility"])
        with (
            out_of_memory(self.task.name),
            kept_vectors(model, self.loaders) as seconds,
        ):
            if joined is None:
                self.trainer = TransferTrainer(config, model)
            else:
                self.trainer = MultiTaskTrainer(config, model, *joined)
            outcome = fit_and_test(self.trainer, self.loaders, log)
        outcome.seconds += seconds
        return outcome

    def test(self) -> dict[str, float]:
        """Metrics of the model as it is now on the test instances, after :meth:`train`."""
        return self.trainer.evaluate(self.loaders[2], load_best_model=False)

    def record(self, model: TaskRecommender, outcome: Outcome) -> dict[str, Any]:
        """The task's part of results.json."""
        sizes = (len(loader._dataset) for loader in self.loaders)
        record = {
            "kind": self.task.kind,
            "labels": len(self.dataset.labels),
            "instances": dict(zip(("train", "valid", "test"), sizes, strict=True)),
            "unmatched_users": self.dataset.unmatched_users,
            **outcome.record(),
            "trainable_parameters": model.network.trainable_parameters,
            "total_parameters": model.network.full_parameters,
        }
        if self.task.kind == PROFILE:
            record["label_cs"] = self._label_cs()
        return record

    def save(
        self, run_dir: Path, model: TaskRecommender, record: dict[str, Any]
    ) -> None:
        """Write the task's own small files."""
        told = {
            "kind": self.task.kind,
            "labels": self.dataset.labels,
            "max_length": self.config["MAX_ITEM_LIST_LENGTH"],
            "metrics": {"valid": record["valid"], "test": record["test"]},
        }
        save_task(run_dir, self.task.name, model.network, Tuning.of(self.config), told)

    def _label_cs(self) -> dict[str, dict[str, float]]:
        """Metrics of giving everybody the majority label, through the same evaluator."""
        counts = LabelCounts(self.train_data, self.config["device"])
        return {
            split: self.trainer.evaluate_other(counts, loader)
            for split, loader in zip(("valid", "test"), self.loaders[1:], strict=True)
        }
