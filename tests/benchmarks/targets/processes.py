"""Steps shared by two processes, against those of one process on one core and on two."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from itertools import islice
from unittest import mock

import torch
from measure import Row

from recbole_peterrec.config import Config
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.distributed.launch import Plan, launch
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.trainer.base import BackboneTrainer

PAIR = Plan(local_size=2, size=2, offset=0, host="localhost", port=0)
ROUNDS, STEPS = 3, 10
QUIET = {"show_progress": False, "state": "ERROR", "use_gpu": False}


def _training(folder: str):
    """Makes some steps on ml-100k: loading, loss, gradients, Adam."""
    settings = {**QUIET, "run_dir": folder}
    stage = SourceStage(Config("NextItNetAR", "ml-100k", config_dict=settings))
    trainer, loader = BackboneTrainer(stage.config, stage.model), stage.loaders[0]
    loss = trainer._shared(trainer.model, loader)

    def steps(threads: int) -> list[float]:
        """Seconds, and those of this process's processor time."""
        torch.set_num_threads(threads)
        start = time.perf_counter(), time.process_time()
        for batch in islice(loader, STEPS):
            trainer.optimizer.zero_grad()
            loss(batch).backward()
            trainer.optimizer.step()
        return [time.perf_counter() - start[0], time.process_time() - start[1]]

    return steps


def measured() -> list[list[list[float]]]:
    """In each of two processes: seconds of both, of one, and of one with two threads.

    They take turns; while the first works alone, the second waits.
    """
    group.connect(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        together = _training(folder)
        with mock.patch.object(group, "_member", None):
            alone = _training(folder)
        rounds = []
        for _ in range(ROUNDS + 1):
            exchange.barrier()
            both = together(1)
            one = threads = [0.0, 0.0]
            if group.is_first():
                with mock.patch.object(group, "_member", None):
                    one, threads = alone(1), alone(2)
            rounds.append([both, one, threads])
    return rounds[1:]


def processes() -> list[Row]:
    """Wall time needs two cores that nobody else uses; processor time less so."""
    found = launch(PAIR, measured, ())
    two, one, threads = (
        [statistics.median(seconds) for seconds in zip(*contestant, strict=True)]
        for contestant in zip(*found, strict=True)
    )
    case = f"{STEPS} steps on ml-100k, k 256, two processes of a thread"
    note = (
        f"two processes {two[0]:.3g} s, one of a thread {one[0]:.3g} s, one of two threads "
        f"{threads[0]:.3g} s, load average before {os.getloadavg()[1]:.1f}"
    )
    work = f"processor seconds: {two[1]:.3g} in the first of two, {one[1]:.3g} in one"
    return [
        Row(f"{case}, scaling efficiency", one[0] / (2 * two[0]), 0.75, note=note),
        Row(f"{case}, efficiency by work", one[1] / (2 * two[1]), 0.75, note=work),
        Row(f"{case}, against one of two threads", threads[0] / two[0], 1, note=note),
    ]
