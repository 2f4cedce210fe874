"""What a sampled softmax draws, against counts over many draws and the sums they stand for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_peterrec.nn.sampled_softmax import ItemSampler, sampled_softmax_loss

WEIGHTS = torch.tensor([5.0, 1, 40, 1, 3, 8, 2, 1, 13, 1, 1, 7])
TRIALS = 4000


def counted(sampler, items):
    """How many of many samples have each item, and the likelihood that the sampler tells."""
    generator = torch.Generator().manual_seed(0)
    counts, told = torch.zeros(items), torch.full((items,), torch.nan)
    for _ in range(TRIALS):
        drawn, log_share = sampler(generator)
        counts[drawn - 1] += 1
        told[drawn - 1] = log_share.exp()
    return counts, told


def likelihoods(weights, samples):
    """Of each item, by hand: an item has a piece of one unit of the line, or of two."""
    left, units = (
        sorted(enumerate(weights), key=lambda pair: (-pair[1], pair[0])),
        samples,
    )
    found = [0.0] * len(weights)
    while left and left[0][1] * units >= (1 - 1e-9) * math.fsum(w for _, w in left):
        found[left.pop(0)[0]] = 1.0
        units -= 1
    whole, start = math.fsum(w for _, w in left), 0.0
    for item, weight in left:
        end = start + units * weight / whole
        missed = 1.0
        for unit in range(math.floor(start), math.ceil(end)):
            missed *= 1 - (min(end, unit + 1) - max(start, unit))
        found[item] = 1 - missed
        start = end
    return found


weights_of = st.one_of(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30),
    st.builds(lambda w, n: [w] * n, st.floats(1e-3, 1e3), st.integers(1, 30)),
)


@settings(deadline=None, max_examples=100)
@given(weights=weights_of, data=st.data(), seed=st.integers(0, 99))
def test_a_sample_tells_how_likely_each_of_its_items_is(weights, data, seed):
    samples = data.draw(st.integers(1, len(weights)))
    sampler = ItemSampler(torch.tensor(weights, dtype=torch.double), samples)
    drawn, log_share = sampler(torch.Generator().manual_seed(seed))
    assert (drawn[1:] > drawn[:-1]).all()
    assert 1 <= drawn[0] and drawn[-1] <= len(weights)
    # Of neighbours on the line, one can be drawn twice.
    assert (samples + 1) // 2 <= len(drawn) <= samples
    wanted = torch.tensor(likelihoods(weights, samples))[drawn - 1]
    torch.testing.assert_close(log_share.exp(), wanted, rtol=1e-5, atol=0)
    assert not sampler.state_dict()


@pytest.mark.parametrize("samples", [1, 3, 6, 11])
def test_items_are_in_samples_as_often_as_it_tells(samples):
    counts, told = counted(ItemSampler(WEIGHTS, samples), len(WEIGHTS))
    error = (TRIALS * told * (1 - told)).clamp(min=0).sqrt()
    assert ((counts - TRIALS * told).abs() <= 4 * error).all()


def test_items_are_drawn_by_weight_and_the_heaviest_always():
    """Of 3 units, 40 of 83 has more than one; 2 units are left for 43, so 13 has .6 and 5 .23.

    The likelihood of an item across two units is a little below its length.
    """
    counts, told = counted(ItemSampler(WEIGHTS, 3), len(WEIGHTS))
    assert counts[2] == TRIALS
    assert told[8] == pytest.approx(2 * 13 / 43)
    lengths = 2 * WEIGHTS / 43
    assert (told <= lengths.clamp(max=1) + 1e-6).all()
    assert (told >= 0.8 * lengths.clamp(max=1)).all()


def test_equal_weights_are_drawn_alike():
    counts, told = counted(ItemSampler(torch.full((40,), 0.1), 10), 40)
    assert torch.allclose(told, torch.full((40,), 0.25))
    assert ((counts - TRIALS / 4).abs() <= 4 * math.sqrt(TRIALS * 3 / 16)).all()


@pytest.mark.parametrize("weights", [WEIGHTS, torch.full((12,), 0.1)])
def test_a_sample_of_every_item_has_each_for_certain(weights):
    drawn, log_share = ItemSampler(weights, 12)()
    assert drawn.tolist() == list(range(1, 13))
    assert (log_share == 0).all()


@pytest.mark.parametrize("samples", [2, 5])
def test_the_sampled_partition_is_the_exact_one_on_average(samples):
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=torch.double)
        for shape in ((1, 4), (13, 4), (13,))
    )
    target = torch.tensor([3])
    logits = (hidden @ weight.T + bias)[0]
    others = logits.exp().sum() - logits[0].exp() - logits[3].exp()
    sampler, estimates = ItemSampler(WEIGHTS, samples), []
    for _ in range(TRIALS):
        loss = sampled_softmax_loss(hidden, target, weight, bias, [sampler(generator)])
        estimates.append((loss + logits[3]).exp() - logits[3].exp())
    estimates = torch.stack(estimates)
    error = estimates.std() / math.sqrt(TRIALS)
    assert abs(estimates.mean() - others) < 4 * error


def test_a_draw_costs_what_the_sample_does():
    """Not what the items do: nothing of their number is made."""
    sampler = ItemSampler(torch.ones(100_000), 8)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        sampler()
    assert sum(max(0, event.cpu_memory_usage) for event in seen.events()) < 20_000


def test_parts_of_the_popularity_scale_have_their_share_in_each_sample():
    """Ten popular items have half of the weight, 990 rare ones the other: each is half of a sample."""
    weights = torch.cat([torch.full((10,), 99.0), torch.full((990,), 1.0)])
    sampler = ItemSampler(weights, 10)
    for seed in range(50):
        drawn, _ = sampler(torch.Generator().manual_seed(seed))
        assert (drawn <= 10).sum() == 5


@pytest.mark.parametrize(
    ("samples", "rows", "parts"),
    [
        (2, 1, 1),
        (2, 256, 1),
        (2, 257, 2),
        (300, 300, 1),
        (300, 301, 2),
        (300, 1200, 4),
        (300, 2100, 7),
        (300, 2101, 8),
        (300, 10_000, 8),
        (1000, 2000, 1),
    ],
)
def test_as_many_rows_share_a_sample_as_it_has_items_or_256_up_to_eight_samples(
    samples, rows, parts
):
    """And one sample of all items has no error that rows could share."""
    sampler = ItemSampler(torch.ones(1000), samples)
    drawn = sampler.for_rows(rows, torch.Generator().manual_seed(0))
    assert len(drawn) == parts
    generator = torch.Generator().manual_seed(0)
    for items, log_share in drawn:
        wanted = sampler(generator)
        assert torch.equal(items, wanted[0]) and torch.equal(log_share, wanted[1])
