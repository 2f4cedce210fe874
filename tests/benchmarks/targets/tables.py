"""A pretraining step over a large vocabulary, its tables updated whole or by rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from measure import Row, medians, milliseconds, peak_bytes

from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import TARGETS
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.trainer.base import BackboneTrainer

ITEMS, WIDTH, SAMPLES, BATCH, LENGTH = 646_000, 64, 4096, 32, 50


def table_step() -> list[Row]:
    """A step of NextItNetAR, 16 layers, sampled softmax, by the two ways of ``table_updates``."""
    torch.manual_seed(0)
    items = SimpleNamespace(  # all that it asks of a dataset
        num=lambda field: ITEMS, training_counts=lambda: np.ones(ITEMS)
    )
    batch = {
        "item_id_list": torch.randint(1, ITEMS, (BATCH, LENGTH)),
        "item_length": torch.full((BATCH,), LENGTH),
        TARGETS: torch.full((BATCH,), LENGTH - 1),
    }

    def step(updates: str, folder: str) -> Callable[[], None]:
        settings = {
            "embedding_size": WIDTH,
            "dilations": [1, 4],
            "block_num": 4,
            "softmax_samples": SAMPLES,
            "table_updates": updates,
            "run_dir": folder,
            "use_gpu": False,
            "state": "ERROR",
        }
        config = Config("NextItNetAR", "ml-100k", config_dict=settings)
        model = NextItNetAR(config, items)
        optimiser = BackboneTrainer(config, model).optimizer

        def run() -> None:
            model.calculate_loss(batch).backward()
            optimiser.step()
            optimiser.zero_grad()  # at the end: no gradient is there before the next

        return run

    with tempfile.TemporaryDirectory() as folder:
        steps = {updates: step(updates, folder) for updates in ("dense", "rows")}
    times = medians(7, **steps)
    peaks = {name: peak_bytes(run) / 2**20 for name, run in steps.items()}
    case = (
        f"a step of NextItNetAR, {ITEMS // 1000} K items, k {WIDTH}, {SAMPLES} samples"
    )
    ratio = times["dense"] / times["rows"]
    return [
        Row(f"{case}, dense of rows", ratio, 3, note=milliseconds(times)),
        Row(
            f"{case}, rows' peak MiB",
            peaks["rows"],
            100,
            at_most=True,
            note=f"beside tables and moments; dense {peaks['dense']:.0f} MiB",
        ),
    ]
