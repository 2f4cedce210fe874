"""Ranks in tiles against float64, and the traps: ties, last bits, what is no number."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_peterrec.nn import ranking
from recbole_peterrec.nn.ranking import ranks


def counted(scores, targets):
    own = scores.gather(1, targets[:, None])
    return ((scores > own).sum(1) + (scores == own).sum(1)).tolist()


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 9),
    items=st.integers(1, 40),
    columns=st.integers(1, 50),
    height=st.integers(1, 10),
    group=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_counts_of_whole_numbers_with_many_ties(
    rows, items, columns, height, group, seed
):
    """Small whole numbers have exact scores, so that ties are ties in every product."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randint(-2, 3, (rows, 3), generator=draw).float()
    weight = torch.randint(-2, 3, (items, 3), generator=draw).float()
    bias = torch.randint(-2, 3, (items,), generator=draw).float()
    targets = torch.randint(items, (rows,), generator=draw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "COLUMNS", columns)
        patch.setattr(ranking, "ROWS", height)
        patch.setattr(ranking, "GROUP", group)
        found = ranks(hidden, weight, bias, targets)
    assert found.tolist() == counted(hidden @ weight.t() + bias, targets)


def test_ranks_are_float64s_but_for_near_ties():
    torch.manual_seed(0)
    hidden, weight, bias = (
        torch.randn(300, 32),
        torch.randn(5000, 32),
        torch.randn(5000),
    )
    targets = torch.randint(5000, (300,))
    found = ranks(hidden, weight, bias, targets)
    scores = hidden.double() @ weight.double().t() + bias.double()
    own = scores.gather(1, targets[:, None])
    near = ((scores - own).abs() < 1e-4).sum(1)
    assert ((found - (scores >= own).sum(1)).abs() < near).all()


def test_a_wrong_guess_of_the_targets_scores_changes_nothing(monkeypatch):
    torch.manual_seed(0)
    example = torch.randn(20, 8), torch.randn(700, 8), torch.randn(700)
    targets = torch.randint(700, (20,))
    found = ranks(*example, targets)
    monkeypatch.setattr(
        ranking, "_guess", lambda hidden, *_: torch.full((len(hidden),), 1e9)
    )
    assert torch.equal(found, ranks(*example, targets))


def test_a_constant_model_ties_with_everything():
    found = ranks(
        torch.randn(4, 8), torch.zeros(900, 8), torch.ones(900), torch.arange(4)
    )
    assert found.tolist() == [900] * 4


def test_a_target_whose_score_is_not_a_number_is_last():
    hidden = torch.randn(3, 4)
    hidden[1] = torch.nan
    weight, bias, targets = torch.randn(10, 4), torch.zeros(10), torch.ones(3).long()
    found = ranks(hidden, weight, bias, targets)
    assert found[1] == 10
    rest = [0, 2]
    expected = counted(hidden[rest] @ weight.t(), targets[rest])
    assert found[rest].tolist() == expected


def test_no_rows_have_no_ranks():
    found = ranks(
        torch.zeros(0, 4), torch.randn(10, 4), torch.zeros(10), torch.zeros(0).long()
    )
    assert len(found) == 0


def test_more_items_than_float32_counts_are_refused():
    weight, bias = torch.zeros(1, 1).expand(2**24 + 1, 1), torch.zeros(1)
    with pytest.raises(ValueError, match="at most 16777216 items"):
        ranks(torch.zeros(1, 1), weight, bias.expand(len(weight)), torch.tensor([0]))
