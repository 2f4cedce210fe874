"""How far a training has come, so that a killed one goes on as if nothing had happened."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from recbole_peterrec.checkpoint import pack, unpack
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.errors import CheckpointError


def random_states() -> dict[str, Any]:
    """States of every generator that a training draws from, as plain data and tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "numpy": [kind, keys.tolist(), position, has_gauss, gauss],
        "python": [version, list(internal), gauss_next],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the generators where :func:`random_states` found them.

    A GPU's stays as it is if there was none, and is passed over if there is none now.
    """
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available():
        for state in states["cuda"]:
            torch.cuda.set_rng_state(state.cpu())
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))


class ProgressMixin:
    """Lets a RecBole trainer write after each validated epoch all that going on needs.

    Used by :class:`recbole_peterrec.trainer.base.RunMixin`, which says where.

    Attributes:
        seconds: of training until now, those before a kill included.
        finished: whether what was taken up had come to its end.
    """

    seconds = 0.0
    finished = False

    def _progress(self, epoch: int, train_data) -> dict[str, Any]:
        """The state after an epoch; random states, of each process, as they are now."""
        ended = epoch + 1 >= self.epochs or self.cur_step > self.stopping_step
        return {
            "model": str(self.config["model"]),
            "stage": self.stage,
            "epoch": epoch,
            "finished": ended,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": _plain(self.best_valid_result or {}),
            "history": [_plain(entry) for entry in self.history],
            "losses": _plain(self.train_loss_dict),
            "seconds": self.seconds,
            "state_dict": self._trained_state(),
            "optimizer": self.optimizer.state_dict(),
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
        self.optimizer.load_state_dict(progress["optimizer"])
        restore_random_states(progress["random"][group.rank()])
        train_data.generator.set_state(progress["shuffle"].cpu())


def _plain(entries: dict) -> dict:
    """Numbers as Python's own, which the safe reader accepts."""
    return {
        key: value if value is None or isinstance(value, int) else float(value)
        for key, value in entries.items()
    }
