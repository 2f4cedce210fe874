"""What ownership promises: frozen entries never move, masks are Eq. 3 and 4, owners are for good."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbole_peterrec.nn.ownership import FREE, OwnershipError, own, pruned_entries


def linear(seed: int = 0, size: int = 6) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(size, size, bias=False)


def stored(layer: nn.Linear) -> torch.Tensor:
    return layer.parametrizations.weight.original


def shake(owned, optimiser_class=torch.optim.AdamW, steps: int = 3, **settings) -> None:
    """Train with everything that could move a weight without a gradient."""
    optimiser = optimiser_class([owned.values], lr=0.1, weight_decay=0.5, **settings)
    for _ in range(steps):
        optimiser.zero_grad()
        (owned.values * torch.randn_like(owned.values)).sum().backward()
        optimiser.step()


def test_pruning_keeps_the_largest_by_magnitude_and_zeroes_the_rest():
    layer = linear()
    owned = own(layer)
    owned.train_free(stored(layer))
    trained = layer.weight.detach().numpy().copy()
    owned.prune(stored(layer), 1, 0.7)
    magnitude = np.sort(np.abs(trained).ravel())
    threshold = magnitude[int(0.7 * 36)]  # Eq. 3, the index Q|Z|
    expected = np.where(np.abs(trained) >= threshold, trained, 0)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), expected)
    np.testing.assert_array_equal(stored(layer).numpy(), trained)
    assert owned.free() == int(0.7 * 36)


def test_the_next_task_starts_from_condensed_and_pruned_values_alike():
    layer = linear()
    owned = own(layer)
    owned.train_free(stored(layer))
    shake(owned)
    trained = layer.weight.detach().clone()
    owned.prune(stored(layer), 1, 0.5)
    owned.keep(stored(layer))
    owned.train_free(stored(layer))
    assert torch.equal(layer.weight, trained)


def test_gradients_reach_free_entries_only_and_are_those_of_the_plain_weight():
    layer = linear()
    owned = own(layer)
    owned.train_free(stored(layer))
    owned.prune(stored(layer), 1, 0.5)
    owned.keep(stored(layer))
    owned.train_free(stored(layer))
    plain = layer.weight.detach().clone().requires_grad_()
    x = torch.randn(4, 6)
    (x @ plain.T).square().sum().backward()
    layer(x).square().sum().backward()
    expected = plain.grad[owned.owner == FREE]
    torch.testing.assert_close(owned.values.grad, expected, rtol=0, atol=0)
    assert stored(layer).grad is None


OPTIMISERS = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)


@settings(deadline=None, max_examples=40)
@given(
    ratios=st.lists(st.floats(0.3, 0.9), min_size=1, max_size=6),
    optimisers=st.lists(st.sampled_from(OPTIMISERS), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_every_task_computes_with_the_same_bytes_for_ever(ratios, optimisers, seed):
    layer = linear(seed, 8)
    owned = own(layer)
    seen: dict[int, bytes] = {}
    owners_then = torch.zeros(8, 8, dtype=torch.uint8)
    for task, ratio in enumerate(ratios, 1):
        optimiser = optimisers[task - 1]
        momentum = {"momentum": 0.9} if optimiser is torch.optim.SGD else {}
        owned.train_free(stored(layer))
        shake(owned, optimiser, **momentum)
        owned.prune(stored(layer), task, ratio)
        shake(owned, optimiser, **momentum)
        retrained = layer.weight.detach().numpy().tobytes()
        owned.keep(stored(layer))
        assert torch.equal(
            owned.owner[owners_then != FREE], owners_then[owners_then != FREE]
        )
        owners_then = owned.owner.clone()
        owned.view(stored(layer), task)
        seen[task] = layer.weight.detach().numpy().tobytes()
        assert seen[task] == retrained
        for earlier, content in seen.items():
            owned.view(stored(layer), earlier)
            assert layer.weight.detach().numpy().tobytes() == content
        if not owned.free():
            break


def test_a_viewed_weight_has_nothing_to_train():
    layer = linear()
    owned = own(layer)
    owned.train_free(stored(layer))
    owned.prune(stored(layer), 1, 0.5)
    owned.keep(stored(layer))
    owned.view(stored(layer), 1)
    assert [p for p in layer.parameters() if p.requires_grad] == []
    assert torch.equal(layer.weight == 0, owned.owner == FREE)


def test_released_entries_are_free_with_the_values_before_pruning():
    layer = linear()
    owned = own(layer)
    owned.train_free(stored(layer))
    shake(owned)
    before = layer.weight.detach().clone()
    owned.prune(stored(layer), 1, 0.8)
    shake(owned)
    owned.release(1)
    owned.train_free(stored(layer))
    assert torch.equal(layer.weight, before)
    assert owned.free() == 36


def test_running_out_of_weights_is_an_error():
    layer = linear(size=1)
    owned = own(layer)
    owned.train_free(stored(layer))
    owned.prune(stored(layer), 1, 0.5)
    owned.keep(stored(layer))
    with pytest.raises(OwnershipError, match="no free weight"):
        owned.train_free(stored(layer))


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5])
def test_a_ratio_outside_of_zero_and_one_is_an_error(ratio):
    with pytest.raises(OwnershipError, match="above 0 and below 1"):
        pruned_entries(10, ratio)


def test_pruning_what_is_not_trained_is_an_error():
    layer = linear()
    with pytest.raises(OwnershipError, match="being trained"):
        own(layer).prune(stored(layer), 1, 0.5)


def test_a_ratio_s_part_of_an_entry_is_kept():
    assert [pruned_entries(entries, 0.7) for entries in (1, 2, 4, 9, 11)] == [
        0,
        1,
        2,
        6,
        7,
    ]


def test_a_ratio_s_whole_entries_are_pruned_although_floats_fall_short():
    shares = ((90, 0.7, 63), (100, 0.29, 29), (100, 0.57, 57), (1000, 0.999, 999))
    for entries, ratio, pruned in shares:
        assert pruned_entries(entries, ratio) == pruned
