"""Which share of a task's weights ``prune_ratio: auto`` frees."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.runs.capacity import (
    capacity_table,
    plan_again,
    plan_capacity,
)
from recbole_peterrec.runs.pruning import prune_and_retrain
from recbole_peterrec.runs.training import Outcome
from tests.model.lives import encoder, live

KEYS = {
    "prune_ratio": "auto",
    "prune_tolerance": 0.1,
    "valid_metric": "Hit@1",
    "embedding_prune_ratio": 0.5,
    "retrain_epochs": 3,
    "epochs": 1,
}


def outcome(valid):
    return Outcome({"hit@1": valid}, {}, epochs=1, seconds=0.5)


@pytest.mark.parametrize(
    ("reached", "taken"),
    [([0.9], 0.95), ([0.89, 0.8, 0.91], 0.85), ([0.0] * 10, 0.5)],
)
@torch.no_grad()
def test_the_largest_ratio_within_the_tolerance_is_taken(reached, taken):
    learner, head, values = Learner(encoder()), nn.Linear(2, 2), iter(reached)
    learner.begin("task")
    given, started, histories = head.weight.clone(), [], {}

    def train(log, *, stage, epochs):
        assert epochs == 3
        started.append(head.weight.clone())
        head.weight.add_(1)
        return outcome(next(values))

    stage = SimpleNamespace(name="task", config=KEYS, head=head, train=train)
    after, ratio = prune_and_retrain(learner, stage, outcome(1.0), histories, None)
    assert (after.valid["hit@1"], ratio) == (reached[-1], taken)
    assert (after.epochs, after.seconds) == (len(reached), 0.5 * len(reached))
    assert all(torch.equal(weight, given) for weight in started)
    assert torch.equal(head.weight, given + 1)
    assert list(histories) == [f"task@{0.95 - 0.05 * n:g}" for n in range(len(reached))]
    learner.keep(head)
    assert learner.capacity_free() == pytest.approx(taken, abs=0.01)


def planned(number, **keys):
    """So many tasks, as far as planning knows them."""
    config = {"prune_ratio": "auto", "embedding_prune_ratio": 0.5} | keys
    return [SimpleNamespace(name=f"t{n}", config=config) for n in range(number)]


def test_auto_may_keep_half_of_the_weights_and_is_refused_only_where_a_twentieth_is_too_much():
    learner = Learner(encoder())
    (warning,) = plan_capacity(learner, planned(6))
    assert warning.startswith("task 't5' may find 3.1% of")
    assert "larger prune_tolerance" in warning
    (warning,) = plan_capacity(learner, planned(20))
    assert warning.startswith("if prune_ratio auto is 0.5 each time: task 't")
    assert "no free weight is left" in warning
    with pytest.raises(ConfigError, match="no free weight is left"):
        plan_capacity(learner, planned(200))


def test_what_is_known_before_the_run_is_not_said_to_be_possible():
    learner = Learner(encoder())
    live(learner, [("adam", 0.03, False)])  # 5 of 192 entries are free
    known, possible = plan_capacity(learner, planned(2))
    assert known.startswith("task 't0' will find 2.6% of")
    assert possible.startswith("task 't1' may find 1.0% of")


def test_what_is_sure_is_said_beside_what_may_be():
    learner = Learner(encoder())
    live(learner, [("adam", 0.03, False)])
    known, *_, possible = plan_capacity(learner, planned(5))
    assert known.startswith("task 't0' will find 2.6% of")
    assert possible.startswith("if prune_ratio auto is 0.5 each time: task 't3'")


def test_between_tasks_only_the_next_one_is_refused():
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)])
    left = planned(1) + planned(40, prune_ratio=0.5)
    (*_, told) = plan_again(learner, left)
    assert "no free weight is left" in told
    assert "begin another with a larger prune_tolerance" in told
    live_on = [("adam", 0.03, False), ("adam", 0.03, False)]
    with pytest.raises(ConfigError, match="'t0': .* no free weight is left"):
        full = Learner(encoder())
        live(full, live_on)
        plan_again(full, left)


def test_what_to_do_about_scarce_weights_is_what_can_still_be_done():
    """Ratios of kept tasks are past changing."""
    learner, config = Learner(encoder()), KEYS | {"prune_ratio": 0.5}
    tasks = [SimpleNamespace(name=f"t{number}", config=config) for number in range(40)]
    assert (
        "raise the prune_ratio of earlier tasks" in plan_capacity(learner, tasks[:6])[0]
    )
    live(learner, [("adam", 0.5, False)])
    told = plan_capacity(learner, tasks[:6])
    assert all("what the learner has kept stays: begin another with" in t for t in told)
    with pytest.raises(
        ConfigError, match=r"no free weight is left; what the learner has"
    ):
        plan_capacity(learner, tasks)


def test_weights_that_are_owned_alike_are_one_column_of_the_log():
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False), ("adam", 0.75, False)])
    head, names, _, *rows = capacity_table(learner, "t").splitlines()
    share = f"{learner.capacity_free():.1%}"
    assert head == f"t is kept; {share} of the weights are free"
    weights = list(learner.shares())
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    one, *others = names.split("|")[2:-1]
    assert one.strip() == f"{weights[0]} and {len(weights) - 1} more" and not others
    shares = learner.shares()[weights[0]]
    assert dict(cells) == {owner: f"{part:.1%}" for owner, part in shares.items()}
    assert cells[0] == ["free", share]
