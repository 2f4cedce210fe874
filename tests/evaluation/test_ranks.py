"""Ranks from scores and from states are one, among all labels and among candidates."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.evaluation.ranks import ranks_by_scores, ranks_by_states


def made(rows, labels, width, seed):
    """States, a layer and targets of small whole numbers: exact, with many ties."""
    draw = np.random.default_rng(seed)
    numbers = [
        torch.from_numpy(draw.integers(-2, 3, size).astype(np.float32))
        for size in ((rows, width), (labels, width), (labels,))
    ]
    return *numbers, torch.from_numpy(draw.integers(1, labels + 1, rows))


def by_hand(states, weight, bias, targets, candidates):
    """Rank of each row in plain Python, ties against the target."""
    found = []
    for row, target in enumerate(targets.tolist()):
        scores = {
            label + 1: sum((states[row] * weight[label]).tolist()) + bias[label].item()
            for label in range(len(bias))
        }
        ranked = scores if candidates is None else {*candidates[row].tolist(), target}
        found.append(sum(scores[label] >= scores[target] for label in ranked))
    return found


@given(
    rows=st.integers(1, 9),
    labels=st.integers(2, 12),
    seed=st.integers(0, 10**6),
    sampled=st.booleans(),
)
def test_ranks_by_states_and_by_scores_are_those_counted_by_hand(
    rows, labels, seed, sampled
):
    states, weight, bias, targets = made(rows, labels, 3, seed)
    candidates = None
    if sampled:  # every second label but the target
        kept = [
            [label for label in range(1, labels + 1) if label != target][: labels // 2]
            for target in targets.tolist()
        ]
        candidates = torch.tensor(kept)
    scores = torch.nn.functional.pad(states @ weight.T + bias, (1, 0), value=99.0)
    expected = by_hand(states, weight, bias, targets, candidates)
    assert ranks_by_scores(scores, targets, candidates).tolist() == expected
    found = ranks_by_states(states, weight, bias, targets, candidates)
    assert found.tolist() == expected


@pytest.mark.parametrize("candidates", [None, torch.tensor([[2, 3]] * 300)])
def test_a_state_that_is_no_number_is_last_and_rows_are_kept_apart(candidates):
    states = torch.ones(300, 1)
    states[7] = torch.nan
    weight, bias = torch.tensor([[3.0], [2.0], [1.0]]), torch.zeros(3)
    targets = torch.ones(300, dtype=torch.long)
    ranks = ranks_by_states(states, weight, bias, targets, candidates).tolist()
    assert ranks.pop(7) == 3
    assert set(ranks) == {1}
