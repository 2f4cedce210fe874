"""Residual blocks, whole steps, and the last position only."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from measure import Row, kept_memory, medians, milliseconds
from opponents import BatchFirstBlock, PlainNetwork
from torch import nn

from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.residual import ResidualBlock
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy
from recbole_peterrec.trainer.one_pass import in_one_pass

BATCH, LENGTH = 32, 50
DILATIONS = (1, 4) * 4


def block() -> list[Row]:
    """Forward and backward of a block, k 256, mean over the dilations 1 and 4."""
    torch.manual_seed(0)
    width, rows = 256, BATCH * LENGTH
    ours = [ResidualBlock(width, 3, d, True, "post") for d in (1, 4)]
    conv1d = [BatchFirstBlock(width, d, 1) for d in (1, 4)]
    x = torch.randn(LENGTH, BATCH, width, requires_grad=True)
    y = torch.randn(BATCH, LENGTH, width, requires_grad=True)
    grad, other_grad = torch.randn_like(x), torch.randn_like(y)
    matrix, factor = torch.randn(rows, width), torch.randn(width, width)
    out = torch.empty(rows, width)

    def time_major() -> None:
        for module in ours:
            module(x).backward(grad)

    def in_bf16() -> None:
        for module in ours:
            with torch.autocast("cpu", torch.bfloat16):
                result = module(x)
            result.backward(grad.to(result.dtype))

    def batch_first() -> None:
        for module in conv1d:
            module(y).backward(other_grad)

    def products() -> (
        None
    ):  # 2 blocks, 2 convolutions, 3 taps, and forward and backward
        for _ in range(2 * 2 * 3 * 3):
            torch.mm(matrix, factor, out=out)

    times = medians(
        15, ours=time_major, bf16=in_bf16, conv1d=batch_first, products=products
    )
    note = milliseconds(times)
    case = "block forward+backward, k 256"
    return [
        Row(
            f"{case}, share of GEMM", times["products"] / times["ours"], 0.6, note=note
        ),
        Row(f"{case}, against Conv1d", times["conv1d"] / times["ours"], 1.35),
        Row(f"{case}, bf16 against Conv1d", times["conv1d"] / times["bf16"], 2.5),
    ]


class _Ours(nn.Module):
    """Our backbone without RecBole."""

    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.encoder = DilatedEncoder(
            DilatedArchitecture(items, width, 3, DILATIONS, True, "post")
        )
        self.output = nn.Linear(width, items)

    def loss(self, items: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(items).flatten(0, 1)
        layer = self.output
        return linear_cross_entropy(hidden, layer.weight, layer.bias, targets.flatten())


def step() -> list[Row]:
    """A training step with Adam, against a plain ``Conv2d`` network with all logits."""
    rows = []
    for state, memory in (("", nullcontext), (", malloc tuned", kept_memory)):
        for items, name, repeats, target in (
            (1682, "1682", 15, 1.4),
            (54_000, "54 K", 5, 1.5 if state else 2),
        ):
            torch.manual_seed(0)
            models = {
                "plain": PlainNetwork(items, 64, DILATIONS),
                "ours": _Ours(items, 64),
            }
            batch = torch.randint(1, items, (2, BATCH, LENGTH))
            optimisers = {
                n: torch.optim.Adam(m.parameters()) for n, m in models.items()
            }
            in_one_pass(optimisers["ours"])  # as our trainers do
            steps = {n: _step(models[n], optimisers[n], *batch) for n in models}
            with memory():
                times = medians(repeats, **steps)
            ratio, note = times["plain"] / times["ours"], milliseconds(times)
            case = f"step against a Conv2d network, V {name}, k 64{state}"
            rows.append(Row(case, ratio, target, note=note))
    return rows


def _step(model, optimiser, items: torch.Tensor, targets: torch.Tensor):
    def run() -> None:
        optimiser.zero_grad()
        model.loss(items, targets).backward()
        optimiser.step()

    return run


def last_position() -> list[Row]:
    """The last state alone against the network's whole output, without gradients."""
    rows = []
    for width, causal in ((64, True), (256, True), (256, False)):
        for length, target in ((100, 1.4), (200, 2.5)):
            torch.manual_seed(0)
            net = DilatedEncoder(
                DilatedArchitecture(1682, width, 3, DILATIONS, causal, "post")
            )
            items = torch.randint(1, 1682, (BATCH, length))
            full = torch.full((BATCH,), length)
            values = {}

            @torch.no_grad()
            def whole(net=net, items=items, values=values) -> None:
                values["whole"] = net(items)[:, -1]

            @torch.no_grad()
            def last(net=net, items=items, full=full, values=values) -> None:
                values["last"] = net.last_states(items, full)

            times = medians(25, whole=whole, last=last)
            same = torch.equal(values["whole"], values["last"])
            note = f"{milliseconds(times)}; {'bit-equal' if same else 'not bit-equal'}"
            of = "last position only" if causal else "last position only, GRec"
            case = f"{of}, L {length}, k {width}"
            rows.append(Row(case, times["whole"] / times["last"], target, note=note))
    return rows
