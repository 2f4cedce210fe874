"""Blocks and losses in bfloat16 as a share of what the device's products reach: a GPU, or the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from measure import Row, medians, milliseconds, peak_bytes

from recbole_peterrec.nn.residual import ResidualBlock
from recbole_peterrec.nn.sampled_softmax import ItemSampler, sampled_softmax_loss
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy

WIDTH, LENGTH = 256, 100  # of TTL's backbone
BATCHES = {"cpu": (32,), "cuda": (32, 512)}  # the paper's; what fills a GPU
REPEATS = {"cpu": 5, "cuda": 30}
EXACT_ITEMS, TTL_ITEMS, SAMPLES = 54_000, 646_000, 4096


def shares() -> list[Row]:
    """Forward and backward of a block, the exact and the sampled loss, at each batch size."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measured = [
        make(device, batch * LENGTH)
        for make in (block, exact, sampled)
        for batch in BATCHES[device.type]
    ]
    return [*measured, repeated(device)]


def block(device: torch.device, positions: int) -> Row:
    """Two blocks, dilations 1 and 4: two convolutions of three taps each."""
    torch.manual_seed(0)
    modules = [
        ResidualBlock(WIDTH, 3, d, True, "post").to(device).train() for d in (1, 4)
    ]
    x = torch.randn(LENGTH, positions // LENGTH, WIDTH, device=device)
    x.requires_grad_()
    grad = torch.randn_like(x)

    def step() -> None:
        x.grad = None
        for module in modules:
            module.zero_grad()
            with torch.autocast(device.type, torch.bfloat16):
                result = module(x)
            result.backward(grad.to(result.dtype))

    case = f"block forward+backward, k {WIDTH}"
    return _share(device, case, positions, step, WIDTH, layers=2 * 2 * 3)


def exact(device: torch.device, positions: int) -> Row:
    """The full softmax, whose logits are computed again in the backward pass."""
    hidden, weight, bias, targets = _layer(device, positions, EXACT_ITEMS)

    def step() -> None:
        hidden.grad = weight.grad = bias.grad = None
        with torch.autocast(device.type, torch.bfloat16):
            loss = linear_cross_entropy(hidden, weight, bias, targets)
        loss.backward()

    case = f"exact CE, V {EXACT_ITEMS // 1000} K, k {WIDTH}"
    return _share(device, case, positions, step, EXACT_ITEMS)


def sampled(device: torch.device, positions: int) -> Row:
    """Shared negatives, sparse gradients."""
    hidden, weight, bias, targets = _layer(device, positions, TTL_ITEMS)
    sampler = ItemSampler(torch.ones(TTL_ITEMS - 1), SAMPLES).to(device)

    def step() -> None:
        hidden.grad = weight.grad = bias.grad = None
        samples = sampler.for_rows(positions)
        with torch.autocast(device.type, torch.bfloat16):
            loss = sampled_softmax_loss(
                hidden, targets, weight, bias, samples, sparse=True
            )
        loss.backward()

    case = f"sampled CE, {SAMPLES} of {TTL_ITEMS // 1000} K, k {WIDTH}"
    return _share(device, case, positions, step, SAMPLES)


def repeated(device: torch.device) -> Row:
    """Whether gradients are the same bytes again, where many rows share few targets."""
    hidden, weight, bias, targets = _layer(device, 5000, EXACT_ITEMS)
    inputs, targets = (hidden, weight, bias), targets % 50
    first, *others = (
        torch.autograd.grad(linear_cross_entropy(*inputs, targets), inputs)
        for _ in range(3)
    )
    same = all(all(map(torch.equal, first, other)) for other in others)
    case = "gradients of repeated targets changed by a repetition (0 no, 1 yes)"
    return Row(case, float(not same), 0, at_most=True)


def linear_layer(device: torch.device, rows: int, outputs: int) -> Callable[[], None]:
    """The bare products of a linear layer in bfloat16: its outputs, and both gradients."""
    bf16 = {"device": device, "dtype": torch.bfloat16}
    x, weight = torch.randn(rows, WIDTH, **bf16), torch.randn(outputs, WIDTH, **bf16)
    y = torch.empty(rows, outputs, **bf16)
    grads = torch.empty_like(x), torch.empty_like(weight)

    def products() -> None:
        torch.mm(x, weight.t(), out=y)
        torch.mm(y, weight, out=grads[0])
        torch.mm(y.t(), x, out=grads[1])

    return products


def _layer(device: torch.device, rows: int, items: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    hidden = torch.randn(rows, WIDTH, device=device).requires_grad_()
    weight = torch.randn(items, WIDTH, device=device).mul_(0.1).requires_grad_()
    bias = torch.zeros(items, device=device).requires_grad_()
    return hidden, weight, bias, torch.randint(1, items, (rows,), device=device)


def _share(
    device: torch.device,
    case: str,
    positions: int,
    step: Callable[[], None],
    outputs: int,
    layers: int = 1,
) -> Row:
    """A step against its products, those of so many linear layers; what it computes again to
    save memory is not counted among them."""
    layer = linear_layer(device, positions, outputs)

    def products() -> None:
        for _ in range(layers):
            layer()

    times = medians(REPEATS[device.type], ours=step, products=products)
    work = 6 * layers * positions * WIDTH * outputs  # FLOP
    rates = ", ".join(f"{work / times[n] / 1e12:.3g}" for n in ("ours", "products"))
    peak = peak_bytes(step, device) / 2**20
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return Row(
        f"{case}, {positions:,} positions, share of bf16 products, {where}",
        times["products"] / times["ours"],
        note=f"{milliseconds(times)}; {rates} TFLOP/s; peak {peak:.0f} MiB beside inputs, "
        f"weights and gradients",
    )
