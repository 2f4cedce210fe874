"""Exact and sampled softmax in tiles against torch's loss on all logits in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_peterrec.nn import tiles as tiling
from recbole_peterrec.nn import vocabulary_loss
from recbole_peterrec.nn.column_tiles import ColumnTiles
from recbole_peterrec.nn.sampled_softmax import sampled_softmax_loss
from recbole_peterrec.nn.table_rows import rows_of
from recbole_peterrec.nn.vocabulary_loss import linear_cross_entropy

TILES = {
    "naive": {"NAIVE_ELEMENTS": 2**60},
    "rows": {"NAIVE_ELEMENTS": 0, "FEWEST_ROWS": 3, "MOST_ROWS": 3},
    "columns": {"NAIVE_ELEMENTS": 0, "WHOLE_ROWS_ELEMENTS": 0},
}


def small_tiles(monkeypatch, kind, elements=12):
    monkeypatch.setattr(tiling, "TILE_ELEMENTS", {"cpu": elements})
    monkeypatch.setattr(tiling, "MOST_ROWS", 4)
    monkeypatch.setattr(tiling, "FEWEST_COLUMNS", 1)
    for name, value in TILES[kind].items():
        monkeypatch.setattr(vocabulary_loss, name, value)


@pytest.fixture
def tiles(monkeypatch):
    """Makes tiles a few logits large, of the kind that is named."""
    return lambda kind: small_tiles(monkeypatch, kind)


def example(rows=7, items=20, width=5, seed=0, dtype=torch.double):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    hidden, weight, bias = normal(rows, width), normal(items, width), normal(items)
    targets = torch.randint(1, items, (rows,), generator=generator)
    return hidden, weight, bias, targets


def a_sample(size, items=20, seed=0):
    """Items and how likely each of them is in a sample, of whatever sampler."""
    generator = torch.Generator().manual_seed(seed)
    drawn = 1 + torch.randperm(items - 1, generator=generator)[:size].sort().values
    return drawn, torch.rand(size, generator=generator, dtype=torch.double).log()


def naive_sampled(hidden, targets, weight, bias, drawn, log_share):
    """The sampled loss with all logits, for given negatives."""
    positive = (hidden * weight[targets]).sum(-1) + bias[targets]
    negative = F.linear(hidden, weight[drawn], bias[drawn])
    negative = negative - log_share
    negative = negative.masked_fill(drawn == targets[:, None], -torch.inf)
    logits = torch.cat([positive[:, None], negative], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(targets))


def gradients(loss, *inputs):
    return torch.autograd.grad(3 * loss, inputs)


@pytest.mark.parametrize("kind", TILES)
@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 11),
    items=st.integers(1, 30),
    elements=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_those_of_cross_entropy(
    kind, rows, items, elements, seed
):
    with pytest.MonkeyPatch.context() as patch:
        small_tiles(patch, kind, elements)
        hidden, weight, bias, targets = example(rows, max(items, 2), seed=seed)
        ours = linear_cross_entropy(hidden, weight, bias, targets)
        theirs = F.cross_entropy(F.linear(hidden, weight, bias), targets)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        for mine, other in zip(
            gradients(ours, hidden, weight, bias),
            gradients(theirs, hidden, weight, bias),
            strict=True,
        ):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("items", "width", "rows"),
    [
        (1_682, 64, 155),  # 2 ** 18 logits
        (8_192, 512, 128),
        (32_768, 256, 128),  # 2 ** 22
        (32_769, 256, 0),
        (54_000, 64, 77),
        (54_000, 128, 77),
        (54_000, 130, 77),
        (54_000, 156, 0),
        (65_536, 8, 64),
        (65_537, 8, 0),
    ],
)
def test_whole_rows_are_as_many_as_fit_and_none_where_too_few_do(items, width, rows):
    assert vocabulary_loss._whole_rows(torch.empty(1, width), items) == rows


@pytest.mark.parametrize("kind", TILES)
def test_tiles_are_of_the_kind_that_tests_name(kind, tiles, monkeypatch):
    def refuse(*args):
        raise AssertionError("another kind")

    others = {"rows": "_RowTiles", "columns": "ColumnTiles"}
    others.pop(kind, None)
    for name in others.values():
        monkeypatch.setattr(getattr(vocabulary_loss, name), "forward", refuse)
    tiles(kind)
    assert linear_cross_entropy(*example()) > 0


@pytest.mark.parametrize("frozen", [0, 1, 2], ids=["hidden", "weight", "bias"])
@pytest.mark.parametrize("kind", TILES)
def test_what_is_frozen_costs_no_gradient_and_the_others_keep_theirs(
    kind, frozen, tiles
):
    tiles(kind)
    *inputs, targets = example()
    wanted = gradients(F.cross_entropy(F.linear(*inputs), targets), *inputs)
    inputs[frozen].requires_grad_(False)
    (3 * linear_cross_entropy(*inputs, targets)).backward()
    for place, (ours, theirs) in enumerate(zip(inputs, wanted, strict=True)):
        if place == frozen:
            assert ours.grad is None
        else:
            torch.testing.assert_close(ours.grad, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", TILES)
def test_without_gradients_nothing_is_recorded(kind, tiles):
    tiles(kind)
    hidden, weight, bias, targets = example()
    with torch.no_grad():
        loss = linear_cross_entropy(hidden, weight, bias, targets)
    assert not loss.requires_grad


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_real_tiles_in_float32_are_within_1e_5(kind, monkeypatch):
    for name, value in TILES[kind].items():
        if not name.endswith("ROWS"):
            monkeypatch.setattr(vocabulary_loss, name, value)
    hidden, weight, bias, targets = example(600, 3000, 16, dtype=torch.float)
    ours = linear_cross_entropy(hidden, weight, bias, targets)
    exact = F.cross_entropy(
        F.linear(hidden.double(), weight.double(), bias.double()), targets
    )
    assert abs(ours.item() - exact.item()) < 1e-5
    for mine, other in zip(
        gradients(ours, hidden, weight, bias),
        gradients(exact, hidden, weight, bias),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_large_logits_neither_overflow_nor_vanish(kind, tiles):
    tiles(kind)
    hidden, weight, bias, targets = example(dtype=torch.float)
    ours = linear_cross_entropy(1e3 * hidden, weight, bias, targets)
    theirs = F.cross_entropy(F.linear(1e3 * hidden, weight, bias), targets)
    torch.testing.assert_close(ours, theirs)
    assert all(g.isfinite().all() for g in gradients(ours, hidden, weight, bias))


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_gradients_of_one_item_far_above_the_others_keep_float32_s_digits(kind, tiles):
    tiles(kind)
    exact = example(300, 70, 16)
    single = [x.detach().float().requires_grad_() for x in exact[:3]]
    scales = (1000.0, 250.0, 1.0)

    def gradients(inputs, loss):
        hidden, weight, bias = (x * s for x, s in zip(inputs, scales, strict=True))
        return torch.autograd.grad(loss(hidden, weight, bias, exact[3]), inputs)

    def naive(hidden, weight, bias, targets):
        return F.cross_entropy(F.linear(hidden, weight, bias), targets)

    wanted = gradients(exact[:3], naive)
    for got, true in zip(gradients(single, linear_cross_entropy), wanted, strict=True):
        assert (got - true).abs().max() < 1e-5 * true.abs().max()


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_what_is_not_a_number_stays_visible(kind, tiles):
    tiles(kind)
    hidden, weight, bias, targets = example()
    broken = torch.where(torch.arange(7)[:, None] == 3, torch.nan, hidden)
    assert linear_cross_entropy(broken, weight, bias, targets).isnan()
    assert sampled_softmax_loss(broken, targets, weight, bias, [a_sample(6)]).isnan()


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_under_autocast_products_are_bf16_and_the_loss_is_near(kind, tiles):
    tiles(kind)
    hidden, weight, bias, targets = example(dtype=torch.float)
    exact = linear_cross_entropy(hidden, weight, bias, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = linear_cross_entropy(hidden, weight, bias, targets)
        every = torch.arange(1, 20), torch.zeros(19)
        sampled = sampled_softmax_loss(hidden, targets, weight, bias, [every])
    for loss in (ours, sampled):
        assert loss.dtype == torch.float
        grads = gradients(loss, hidden, weight, bias)
        assert all(grad.dtype == torch.float for grad in grads)
    assert abs(ours.item() - exact.item()) < 0.02


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_under_autocast_a_target_s_logit_is_as_rounded_as_the_others(kind, tiles):
    """So that the loss of rows that are sure is never below 0, and they learn nothing."""
    tiles(kind)
    hidden, weight, bias, _ = example(300, 70, 16, dtype=torch.float)
    hidden = (30 * hidden.detach()).requires_grad_()
    low = [x.detach().bfloat16() for x in (hidden, weight)]
    logits = (low[0] @ low[1].t()).double() + bias.detach()
    targets = logits.argmax(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for some in range(300):
            one = slice(some, some + 1)
            assert linear_cross_entropy(hidden[one], weight, bias, targets[one]) >= 0
        loss = linear_cross_entropy(hidden, weight, bias, targets)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, targets).item(), 1e-3)
    error = (logits.softmax(1) - F.one_hot(targets, 70)) / 300
    wanted = error @ low[1].double(), error.t() @ low[0].double(), error.sum(0)
    grads = torch.autograd.grad(loss, [hidden, weight, bias])
    for got, true in zip(grads, wanted, strict=True):
        assert (got - true).abs().max() < 0.01 * true.abs().max()


def test_sampling_every_item_is_the_exact_softmax(tiles):
    tiles("columns")
    hidden, weight, bias, targets = example()
    exact = F.cross_entropy(hidden @ weight[1:].T + bias[1:], targets - 1)
    every = torch.arange(1, 20), torch.zeros(19)
    sampled = sampled_softmax_loss(hidden, targets, weight, bias, [every])
    torch.testing.assert_close(sampled, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("sizes", "heights"),
    [
        ([1], [7]),
        ([3], [7]),
        ([10], [7]),
        ([19], [7]),
        ([4, 19], [4, 3]),
        ([6, 1, 6], [3, 2, 2]),
        ([2, 3, 4, 5, 6, 7, 8], [1] * 7),
    ],
)
def test_sampled_values_and_gradients_are_those_of_all_logits(
    sizes, heights, sparse, tiles
):
    """Of parts of the rows with a sample each, the mean over all rows."""
    tiles("columns")
    hidden, weight, bias, targets = example()
    samples = [a_sample(size, seed=seed) for seed, size in enumerate(sizes)]
    ours = sampled_softmax_loss(hidden, targets, weight, bias, samples, sparse=sparse)
    parts = zip(hidden.split(heights), targets.split(heights), samples, strict=True)
    theirs = sum(
        len(own) * naive_sampled(states, own, weight, bias, *sample)
        for states, own, sample in parts
    )
    theirs = theirs / 7
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for mine, other, is_table in zip(
        gradients(ours, hidden, weight, bias),
        gradients(theirs, hidden, weight, bias),
        (False, True, True),
        strict=True,
    ):
        assert mine.is_sparse == (sparse and is_table)
        torch.testing.assert_close(mine.to_dense(), other, rtol=0, atol=1e-12)


def test_a_dense_table_s_gradient_is_made_once_however_many_samples_there_are():
    hidden, weight, bias, targets = example()
    samples = [a_sample(6, seed=seed) for seed in range(3)]
    loss = sampled_softmax_loss(hidden, targets, weight, bias, samples)
    made = 0

    class Tables(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal made
            made += function.overloadpacket.__name__ == "index_add_"
            return function(*args, **(kwargs or {}))

    # Anomaly mode, which RecBole's models leave on, reads gradients.
    with torch.autograd.set_detect_anomaly(False), Tables():
        loss.backward()
    assert made == 2  # weight and bias


def test_a_target_that_is_the_only_sample_costs_nothing():
    hidden, weight, bias, _ = example(items=2)
    targets = torch.ones(7, dtype=torch.long)
    only = torch.ones(1, dtype=torch.long), torch.zeros(1)
    loss = sampled_softmax_loss(hidden, targets, weight, bias, [only])
    assert loss.item() == 0
    assert all((g == 0).all() for g in gradients(loss, hidden, weight, bias))


class Operations(TorchDispatchMode):
    """Collects the names of torch's operations."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


# What torch adds with atomics, in no fixed order, on a GPU.
UNORDERED = {"index_add", "index_add_", "scatter_add", "scatter_add_"}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("kind", ["columns", "rows of a table"])
def test_repeated_targets_are_added_in_a_fixed_order_off_the_cpu_too(
    kind, device, tiles
):
    hidden, weight, bias, targets = (x.detach().to(device) for x in example())
    # Importing RecBole's models leaves torch's anomaly mode on, which reads gradients.
    with torch.autograd.set_detect_anomaly(False), Operations() as seen:
        inputs = [x.requires_grad_() for x in (hidden, weight, bias)]
        if kind == "columns":
            tiles(kind)
            loss = ColumnTiles.apply(*inputs, targets, False).mean()
        else:
            loss = rows_of(weight, targets).sum()
        loss.backward()
    assert weight.grad.shape == weight.shape
    if device == "cpu":  # in order there, and where the names below come from
        assert seen.names & UNORDERED
    else:
        assert not seen.names & UNORDERED


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_logits_far_below_zero_do_not_vanish(kind, tiles):
    tiles(kind)
    hidden, weight, bias, targets = example(dtype=torch.float)
    ours = linear_cross_entropy(hidden, weight, bias - 1e3, targets)
    theirs = F.cross_entropy(F.linear(hidden, weight, bias - 1e3), targets)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
    assert all(g.isfinite().all() for g in gradients(ours, hidden, weight, bias))


def test_a_row_without_any_other_column_gives_no_gradient(tiles):
    """Of one item, itself left out; large states would make infinity times zero of it."""
    tiles("columns")
    hidden, weight = torch.full((2, 3), 30.0), torch.ones(1, 3)
    inputs = [x.requires_grad_() for x in (hidden, weight, torch.zeros(1))]
    sums = ColumnTiles.apply(*inputs, torch.zeros(2, dtype=torch.long), True)
    sums.backward(torch.ones(2))
    assert all(torch.equal(x.grad, torch.zeros_like(x)) for x in inputs)


def test_under_autocast_gradients_are_summed_over_tiles_in_float32(tiles):
    """A sum of tiles in bfloat16 loses what is below a 256th of it."""
    tiles("rows")
    hidden, weight, bias, targets = example(rows=600, dtype=torch.float)
    loss = linear_cross_entropy(hidden, weight, bias, targets)
    exact = gradients(loss, hidden, weight, bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = linear_cross_entropy(hidden, weight, bias, targets)
    found = gradients(ours, hidden, weight, bias)
    for mine, other in zip(found, exact, strict=True):
        assert (mine - other).norm() < 0.01 * other.norm()
