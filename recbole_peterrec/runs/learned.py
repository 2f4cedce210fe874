"""What a Conure run has learned, and what shows it unchanged."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import Any

import torch

from recbole_peterrec.runs.stage import Stage


@dataclass
class Learned:
    """A task that this run has learned, with what shows that it stays as it is."""

    stage: Stage
    digest: str
    record: dict[str, Any]


@torch.no_grad()
def rows_digest(stage: Stage) -> str:
    """SHA-256 of what the scores of a task's test rows are made of, as the encoder computes now:
    the classification layer, and the state of each row, or of the first ``checked_rows``. As in
    evaluation, nothing is compiled."""
    digest, rows = hashlib.sha256(), 0
    most = stage.config["checked_rows"] or sys.maxsize
    model = stage.model.eval()
    for part in model.label_layer():
        digest.update(part.detach().float().cpu().numpy().tobytes())
    for interaction, *_ in stage.loaders.test:
        with torch.compiler.set_stance("force_eager"):
            states = model.user_states(interaction.to(stage.config["device"]))
        states = states[: most - rows]
        digest.update(states.float().cpu().numpy().tobytes())
        rows += len(states)
        if rows >= most:
            break
    return digest.hexdigest()
