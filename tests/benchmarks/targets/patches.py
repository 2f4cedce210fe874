"""Fine-tuning steps of patches against those of the whole network."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from measure import Row, kept_memory, medians, milliseconds

from recbole_peterrec.model.task_network import TaskNetwork, Tuning, tuned_network
from recbole_peterrec.nn.encoder import Architecture, DilatedEncoder
from recbole_peterrec.nn.pooling import add_tokens, pool

BATCH, LENGTH, WIDTH = 32, 100, 256


def patch_step() -> list[Row]:
    """One step with patches, whole and trimmed, against a full fine-tuning step."""
    torch.manual_seed(0)
    architecture = Architecture(1682, WIDTH, 3, (1, 4) * 4, True, "post")
    items = torch.randint(1, 1682, (BATCH, LENGTH))
    lengths = torch.full((BATCH,), LENGTH)
    labels = torch.randint(0, 10, (BATCH,))

    def network(tuning: str) -> TaskNetwork:
        return tuned_network(
            DilatedEncoder(architecture),
            Tuning(
                tuning=tuning,
                tune_layers=1,
                tune_layernorm=False,
                pooling="tcl_end",
                patch_insertion="serial_before_norm",
                patch_count=None,
                patch_reduction=8,
                patch_activation="relu",
                patch_cardinality=1,
            ),
            10,
        )

    def step(net: TaskNetwork, trimmed: bool):
        trained = [p for p in net.parameters() if p.requires_grad]
        optimiser = torch.optim.Adam(trained)

        def run() -> None:
            optimiser.zero_grad()
            if trimmed:
                user = net(items, lengths)
            else:
                token = net.encoder.special_token
                longer, ends = add_tokens(items, lengths, "tcl_end", token)
                user = pool(net.encoder(longer), ends, "tcl_end")
            F.cross_entropy(net.head(user), labels).backward()
            optimiser.step()

        return run

    patched = network("patch")
    steps = {
        "full": step(network("all"), False),
        "patch": step(patched, False),
        "trimmed": step(patched, True),
    }
    rows = []
    for state, memory in (("", nullcontext), (", malloc tuned", kept_memory)):
        with memory():
            times = medians(7, **steps)
        case = f"step of full fine-tuning's, k 256, L 100{state}"
        note = milliseconds(times)
        rows += [
            Row(f"patch {case}", times["patch"] / times["full"], 0.85, True, note),
            Row(f"trimmed patch {case}", times["trimmed"] / times["full"], 0.65, True),
        ]
    return rows
