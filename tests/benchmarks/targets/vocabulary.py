"""Losses and ranks over large vocabularies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from measure import Row, kept_memory, medians, milliseconds, peak_bytes

from recbole_peterrec.nn.ranking import ranks
from recbole_peterrec.nn.sampled_softmax import ItemSampler, sampled_softmax_loss
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy

TTL_ITEMS = 646_000


def _example(rows: int, items: int, width: int):
    torch.manual_seed(0)
    hidden = torch.randn(rows, width).requires_grad_()
    weight = torch.randn(items, width).mul_(0.1).requires_grad_()
    bias = torch.randn(items).mul_(0.1).requires_grad_()
    return hidden, weight, bias, torch.randint(1, items, (rows,))


def exact() -> list[Row]:
    """Exact cross entropy, forward and backward, against torch's on all logits."""
    hidden, weight, bias, targets = _example(1600, 54_000, 64)
    values = {}

    def naive() -> None:
        hidden.grad = weight.grad = bias.grad = None
        loss = F.cross_entropy(F.linear(hidden, weight, bias), targets)
        loss.backward()
        values["naive"] = loss.item()

    def ours() -> None:
        hidden.grad = weight.grad = bias.grad = None
        loss = linear_cross_entropy(hidden, weight, bias, targets)
        loss.backward()
        values["ours"] = loss.item()

    times = medians(5, naive=naive, ours=ours)
    memory = {"naive": peak_bytes(naive), "ours": peak_bytes(ours)}
    with kept_memory():
        tuned = medians(5, naive=naive, ours=ours)
    case = "exact CE, V 54 K, k 64, N 1600"
    mebibytes = ", ".join(f"{n} {size / 2**20:.0f} MiB" for n, size in memory.items())
    return [
        Row(f"{case}", times["naive"] / times["ours"], 2, note=milliseconds(times)),
        Row(
            f"{case}, malloc tuned",
            tuned["naive"] / tuned["ours"],
            1.25,
            note=milliseconds(tuned),
        ),
        Row(
            f"{case}, peak of naive's",
            memory["ours"] / memory["naive"],
            0.05,
            at_most=True,
            note=f"{mebibytes}; with the gradients, 14 MiB",
        ),
        Row(
            f"{case}, difference of loss",
            abs(values["naive"] - values["ours"]),
            1e-5,
            at_most=True,
        ),
    ]


def sampled() -> list[Row]:
    """4096 shared negatives with sparse gradients, against the full loss in tiles."""
    hidden, weight, bias, targets = _example(1600, TTL_ITEMS, 64)
    sampler = ItemSampler(torch.ones(TTL_ITEMS - 1), 4096)

    def full() -> None:
        hidden.grad = weight.grad = bias.grad = None
        linear_cross_entropy(hidden, weight, bias, targets).backward()

    def negatives() -> None:
        hidden.grad = weight.grad = bias.grad = None
        samples = sampler.for_rows(len(hidden))
        sampled_softmax_loss(
            hidden, targets, weight, bias, samples, sparse=True
        ).backward()

    times = medians(3, full=full, sampled=negatives)
    weight.grad = bias.grad = None
    peak = peak_bytes(negatives) / 2**20
    case = "sampled CE, 4096 of 646 K, k 64, N 1600"
    return [
        Row(case, times["full"] / times["sampled"], 30, note=milliseconds(times)),
        Row(f"{case}, peak MiB", peak, 100, at_most=True, note="beside the tables"),
    ]


def exact_ranks() -> list[Row]:
    """Ranks against the one bare product of all states and items, bias and all."""
    hidden, weight, bias, targets = _example(256, TTL_ITEMS, 256)
    scores = torch.empty(len(hidden), len(weight))

    @torch.no_grad()
    def product() -> None:
        torch.addmm(bias, hidden, weight.t(), out=scores)

    @torch.no_grad()
    def tiled_product() -> None:
        tile = scores.view(-1)[: len(hidden) * 512].view(-1, 512)
        for left in range(0, len(weight) - 512, 512):
            block = slice(left, left + 512)
            torch.addmm(bias[block], hidden, weight[block].t(), out=tile)

    @torch.no_grad()
    def sort() -> None:
        product()
        scores.topk(5)

    found = {}

    def ours() -> None:
        found["ranks"] = ranks(hidden, weight, bias, targets)

    times = medians(5, ours=ours, product=product, tiles=tiled_product, topk=sort)
    wrong = _wrong_ranks(hidden, weight, bias, targets, found["ranks"])
    case = "ranks, V 646 K, k 256, N 256"
    note = f"{milliseconds(times)}; {times['ours'] / times['tiles']:.2f} of tiles"
    return [
        Row(f"{case}, of product", times["ours"] / times["product"], 1.15, True, note),
        Row(f"{case}, wrong but for near ties", wrong, 0, at_most=True),
    ]


@torch.no_grad()
def _wrong_ranks(hidden, weight, bias, targets, found) -> int:
    """Ranks outside float64's bounds, scores within 1e-5 counting as ties."""
    wrong = 0
    table, offset = weight.double(), bias.double()
    for row in range(0, len(hidden), 16):
        some = slice(row, row + 16)
        scores = hidden[some].double() @ table.t() + offset
        own = scores.gather(1, targets[some, None])
        above = (scores > own + 1e-5).sum(1)
        near = ((scores - own).abs() <= 1e-5).sum(1)
        inside = (found[some] > above) & (found[some] <= above + near)
        wrong += int((~inside).sum())
    return wrong
