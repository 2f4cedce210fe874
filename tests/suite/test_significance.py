"""Means over seeds with their errors, and paired differences."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from recbole_peterrec.suite.significance import difference, estimate

SCORES = st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=1)


def test_mean_and_standard_error_by_hand():
    found = estimate({3: 0.1, 1: 0.2, 2: 0.6})
    assert found.mean == pytest.approx(0.3)
    # Deviations -.2, -.1, .3: variance .14 / 2, over three seeds.
    assert found.standard_error == pytest.approx(math.sqrt(0.07 / 3))
    assert found.seeds == 3


def test_one_seed_has_no_error_and_no_test():
    assert estimate({1: 0.5}).standard_error is None
    found = difference({1: 0.5}, {1: 0.25})
    assert (found.mean, found.standard_error, found.p) == (0.25, None, None)


def test_paired_t_test_by_hand():
    one = {1: 0.31, 2: 0.42, 3: 0.50, 4: 0.29}
    other = {4: 0.30, 3: 0.45, 2: 0.40, 1: 0.25}
    found = difference(one, other)
    differences = [0.06, 0.02, 0.05, -0.01]
    mean = sum(differences) / 4
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 3 / 4)
    assert found.mean == pytest.approx(mean)
    assert found.standard_error == pytest.approx(error)
    # Student's t with 3 degrees of freedom, both tails, by the incomplete beta function.
    t = mean / error
    assert found.p == pytest.approx(betainc(3 / 2, 1 / 2, 3 / (3 + t * t)))


def test_seeds_are_paired_and_not_places():
    """Another order changes nothing, and a seed that one of them lacks is left out."""
    one, other = {1: 0.3, 2: 0.5, 3: 0.9}, {2: 0.4, 1: 0.1}
    found = difference(one, other)
    assert found.seeds == 2
    assert found.mean == pytest.approx(0.15)
    assert difference(one, {4: 0.2}) is None


def test_differences_that_are_all_alike_have_no_test():
    found = difference({1: 0.5, 2: 0.75}, {1: 0.25, 2: 0.5})
    assert (found.mean, found.standard_error, found.p) == (0.25, 0.0, None)
    assert 0.7778 - 0.6667 != 0.2222 - 0.1111  # but for rounding
    assert difference({1: 0.7778, 2: 0.2222}, {1: 0.6667, 2: 0.1111}).p is None


def test_differences_that_are_alike_but_for_rounding_have_no_test():
    """Ninths, of which each is off by half a digit at most."""
    ninths = [{seed: round((n - seed) / 9, 4) for seed in (1, 2, 3)} for n in (6, 5)]
    assert len({round(ninths[0][s] - ninths[1][s], 4) for s in (1, 2, 3)}) == 2
    assert difference(*ninths).p is None
    two_apart = {1: 0.5001, 2: 0.2999, 3: 0.7}, {1: 0.4, 2: 0.2, 3: 0.6}
    assert difference(*two_apart).p is None


def test_a_spread_beyond_rounding_has_a_test():
    one, other = {1: 0.5002, 2: 0.2999, 3: 0.7}, {1: 0.4, 2: 0.2, 3: 0.6}
    assert difference(one, other).p < 0.01


@pytest.mark.parametrize(("digits", "tested"), [(2, False), (3, True)])
def test_how_far_rounding_reaches_depends_on_the_digits(digits, tested):
    one, other = {1: 0.52, 2: 0.3}, {1: 0.4, 2: 0.2}
    assert (difference(one, other, digits).p is not None) == tested


@given(SCORES, SCORES)
def test_difference_the_other_way_round_has_the_other_sign(one, other):
    there, back = difference(one, other), difference(other, one)
    if there is None:
        assert back is None
        return
    assert there.mean == pytest.approx(-back.mean, abs=1e-12)
    assert (there.p is None) == (back.p is None)
    assert there.p is None or 0 <= there.p <= 1
