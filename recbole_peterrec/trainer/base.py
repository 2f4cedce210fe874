"""RecBole's trainer on today's torch: safe checkpoints, bars, curves and clear NaN errors."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from recbole.trainer import Trainer
from tqdm import tqdm

from recbole_peterrec.checkpoint import TRAINING, save_state
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.evaluation.collector import RankCollector
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.nn.precision import has_bf16
from recbole_peterrec.trainer.event_file import EventFile
from recbole_peterrec.trainer.one_pass import in_one_pass
from recbole_peterrec.trainer.progress import ProgressMixin
from recbole_peterrec.trainer.ranking import RankingMixin
from recbole_peterrec.trainer.rate import (
    RateBar,
    bf16_gain,
    told_limit,
    with_rate,
)
from recbole_peterrec.trainer.row_updates import update_rows
from recbole_peterrec.trainer.sharing import SharingMixin, draw_apart, total_loss
from recbole_peterrec.writing import writing

CLEARLY_SLOWER = 0.9  # of a rate that is measured in milliseconds


class RunMixin(RankingMixin, ProgressMixin, SharingMixin):
    """Put before a RecBole trainer class, it keeps all that a run writes in its run directory.

    Keys read: ``run_dir`` (None in stock RecBole: then RecBole's folders), ``stage``, the name
    of what is trained now, ``resume``, whether to go on from what ``run_dir`` has of it, ``amp``,
    ``compile`` and ``table_updates``.

    Attributes:
        history: one dict per validated epoch: ``epoch``, ``loss`` and the metrics.
    """

    def __init__(self, config, model) -> None:
        self.run_dir = config["run_dir"]
        self.stage = config["stage"] or config["model"]
        self.history: list[dict[str, float]] = []
        if self.run_dir is None:
            super().__init__(config, model)
        else:
            with writing("a temporary folder"), _elsewhere(config):
                super().__init__(config, model)
                self.tensorboard.close()
            self.tensorboard = EventFile(Path(self.run_dir, "tensorboard", self.stage))
            self.saved_model_file = str(
                Path(self.run_dir, TRAINING, self.stage, "best.pt")
            )
        self.amp = config["amp"] is not None and self._has_amp()
        if config["compile"]:
            torch.compiler.reset()  # of earlier stages: a function is compiled few times only
            for module in model.modules():
                if isinstance(module, Encoder):
                    module.compile_blocks()
        self.eval_collector = RankCollector(config)
        self._bar = tqdm(disable=True)
        self._ranked: RateBar | None = None
        self._epoch = self._batch = 0

    def _has_amp(self) -> bool:
        """Whether training in bfloat16 is possible here; warns where it is not, or is slow."""
        if not has_bf16(self.device):
            self.logger.warning(
                f"amp: {self.device.type} has no bfloat16 here; training in float32"
            )
            return False
        width = self.config["embedding_size"] or self.config["hidden_size"]
        if self.device.type == "cpu" and width:
            gain = bf16_gain(self.device, width)
            if gain < CLEARLY_SLOWER:
                self.logger.warning(
                    f"amp: this processor takes {1 / gain:.1f} times as long for products in "
                    f"bfloat16 as in float32; without amp: bf16 training is faster"
                )
        return True

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser gets: all that is trainable, and nothing else."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        """RecBole's, of these groups. A step sums processes' gradients, clips them, uses up those
        that are sparse (``table_updates: rows``), and is Adam's in one pass: in this order, in
        which hooks are registered."""
        kwargs = {"params": self._parameter_groups()} | kwargs
        optimizer = super()._build_optimizer(**kwargs)
        self._share_steps(optimizer)
        if self.config["table_updates"] == "rows":
            update_rows(optimizer)
        return in_one_pass(optimizer)

    def fit(
        self,
        train_data,
        valid_data=None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ):
        """RecBole's ``fit`` under one bar for the stage.

        With ``select_epoch: last`` the last epoch's weights are kept and its metrics returned.
        In a run directory, progress is saved after each validated epoch; with ``resume`` the
        training goes on from there.
        """
        draw_apart()
        earlier = self._resume_stage(train_data)
        start = time.perf_counter()

        def after_epoch(epoch: int, score: float) -> None:
            self.seconds = earlier + time.perf_counter() - start
            if callback_fn is not None:
                callback_fn(epoch, score)
            if self.run_dir is not None:
                save_state(self._progress_file, self._progress(epoch, train_data))

        self._bar = tqdm(
            total=self.epochs,
            initial=self.start_epoch,
            desc=self.stage,
            unit="epoch",
            disable=not show_progress or self.finished,
        )
        with self._bar:
            if not self.finished:
                super().fit(
                    train_data,
                    valid_data,
                    verbose,
                    saved,
                    show_progress=show_progress,
                    callback_fn=after_epoch,
                )
                self.seconds = earlier + time.perf_counter() - start
        self.tensorboard.close()
        self._require_agreement()
        best = self.best_valid_score, self.best_valid_result
        if self.config["select_epoch"] != "last" or not self.history:
            return best
        if saved:
            self._save_checkpoint(self._epoch, verbose=False)
        last = {
            metric: value
            for metric, value in self.history[-1].items()
            if metric not in ("epoch", "loss")
        }
        return last[self.valid_metric], last

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        self._epoch, self._batch = epoch_idx, 0
        loss_func = loss_func or self._shared(self.model, train_data)
        if self.amp:
            loss_func = torch.autocast(self.device.type, torch.bfloat16)(loss_func)
        batches = self._with_rate(train_data) if show_progress else train_data
        loss = super()._train_epoch(batches, epoch_idx, loss_func, show_progress=False)
        self._bar.update()
        return total_loss(loss)

    def _with_rate(self, train_data) -> Iterator[Any]:
        flops = self._step_flops()
        limit = 0.0
        if flops is not None:
            dtype = torch.bfloat16 if self.amp else torch.float32
            width = self.config["embedding_size"]
            limit = told_limit(self.device, width, dtype, self.run_dir)
        lengths = self.config["ITEM_LIST_LENGTH_FIELD"]
        return with_rate(train_data, RateBar(train_data, "rows", lengths, flops, limit))

    def _step_flops(self) -> Callable[[Any], float] | None:
        """Of a model of ours, FLOP of a step on a batch."""
        return getattr(self.model, "training_flops", None)

    def _valid_epoch(self, valid_data, show_progress=False):
        score, result = super()._valid_epoch(valid_data, show_progress=show_progress)
        loss = self.train_loss_dict.get(self._epoch)
        self.history.append({"epoch": self._epoch, "loss": loss, **result})
        for metric, value in result.items():
            self.tensorboard.add_scalar(f"valid/{metric}", value, self._epoch)
        self._bar.set_postfix_str(f"valid {self.valid_metric} {score:.4f}")
        return score, result

    def let_go(self) -> None:
        """Free what only training needs: gradients, and the optimiser with its moments."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer = None

    def _check_nan(self, loss: torch.Tensor) -> None:
        if not torch.isfinite(loss):
            value = "NaN" if torch.isnan(loss) else "infinite"
            file = Path(self.saved_model_file)
            kept = (
                f"the last good weights are in {file}"
                if file.is_file()
                else "nothing was saved"
            )
            raise TrainingError(
                f"{self.stage}: loss is {value} in epoch {self._epoch}, batch {self._batch}; {kept}; "
                f"try a smaller learning_rate or clip_grad_norm"
            )
        self._batch += 1

    def evaluate(
        self, eval_data, load_best_model=True, model_file=None, show_progress=False
    ):
        """RecBole's ``evaluate``, loading the best weights safely; plain floats come back.

        Never compiled: a graph for each kind of batch and for each task of a learner would reach
        torch's limit of graphs, and rows would then be computed in one way here and another there.
        """
        if load_best_model:
            self._load_weights(model_file or self.saved_model_file)
        with (
            torch.compiler.set_stance("force_eager"),
            self._evaluating(eval_data),
            self._ranking_bar(eval_data, show_progress),
        ):
            # Its own bar would leave a line for each epoch.
            result = super().evaluate(
                eval_data, load_best_model=False, show_progress=False
            )
        return {metric: float(value) for metric, value in (result or {}).items()}

    @contextlib.contextmanager
    def _ranking_bar(self, eval_data, show: bool) -> Iterator[None]:
        """Within it, a bar is moved by the rows that are ranked."""
        if not show or not eval_data:
            yield
            return
        lengths = self.config["ITEM_LIST_LENGTH_FIELD"]
        with contextlib.closing(RateBar(eval_data, "ranked", lengths)) as bar:
            self._ranked = bar
            try:
                yield
            finally:
                self._ranked = None

    def _full_sort_batch_eval(self, batched_data):
        return self._shown(super()._full_sort_batch_eval(batched_data))

    def _neg_sample_batch_eval(self, batched_data):
        return self._shown(super()._neg_sample_batch_eval(batched_data))

    def _shown(self, ranked: tuple) -> tuple:
        if self._ranked is not None:
            self._ranked.add(ranked[0])
        return ranked

    def evaluate_other(self, model: torch.nn.Module, eval_data) -> dict[str, float]:
        """Metrics of another scorer on the same loader, through the same evaluator."""
        own, self.model = self.model, model
        try:
            return self.evaluate(eval_data, load_best_model=False)
        finally:
            self.model = own


class BackboneTrainer(RunMixin, Trainer):
    """Trains and evaluates the backbones; ``embedding_learning_rate``, if set, is that of the item
    embeddings, and ``learning_rate`` that of all else."""

    def _parameter_groups(self) -> list[dict[str, Any]]:
        (every,) = super()._parameter_groups()
        rate = self.config["embedding_learning_rate"]
        if rate is None:
            return [every]
        tables = {id(p) for p in self.model.encoder.embedding.parameters()}
        own = [p for p in every["params"] if id(p) in tables]
        rest = [p for p in every["params"] if id(p) not in tables]
        return [{"params": own, "lr": rate}, {"params": rest}]


def runnable(trainer_class: type) -> type:
    """A RecBole trainer class, for a baseline, with :class:`RunMixin` in front."""
    if issubclass(trainer_class, RunMixin):
        return trainer_class
    return type(trainer_class.__name__, (RunMixin, trainer_class), {})


@contextlib.contextmanager
def _elsewhere(config) -> Iterator[None]:
    """A temporary folder in place of the working directory and of ``checkpoint_dir``: RecBole's
    trainer writes into the one and makes the other."""
    here, key = os.getcwd(), "checkpoint_dir"
    kept = config[key]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        config[key] = folder
        try:
            yield
        finally:
            config[key] = kept
            os.chdir(here)
