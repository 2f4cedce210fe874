"""A step that trains free weights only, against one that trains all of the same network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from measure import Row, medians, milliseconds
from torch import nn

from recbole_peterrec.model.learner import Learner
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder

BATCH, LENGTH, WIDTH, LABELS = 32, 100, 256, 10


def conure_step() -> list[Row]:
    """Cost of ownership, and frozen weights that change under AdamW with decay: none may."""
    torch.manual_seed(0)
    architecture = DilatedArchitecture(1682, WIDTH, 3, (1, 4) * 4, True, "pre")
    items = torch.randint(1, 1682, (BATCH, LENGTH))
    lengths = torch.full((BATCH,), LENGTH)
    labels = torch.randint(0, LABELS, (BATCH,))

    def step(net: TaskNetwork):
        trained = [p for p in net.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, weight_decay=0.1, fused=True)

        def run() -> None:
            optimiser.zero_grad()
            F.cross_entropy(net.scores(items, lengths), labels).backward()
            optimiser.step()

        return run

    learner = Learner(DilatedEncoder(architecture))
    learner.begin("first")
    learner.prune({"convolution": 0.7})
    learner.keep(nn.Linear(WIDTH, LABELS))
    kept = learner.fingerprint("first")
    learner.begin("second")
    owned = step(TaskNetwork(learner.encoder, "mean", LABELS))
    # The opponent trains the same layers: convolutions and head, embeddings and norms frozen.
    plain = DilatedEncoder(architecture).requires_grad_(False)
    for name in plain.prunable_weights()["convolution"]:
        plain.get_submodule(name).weight.requires_grad_(True)
    times = medians(7, owned=owned, plain=step(TaskNetwork(plain, "mean", LABELS)))
    learner.prune({"convolution": 0.8})
    learner.keep(nn.Linear(WIDTH, LABELS))
    changed = float(learner.fingerprint("first") != kept)
    case = "k 256, 16 layers, L 100"
    return [
        Row(
            f"Conure's step of an unmasked one's, {case}",
            times["owned"] / times["plain"],
            1.05,
            True,
            milliseconds(times),
        ),
        Row("first task's weights changed by it (0 no, 1 yes)", changed, 0, True),
    ]
