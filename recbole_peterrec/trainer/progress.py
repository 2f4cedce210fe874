"""How far a training has come, so that a killed one goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recbole_peterrec.checkpoint import (
    TRAINING,
    alike,
    load_state,
    pack,
    save_state,
    unpack,
)
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.trainer.random_states import random_states, restore_random_states


def has_begun(config: Mapping[str, Any]) -> bool:
    """Whether a run that goes on takes up a stage's training instead of beginning it."""
    return bool(config["resume"]) and progress_file(config).is_file()


def progress_file(config: Mapping[str, Any]) -> Path:
    """Where a run directory has how far a stage's training has come."""
    stage = config["stage"] or config["model"]
    return Path(config["run_dir"], TRAINING, stage, "progress.pt")


class ProgressMixin:
    """Lets a RecBole trainer write its best weights, and after each validated epoch all that
    going on needs; files are read without running code from them.

    Used by :class:`recbole_peterrec.trainer.base.RunMixin`, which says where.

    Attributes:
        seconds: of training until now, those before a kill included.
        finished: whether what was taken up had come to its end.
    """

    seconds = 0.0
    finished = False

    def _state(self, epoch: int) -> dict[str, Any]:
        """What is trained, after an epoch, and how far it has come."""
        return {
            "model": str(self.config["model"]),
            "stage": self.stage,
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "state_dict": self._trained_state(),
        }

    def _progress(self, epoch: int, train_data) -> dict[str, Any]:
        """The state after an epoch; random states, of each process, as they are now.

        Without the optimizer's once the training has come to its end: a run keeps what it has of
        each stage until it ends itself.
        """
        ended = epoch + 1 >= self.epochs or self.cur_step > self.stopping_step
        return self._state(epoch) | {
            "finished": ended,
            "best_valid_result": _plain(self.best_valid_result or {}),
            "history": [_plain(entry) for entry in self.history],
            "losses": _plain(self.train_loss_dict),
            "seconds": self.seconds,
            "optimizer": None if ended else self.optimizer.state_dict(),
            "random": [
                unpack(states)
                for states in exchange.gather_bytes(pack(random_states()))
            ],
            "shuffle": train_data.generator.get_state(),
        }

    def _take_up(self, progress: dict[str, Any], train_data) -> None:
        """Be where :meth:`_progress` was, weights apart.

        Raises:
            CheckpointError: it was written by another number of processes.
        """
        processes = len(progress["random"])
        if processes != group.size():
            raise CheckpointError(
                f"{self.stage} was begun by {processes} processes and cannot go on with "
                f"{group.size()}; resume with --nproc={processes}"
            )
        self.start_epoch = progress["epoch"] + 1
        self._epoch = progress["epoch"]
        self.finished = progress["finished"]
        self.cur_step = progress["cur_step"]
        self.best_valid_score = progress["best_valid_score"]
        self.best_valid_result = progress["best_valid_result"]
        self.history = progress["history"]
        self.train_loss_dict = progress["losses"]
        self.seconds = progress["seconds"]
        if not self.finished:
            self.optimizer.load_state_dict(progress["optimizer"])
        restore_random_states(progress["random"][group.rank()])
        train_data.generator.set_state(progress["shuffle"].cpu())

    @property
    def _progress_file(self) -> Path:
        return progress_file(self.config)

    def _resume_stage(self, train_data) -> float:
        """Take up what the run directory has of this stage; seconds that it had taken."""
        if not has_begun(self.config):
            return 0.0
        progress = self._load_weights(str(self._progress_file))
        if progress.get("stage") != self.stage or "random" not in progress:
            raise CheckpointError(
                f"{self._progress_file} does not tell how far {self.stage} had come; delete it to "
                f"begin this stage anew"
            )
        self._take_up(progress, train_data)
        self.logger.info(f"{self.stage}: goes on after epoch {self._epoch}")
        return self.seconds

    def _trained_state(self) -> dict[str, torch.Tensor]:
        """The state without the frozen parameters, which the pretrained file holds."""
        frozen = {
            name for name, p in self.model.named_parameters() if not p.requires_grad
        }
        state = self.model.state_dict()
        return {name: tensor for name, tensor in state.items() if name not in frozen}

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        state = self._state(epoch)
        if self.run_dir is None:  # what RecBole's own way to go on needs
            state["optimizer"] = self.optimizer.state_dict()
        save_state(path, state)
        exchange.barrier()  # all may read it from here on
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def _load_weights(self, path: str) -> dict[str, Any]:
        state = load_state(path)
        if state.get("model") != self.config["model"] or "state_dict" not in state:
            raise CheckpointError(
                f"{path} was not written by a training of {self.config['model']}"
            )
        given = state["state_dict"]
        if not alike(given, self._trained_state()):
            raise CheckpointError(
                f"{path} is of another architecture than this config describes"
            )
        self.model.load_state_dict(given, strict=False)
        return state

    def resume_checkpoint(self, resume_file: str) -> None:
        """Go on from what a training without a run directory has saved, as stock RecBole does.

        Raises:
            CheckpointError: missing, damaged, of another model or architecture, or of a run.
        """
        self.saved_model_file = str(resume_file)
        state = self._load_weights(self.saved_model_file)
        if "optimizer" not in state:
            raise CheckpointError(
                f"{resume_file} is of a run, which goes on by resume: its directory"
            )
        self.start_epoch = state["epoch"] + 1
        self.cur_step = state["cur_step"]
        self.best_valid_score = state["best_valid_score"]
        self.optimizer.load_state_dict(state["optimizer"])


def _plain(entries: dict) -> dict:
    """Numbers as Python's own, which the safe reader accepts."""
    return {
        key: value if value is None or isinstance(value, int) else float(value)
        for key, value in entries.items()
    }
