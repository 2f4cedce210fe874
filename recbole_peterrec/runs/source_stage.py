"""The stage in which a sequential model is trained: the pretraining, or a baseline."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import torch
from recbole.utils import ModelType, get_trainer, init_seed
from torch import nn

from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.config import Config
from recbole_peterrec.data.cache import is_large
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.recbole_source import recbole_source
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.vocabulary import describe, item_tokens
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.out_of_memory import (
    SMALLER_MODEL,
    is_out_of_memory,
    out_of_memory,
)
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.memory import require_memory, require_stage
from recbole_peterrec.runs.needs import (
    directions_need,
    kernel_need,
    model_need,
    table_need,
    trained_copies,
)
from recbole_peterrec.runs.stage import Stage
from recbole_peterrec.runs.training import Outcome, fit_and_test, largest_splits
from recbole_peterrec.stored.networks import PRETRAINING, load_backbone, save_backbone
from recbole_peterrec.trainer.base import BackboneTrainer, RunMixin, runnable
from recbole_peterrec.trainer.progress import has_begun

TWO_RUNS = ("S3Rec",)  # models of RecBole that have a trainer for each of two runs


def pretraining_config(config: Config) -> Config:
    """The config of the source of a run that learns tasks on it."""
    epochs = config["pretrain_epochs"] or config["epochs"]
    return config.derive(model=config["backbone"], epochs=epochs, stage=PRETRAINING)


class SourceStage(Stage):
    """A sequential model on a source: a backbone of ours, or a baseline of RecBole's.

    Everything that can be wrong with the data or the model shows in the constructor.

    Args:
        config: the model's config.
        trained: whether it will be; what is only loaded needs less memory.
        loaded: whether a saved backbone's weights take the place of those it begins with.

    Attributes:
        interactions: number of the source's.
        parameters: number of the model's, as it was built.

    Raises:
        UserError: a dataset or value that cannot be used.
    """

    name = PRETRAINING

    def __init__(
        self, config: Config, trained: bool = True, loaded: bool = False
    ) -> None:
        if config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            raise ConfigError(f"{config['model']} is not a sequential model")
        if config["model"] in TWO_RUNS:
            raise ConfigError(
                f"{config['model']} learns in two runs of its own (train_stage), which this runner "
                f"does not have"
            )
        self.config = config
        self.ours = issubclass(config.model_class, Backbone)
        if not self.ours:  # DIEN draws while it reads
            init_seed(config["seed"], config["reproducibility"])
        with out_of_memory("source", self._smaller_data()):
            make = SequenceDataset if self.ours else recbole_source
            self.dataset = make(config)
            self.interactions = self.dataset.inter_num
            self.loaders = make_loaders(config, self.dataset)
        if self.ours:  # RecBole's, once split, are its rows
            self.interactions = self.dataset.inter_num
        if trained and not len(self.loaders.valid.dataset):
            logging.getLogger().warning(
                "source: eval_args and filters leave no row to validate; the last epoch is kept"
            )
        directed = self._begins_with_directions(trained and not loaded)
        if self.ours:
            self._require_memory(trained, directed)
        init_seed(config["seed"], config["reproducibility"])
        with out_of_memory(config["stage"] or config["model"], SMALLER_MODEL):
            seeks = directed and group.is_first()
            if config["embedding_init"] == "svd" and not seeks:
                config = config.derive(embedding_init="random")
            if directed:  # the others wait, and take what the first has found
                group.first_ahead(lambda: self._build(config))
                table = self.model.encoder.embedding.weight.data
                exchange.take_first(table, "the item embeddings")
            else:
                self._build(config)
            self.model.to(config["device"])
        self.parameters = sum(p.numel() for p in self.model.parameters())
        if not self.ours and trained:
            self._require_memory_beside_model()
        self.trainer: RunMixin | None = None
        self.origin: Path | None = None  # run whose backbone it has taken over

    def tell_size(self) -> None:
        """Log what filters have left, padding not counted."""
        rows = "/".join(f"{len(loader.dataset):,}" for loader in self.loaders)
        logging.getLogger().info(
            f"source: {self.dataset.user_num - 1:,} users, {self.dataset.item_num - 1:,} items, "
            f"{self.interactions:,} interactions; train/valid/test rows {rows}"
        )

    @property
    def head(self) -> nn.Module:
        """As of :class:`Stage`, of a backbone of ours."""
        return self.model.output

    @functools.cached_property
    def vocabulary(self) -> dict[str, Any]:
        """Description of its items."""
        return describe(self.dataset)

    def load(self, run_dir: str | Path) -> dict[str, Any]:
        """Take over the backbone that a run has saved.

        Returns:
            Its header, with the record of its pretraining.

        Raises:
            CheckpointError: files missing or damaged, another architecture or item vocabulary.
        """
        self.origin = Path(run_dir)
        return load_backbone(
            run_dir,
            self.config["model"],
            self.model.encoder,
            self.vocabulary,
            self.model.output,
        )

    def tell_other_rows(self, pretrain: dict[str, Any]) -> None:
        """Warn where a loaded backbone was not tested on the rows that this run tests it on.

        Args:
            pretrain: the record of its pretraining; one of earlier versions does not tell.
        """
        judged_by = pretrain.get("judged_by")
        if judged_by not in (None, self.judged_by()):
            logging.getLogger().warning(
                f"source: {self.origin} was tested on other rows, or against other candidates, than "
                f"this run tests it on; unless they are candidates alone, it may have learned these "
                f"rows: take its seed, filters and eval_args"
            )

    def save(self, run_dir: Path, pretrain: dict[str, Any], max_length: int) -> str:
        """Save a backbone with what a later run and serving need to know of its source.

        Args:
            run_dir: where.
            pretrain: the record of its pretraining.
            max_length: longest history that it was trained on, in items.

        Returns:
            Digest of its weights, of which tasks tell that they build on them.
        """
        self.save_vocabulary(run_dir)
        return save_backbone(
            run_dir,
            self.config["model"],
            self.model,
            self.vocabulary,
            pretrain,
            max_length,
            self.origin,
        )

    def save_vocabulary(self, run_dir: Path) -> None:
        """Write the tokens of its items."""
        save_json(run_dir / "vocabulary.json", {"items": item_tokens(self.dataset)})

    def _require_memory(self, trained: bool, directed: bool) -> None:
        config, items = self.config, self.dataset.item_num
        architecture = config.model_class.architecture_of(config, items)
        copies = trained_copies(config) if trained else 1
        windows, evaluated = (
            split.inter_feat[split.item_list_length_field].numpy()
            for split in largest_splits(self.loaders)
        )
        if directed:
            search = directions_need(
                self.dataset.user_num, items, architecture.embedding_size
            )
            cpu = torch.device("cpu")
            require_memory("embedding_init svd", [[search]], cpu, alone=True)
        require_stage(
            self._name_told,
            config,
            architecture,
            [
                table_need(architecture, items, copies, copies),
                kernel_need(architecture, copies),
            ],
            config.model_class.encoded(windows),
            evaluated,
            passed=trained,
            last=(False, True),
        )

    def _require_memory_beside_model(self) -> None:
        """Of a model of RecBole, which is there, what its training keeps beside it."""
        config = self.config
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        need = model_need(config["model"], trained, trained_copies(config) - 1)
        require_memory(self._name_told, [[need]], config["device"])

    @property
    def _name_told(self) -> str:
        """Its name, for messages."""
        return self.config["stage"] or "training"

    def _begins_with_directions(self, pretrained_here: bool) -> bool:
        """Whether item embeddings are to be sought (``embedding_init: svd``), which takes long: not
        where weights are loaded over them, which a resumed run does, too."""
        wanted = self.ours and self.config["embedding_init"] == "svd"
        if not wanted or not pretrained_here:
            return False
        return not exchange.of_first(has_begun(self.config))

    def _build(self, config: Config) -> None:
        """Make the model."""
        try:
            self.model = config.model_class(config, self.loaders.parts[0])
        except Exception as error:  # RecBole's models say what they lack in many ways
            if self.ours or isinstance(error, UserError) or is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                f"{self.config['model']} cannot be built on {self.config['dataset']}: {reason}; "
                f"it may need columns or keys of its own"
            ) from error

    def _smaller_data(self) -> str:
        """What to do where the source does not fit into memory."""
        if not self.ours:  # a list of so many items for each interaction
            return "leave out data by filters, or take a smaller MAX_ITEM_LIST_LENGTH"
        advice = "leave out data by filters or recent_interactions"
        if not is_large(self.config):
            advice = f"set source_cache to 0, or {advice}"
        return advice

    def train(
        self, log: RunLog, stage: str | None = None, epochs: int | None = None
    ) -> Outcome:
        """As of :class:`Stage`."""
        config = self._beginning(stage, epochs)
        with out_of_memory(config["stage"] or config["model"]):
            self.trainer = self._make_trainer(config)
            return fit_and_test(self.trainer, self.loaders, log)

    def record(self, outcome: Outcome) -> dict[str, Any]:
        """As of :class:`Stage`."""
        own = {"trainable_parameters": self.parameters, "judged_by": self.judged_by()}
        return outcome.record() | own

    def judge(self) -> Outcome:
        """Validate and test the model as it is, with no epoch of training."""
        trainer = self._make_trainer(self.config)
        valid, test = (
            trainer.evaluate(loader, load_best_model=False)
            for loader in (self.loaders.valid, self.loaders.test)
        )
        return Outcome(valid, test, epochs=0, seconds=0.0)

    def test(self) -> dict[str, float]:
        """As of :class:`Stage`."""
        trainer = self.trainer or self._make_trainer(self.config)
        return trainer.evaluate(self.loaders.test, load_best_model=False)

    def _make_trainer(self, config: Config) -> RunMixin:
        if self.ours:
            return BackboneTrainer(config, self.model)
        found = get_trainer(config["MODEL_TYPE"], config["model"])
        return runnable(found)(config, self.model)
