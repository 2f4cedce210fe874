import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from recbole_peterrec.nn.dropout import Dropout

SHAPES = st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple)


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, p=st.floats(0, 0.9))
def test_an_element_is_zero_or_scaled_and_its_gradient_alike(shape, p):
    x = torch.rand(shape, dtype=torch.float64).add_(1).requires_grad_()
    y = Dropout(p)(x)
    y.sum().backward()
    factor = (y / x).detach()
    for value in factor.flatten().tolist():
        assert value == 0 or value == pytest.approx(1 / (1 - p), rel=1e-4)
    assert torch.allclose(x.grad, factor)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.999])
def test_the_share_of_dropped_elements_is_the_probability(p):
    torch.manual_seed(0)
    number = 400_003
    dropped = (Dropout(p)(torch.ones(number)) == 0).sum().item()
    assert dropped / number == pytest.approx(p, abs=4 * (p * (1 - p) / number) ** 0.5)


def test_neighbours_that_share_a_random_number_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(4 * 20_000)) == 0).view(-1, 4).numpy()
    patterns = np.bincount(dropped @ [1, 2, 4, 8], minlength=16)
    assert chisquare(patterns).pvalue > 0.001


def test_the_mean_stays_as_it_was():
    torch.manual_seed(0)
    assert Dropout(0.3)(torch.ones(10**6)).mean().item() == pytest.approx(1, abs=0.003)


def test_the_same_seed_drops_the_same_elements_and_the_next_call_others():
    dropout, x = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_bounds_keep_all_and_drop_all(p):
    x = torch.rand(50) + 1
    assert torch.equal(Dropout(p)(x), x * (1 - p))


def test_evaluation_drops_nothing_and_draws_nothing():
    x, state = torch.rand(50), torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)


def test_numbers_are_drawn_where_the_input_is():
    x = torch.ones(9)
    with torch.device("meta"):
        assert Dropout(0.5)(x).device == x.device


def test_what_it_does_not_do_raises():
    with pytest.raises(TypeError, match="inplace"):
        Dropout(0.5, inplace=True)
    x = torch.rand(3, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="vmap"):
        torch.vmap(Dropout(0.5), randomness="different")(x)
    y = Dropout(0.5)(x).square().sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(first.sum(), x)


def test_it_is_found_as_torch_s_dropout_and_keeps_the_input_s_type():
    assert isinstance(Dropout(0.5), nn.Dropout)
    assert Dropout(0.5)(torch.ones(9, dtype=torch.bfloat16)).dtype == torch.bfloat16
