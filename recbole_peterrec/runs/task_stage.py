"""The stage in which a network is tuned to one downstream task."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.utils import init_seed
from torch import nn

from recbole_peterrec.data.identity import data_digest
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import PROFILE, TaskDataset
from recbole_peterrec.errors import UserError
from recbole_peterrec.evaluation.label_cs import LabelCounts
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.model.task_recommender import TaskRecommender
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.encoder import Architecture, Encoder
from recbole_peterrec.nn.pooling import READ_ALL, READ_LAST
from recbole_peterrec.out_of_memory import SMALLER_MODEL, out_of_memory
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.memory import require_stage
from recbole_peterrec.runs.needs import (
    OWNED_COPIES,
    table_need,
    trained_copies,
    vector_need,
)
from recbole_peterrec.runs.stage import Stage
from recbole_peterrec.runs.training import Outcome, fit_and_test, largest_splits
from recbole_peterrec.stored.networks import save_task
from recbole_peterrec.tasks import Task
from recbole_peterrec.trainer.multitask import MultiTaskTrainer
from recbole_peterrec.trainer.transfer import TransferTrainer
from recbole_peterrec.trainer.user_vectors import USERS_AT_ONCE, kept_vectors

JoinedSource = tuple[Backbone, TrainDataLoader]  # a model and its training windows


def items_read(architecture: Architecture, pooling: str, length: int) -> int:
    """How many of a sequence's `length` items a pooling's vector depends on."""
    if pooling in READ_ALL:
        return length
    token = pooling != "last"
    read = architecture.positions_read(length + token) - token
    return min(length, 2 * read if pooling == "tcl_both" else read)


class TaskStage(Stage):
    """One downstream task on a source; its model is there when it is built.

    Args:
        task: its name and config.
        source: the source dataset, built.
        architecture: of the encoder that will be tuned; a network is built from it at once, on no
            device, so that a wrong setting shows before anything is trained.

    Attributes:
        windows: the source's, for a run that learns them beside the task (MTL).

    Raises:
        UserError: data or settings that cannot be used.
    """

    windows: TrainDataLoader | None = None

    def __init__(
        self, task: Task, source: SequenceDataset, architecture: Architecture
    ) -> None:
        self.task = task
        self.name = task.name
        self.config = task.config
        where = f"task {task.name!r}"
        with out_of_memory(where, "leave out some of its data by filters"):
            self.dataset = TaskDataset(self.config, source)
            try:
                self.loaders = make_loaders(self.config, self.dataset)
                with torch.device("meta"):
                    encoder = architecture.build()
                    model = self.config.model_class(
                        self.config, self.train_data, encoder
                    )
                self._require_memory(model.network)
                self._tell_what_is_not_read(architecture)
            except UserError as error:
                raise type(error)(f"{where}: {error}") from error

    def _require_memory(self, network: TaskNetwork) -> None:
        config, encoder = self.config, network.encoder
        architecture = encoder.architecture
        copies, labels = trained_copies(config), len(self.dataset.labels)
        if config["weight_average"]:
            copies += 1
        moves = encoder.embedding.weight.requires_grad
        encoder_copies = copies if moves else 0
        if config["tuning"] is None:  # Conure's learner chooses later what is trained
            encoder_copies = OWNED_COPIES if config["prune_embeddings"] else 0
        held = [table_need(architecture, labels, copies, encoder_copies)]
        if config["joint_coefficient"]:  # the source's layer is trained beside
            held.append(table_need(architecture, architecture.items, copies, 0))
        trained, evaluated = (split.lengths() for split in largest_splits(self.loaders))
        if network.has_fixed_encoder:
            held.append(vector_need(architecture, self.dataset.user_num))
            evaluated = evaluated[:USERS_AT_ONCE]
        require_stage(
            "fine-tuning",
            config,
            architecture,
            held,
            trained,
            evaluated,
            # With patches, and where only the upper layers are tuned, much less is kept.
            passed=all(p.requires_grad for p in encoder.blocks.parameters()),
            last=(config["pooling"] in READ_LAST,) * 2,
        )

    def _tell_what_is_not_read(self, architecture: Architecture) -> None:
        pooling = self.config["pooling"]
        longest = int(self.train_data.lengths().max())
        longest = min(longest, self.config.longest_history)
        read = items_read(architecture, pooling, longest)
        if read < longest:
            ends = "first and last" if pooling == "tcl_both" else "last"
            logging.getLogger().warning(
                f"task {self.name!r}: pooling {pooling} reads the {ends} {read} items of "
                f"histories of up to {longest}; more dilations or blocks read more, pooling mean "
                f"all of them"
            )

    def data_digest(self) -> str:
        """As of :class:`Stage`, the source's windows that are learned beside it included."""
        beside = () if self.windows is None else (self.windows,)
        return data_digest(self.dataset, (*self.loaders, *beside))

    @property
    def train_data(self) -> TaskDataset:
        """Training split."""
        return self.loaders.parts[0]

    def build(self, encoder: Encoder) -> TaskRecommender:
        """Make the model on an encoder, with a head drawn anew."""
        init_seed(self.config["seed"], self.config["reproducibility"])
        with out_of_memory(self.name, SMALLER_MODEL):
            model = self.config.model_class(self.config, self.train_data, encoder)
            self.model = model.to(self.config["device"])
        return self.model

    @property
    def head(self) -> nn.Module:
        """As of :class:`Stage`."""
        return self.model.network.head

    def train(
        self,
        log: RunLog,
        stage: str | None = None,
        epochs: int | None = None,
        joined: JoinedSource | None = None,
    ) -> Outcome:
        """As of :class:`Stage`: fine-tune what is trainable.

        Args:
            log: the run's.
            stage: as of :class:`Stage`.
            epochs: as of :class:`Stage`.
            joined: a source that is learned beside the task (MTL).
        """
        config = self._beginning(stage, epochs)
        with (
            out_of_memory(self.name),
            kept_vectors(self.model, self.loaders) as seconds,
        ):
            if joined is None:
                self.trainer = TransferTrainer(config, self.model)
            else:
                self.trainer = MultiTaskTrainer(config, self.model, *joined)
            outcome = fit_and_test(self.trainer, self.loaders, log)
        outcome.seconds += seconds
        return outcome

    def test(self) -> dict[str, float]:
        """As of :class:`Stage`, after :meth:`train`."""
        return self.trainer.evaluate(self.loaders.test, load_best_model=False)

    def record(self, outcome: Outcome) -> dict[str, Any]:
        """As of :class:`Stage`."""
        network = self.model.network
        sizes = map(len, self.loaders.parts)
        # MTL trains the source's layer, too.
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        beside = trained - network.trainable_parameters
        record = {
            "kind": self.task.kind,
            "labels": len(self.dataset.labels),
            "instances": dict(zip(("train", "valid", "test"), sizes, strict=True)),
            "unmatched_users": self.dataset.unmatched_users,
            **outcome.record(),
            "judged_by": self.judged_by(),
            "trainable_parameters": trained,
            "total_parameters": network.full_parameters + beside,
        }
        if self.task.kind == PROFILE:
            record["label_cs"] = self._label_cs()
        return record

    def save(self, run_dir: Path, record: dict[str, Any], backbone: str) -> None:
        """Write the task's own small files.

        Args:
            run_dir: where.
            record: its part of results.json.
            backbone: digest of the weights that it builds on.
        """
        told = {
            "kind": self.task.kind,
            "labels": self.dataset.labels,
            "max_length": self.config.longest_history,
            "backbone": backbone,
            "metrics": {"valid": record["valid"], "test": record["test"]},
        }
        tuning = Tuning.of(self.config)
        save_task(run_dir, self.name, self.model.network, tuning, told)

    def let_go(self) -> None:
        """Forget the trained network, once the task is saved: a run may have many tasks."""
        del self.model, self.trainer

    def _label_cs(self) -> dict[str, dict[str, float]]:
        """Metrics of giving everybody the majority label, through the same evaluator."""
        counts = LabelCounts(self.train_data, self.config["device"])
        return {
            "valid": self.trainer.evaluate_other(counts, self.loaders.valid),
            "test": self.trainer.evaluate_other(counts, self.loaders.test),
        }
