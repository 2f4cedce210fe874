"""What ``compile: true`` gains: steps of NextItNetAR on ml-100k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from measure import Row, medians, milliseconds
from torch.optim import Adam

from recbole_peterrec.trainer.one_pass import in_one_pass
from targets.source import NETWORK, make_stage, training_step

STEPS = 6
REPEATS = 5
NETWORKS = {"k 256": {}, "k 64, 20 convolutions": NETWORK}


def compiled_step() -> list[Row]:
    """A step without ``compile``, of one with it, after what compiling takes."""
    rows = []
    for network, keys in NETWORKS.items():
        for dropout in (0.3, 0.0):
            for precision in ("fp32", "bf16"):
                contestants = {
                    name: _steps(name == "compiled", precision == "bf16", dropout, keys)
                    for name in ("plain", "compiled")
                }
                times = medians(REPEATS, **contestants)
                case = f"step without compile of one with, {network}, dropout {dropout:g}, {precision}"
                ratio = times["plain"] / times["compiled"]
                rows.append(Row(case, ratio, note=milliseconds(times)))
                torch.compiler.reset()
    return rows


def _steps(
    compiles: bool, in_bf16: bool, dropout: float, keys: dict[str, Any]
) -> Callable[[], None]:
    """Some steps with Adam; the first call of what compiles takes up to a minute."""
    stage = make_stage("NextItNetAR", **keys, dropout_prob=dropout)
    model, batches = stage.model, list(stage.loaders[0])[:STEPS]
    step = training_step(model, in_one_pass(Adam(model.parameters())), in_bf16)
    if compiles:
        model.encoder.compile()

    def steps() -> None:
        for batch in batches:
            step(batch)

    return steps
