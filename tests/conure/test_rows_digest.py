"""Which test rows show that an earlier task has not changed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recbole_peterrec.data.loaders import Loaders
from recbole_peterrec.runs.learned import rows_digest

ROWS, WIDTH = 5000, 3


class Reader(nn.Module):
    """A model whose users' states lie in the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, 2)
        nn.init.ones_(self.head.weight)
        nn.init.ones_(self.head.bias)

    def user_states(self, states):
        return states

    def label_layer(self):
        return self.head.weight, self.head.bias


def stage(states, checked_rows, model=None):
    batches = [(batch,) for batch in states.split(700)]
    config = {"device": "cpu", "checked_rows": checked_rows}
    loaders = Loaders(None, None, batches)
    return SimpleNamespace(loaders=loaders, config=config, model=model or Reader())


@pytest.fixture
def states():
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("checked_rows", "changed", "seen"),
    [(None, ROWS - 1, True), (None, 0, True), (1000, 999, True), (1000, 1000, False)],
)
def test_a_changed_bit_is_seen_in_the_rows_that_are_checked(
    states, checked_rows, changed, seen
):
    before = rows_digest(stage(states, checked_rows))
    assert rows_digest(stage(states.clone(), checked_rows)) == before
    states[changed, -1] = torch.nextafter(states[changed, -1], torch.tensor(9.0))
    assert (rows_digest(stage(states, checked_rows)) != before) == seen


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_changed_bit_of_the_classification_layer_is_seen(states, part):
    changed = Reader()
    with torch.no_grad():
        getattr(changed.head, part).view(-1)[0] += 1e-6
    before = rows_digest(stage(states, 10))
    assert rows_digest(stage(states, 10, changed)) != before
