"""An epoch's steps shared by two processes, against one process on one and on two cores."""

from __future__ import annotations

import statistics
import tempfile
import time

import torch
from measure import Row

from recbole_peterrec.config import Config
from recbole_peterrec.distributed import group
from recbole_peterrec.distributed.launch import Plan, launch
from recbole_peterrec.stages import SequentialStage
from recbole_peterrec.trainer.base import BackboneTrainer

PAIR = Plan(local_size=2, size=2, offset=0, host="localhost", port=0)
ROUNDS, EPOCHS = 3, 2


def epoch_seconds(threads: int) -> list[float]:
    """Of some epochs on ml-100k after the first: loading, loss, gradients, Adam."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "show_progress": False,
            "state": "ERROR",
            "gpu_id": "",
            "run_dir": folder,
        }
        config = Config("NextItNetAR", "ml-100k", config_dict=settings)
        config["device"] = group.connect(config["device"])
        stage = SequentialStage(config)
        trainer = BackboneTrainer(config, stage.model)
        seconds = []
        for epoch in range(EPOCHS + 1):
            start = time.perf_counter()
            trainer._train_epoch(stage.loaders[0], epoch)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]


def processes() -> list[Row]:
    """Turns are taken a few times; the machine needs two cores that nobody else uses."""
    taken: dict[str, list[float]] = {"two": [], "one": [], "threads": []}
    for _ in range(ROUNDS):
        taken["two"] += launch(PAIR, epoch_seconds, (1,))
        taken["one"] += epoch_seconds(1)
        taken["threads"] += epoch_seconds(2)
    two, one, threads = (statistics.median(taken[name]) for name in taken)
    note = (
        f"medians of {ROUNDS * EPOCHS} epochs: two processes of a thread {two:.3g} s, one of "
        f"one {one:.3g} s, one of two {threads:.3g} s"
    )
    case = "epoch on ml-100k, k 256, two processes of a thread"
    return [
        Row(f"{case}, share of twice the speed", one / (2 * two), 0.75, note=note),
        Row(f"{case}, against one of two threads", threads / two, 1),
    ]
