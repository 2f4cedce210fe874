"""Which test rows show that an earlier task's scores have not changed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recbole_peterrec.lessons import Lesson, score_digest

ROWS, WIDTH = 5000, 3


class Reader(nn.Module):
    """A model whose users' states lie in the batches."""

    def user_states(self, states):
        return states

    def label_layer(self):
        return torch.arange(2.0 * WIDTH).view(2, WIDTH), torch.ones(2)


def lesson(states, checked_rows):
    batches = [(batch,) for batch in states.split(700)]
    config = {"device": "cpu", "checked_rows": checked_rows}
    stage = SimpleNamespace(loaders=(None, None, batches), config=config)
    return Lesson("task", stage, Reader(), None, None, None)


@pytest.mark.parametrize(
    ("checked_rows", "changed", "seen"),
    [(None, ROWS - 1, True), (None, 0, True), (1000, 999, True), (1000, 1000, False)],
)
def test_a_changed_score_is_seen_in_the_rows_that_are_checked(
    checked_rows, changed, seen
):
    states = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    before = score_digest(lesson(states, checked_rows))
    states[changed] += 0.01
    assert (score_digest(lesson(states, checked_rows)) != before) == seen
