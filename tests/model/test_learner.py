"""A learner through random lives: whatever comes later, a kept task scores the same bytes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbole_peterrec.checkpoint import load_tensors
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.nn.ownership import OwnershipError
from recbole_peterrec.stored.learner import (
    open_learner,
    open_network,
    save_learned_task,
    save_learner,
)
from tests.model.lives import (
    ITEMS,
    OPTIMISERS,
    WIDTH,
    encoder,
    live,
    network,
    scores,
    train,
)

TOLD = {"labels": list("abcd"), "pooling": "last", "max_length": 9}
LIVES = st.lists(
    st.tuples(st.sampled_from(list(OPTIMISERS)), st.floats(0.4, 0.9), st.booleans()),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=15)
@given(lives=LIVES, embeddings=st.booleans(), norms=st.booleans())
def test_nothing_is_forgotten_now_or_after_a_save(
    lives, embeddings, norms, tmp_path_factory
):
    kinds = ("convolution", "embedding") if embeddings else ("convolution",)
    learner = Learner(encoder(), kinds, norms)
    kept = live(learner, lives)
    folder = tmp_path_factory.mktemp("saved")
    told = dict.fromkeys(learner.tasks[1:], TOLD)
    for name in told:
        save_learned_task(folder, name, learner, TOLD)
    vocabulary = {"sha256": "", "items": ITEMS}
    save_learner(folder, "NextItNetAR", learner, vocabulary, {}, 9, told)
    again, headers, _ = open_learner(folder)
    assert again.tasks == learner.tasks
    for name, header in headers.items():
        again.view(name)
        assert scores(open_network(again, name, header, folder)) == kept[name][1]
    again.begin("later")  # a loaded learner learns on
    net = network(again, first=False)
    train(net, "adamw", False)
    again.prune({"convolution": 0.5, "embedding": 0.5})
    again.keep(net.head)
    for name in learner.tasks:
        assert again.fingerprint(name) == learner.fingerprint(name)


def test_only_free_weights_and_the_head_are_trained_after_the_first_task():
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)])
    learner.begin("next")
    trained = [n for n, p in learner.encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.endswith("parametrizations.weight.0.values") for name in trained)


def test_ownership_takes_one_byte_a_weight_and_no_mask_twice(tmp_path):
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)] * 3)
    told = dict.fromkeys(learner.tasks[1:], TOLD)
    save_learner(tmp_path, "NextItNetAR", learner, {}, {}, 9, told)
    owners = load_tensors(tmp_path / "ownership.safetensors")
    weights = load_tensors(tmp_path / "backbone.safetensors")
    size = sum(weights[f"{name}.weight"].numel() for name in owners)
    assert (tmp_path / "ownership.safetensors").stat().st_size < size + 1000
    assert set(weights) == set(encoder().state_dict())


def test_steps_out_of_order_are_errors():
    learner = Learner(encoder())
    with pytest.raises(OwnershipError, match="no task is in training"):
        learner.prune({"convolution": 0.5})
    learner.begin("a")
    with pytest.raises(OwnershipError, match="'a' is not kept yet"):
        learner.begin("b")
    with pytest.raises(OwnershipError, match="'a' is in training"):
        learner.view("a")
    head = nn.Linear(WIDTH, ITEMS)
    for too_early in (learner.unprune, lambda: learner.keep(head)):
        with pytest.raises(OwnershipError, match="'a' is not pruned yet"):
            too_early()
    learner.prune({"convolution": 0.5})
    owners = {name: owner.clone() for name, owner in learner.owner_maps().items()}
    with pytest.raises(OwnershipError, match="'a' is pruned already"):
        learner.prune({"convolution": 0.5})
    for name, owner in learner.owner_maps().items():
        assert torch.equal(owner, owners[name])
    learner.keep(head)
    with pytest.raises(OwnershipError, match="already has a task 'a'"):
        learner.begin("a")


def test_a_head_of_another_width_does_not_fit(tmp_path):
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)] * 2)
    told = TOLD | {"labels": list("abcde")}
    save_learned_task(tmp_path, "t1", learner, told)
    save_learner(tmp_path, "NextItNetAR", learner, {}, {}, 9, {"t1": told})
    with pytest.raises(CheckpointError, match="does not fit"):
        open_learner(tmp_path)


def test_layernorms_of_a_task_start_from_those_of_the_first():
    learner = Learner(encoder(), layernorm_per_task=True)
    live(learner, [("adam", 0.5, False)] * 2)
    first, second = (learner.norms(task) for task in ("t0", "t1"))
    assert not all(torch.equal(first[name], second[name]) for name in first)
    learner.begin("next")
    state = learner.encoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.items())


@pytest.mark.parametrize("norms", [False, True])
def test_unpruning_gives_back_what_was_trained_before(norms):
    learner = Learner(encoder(), layernorm_per_task=norms)
    live(learner, [("adam", 0.5, False)])
    learner.begin("next")
    net = network(learner, first=False)
    train(net, "adam", False)
    before = {k: v.clone() for k, v in learner.effective_state().items()}
    trained = set(net.trained_state())
    learner.prune({"convolution": 0.5})
    train(net, "adam", False)
    learner.unprune()
    after = learner.effective_state()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert set(net.trained_state()) == trained


def test_retraining_the_first_task_trains_its_kept_weights_and_the_head_only():
    learner = Learner(encoder())
    learner.begin("first")
    assert learner.encoder.embedding.weight.requires_grad
    learner.prune({"convolution": 0.5})
    trained = [n for n, p in learner.encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.endswith("parametrizations.weight.0.values") for name in trained)


def test_a_ratio_that_cannot_be_prunes_nothing():
    learner = Learner(encoder(), ("convolution", "embedding"))
    learner.begin("first")
    with pytest.raises(OwnershipError, match="above 0 and below 1"):
        learner.prune({"convolution": 0.5, "embedding": 1.5})
    assert learner.capacity_free() == 1


def test_a_learner_takes_no_more_tasks_than_a_byte_counts(monkeypatch):
    monkeypatch.setattr("recbole_peterrec.model.learner.MOST_TASKS", 2)
    learner = Learner(encoder())
    live(learner, [("sgd", 0.5, False)] * 2)
    with pytest.raises(OwnershipError, match="at most 2 tasks"):
        learner.begin("third")


@pytest.mark.parametrize("norms", [False, True])
def test_a_kept_task_leaves_nothing_to_train(norms):
    learner = Learner(encoder(), layernorm_per_task=norms)
    ((net, *_),) = live(learner, [("adam", 0.5, False)]).values()
    assert not net.trained_state()


def test_a_fingerprint_is_of_the_head_too():
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)])
    for part in ("weight", "bias"):
        before = learner.fingerprint("t0")
        getattr(learner.heads["t0"], part).data.view(-1)[-1] += 1e-6
        assert learner.fingerprint("t0") != before


def test_the_fingerprint_of_a_life_is_of_owners_values_and_tasks():
    learner = Learner(encoder())
    live(learner, [("adam", 0.5, False)])
    seen = {learner.life_fingerprint()}
    name = learner.weights[0]
    learner.owned(name).owner.view(-1)[0] = 2
    seen.add(learner.life_fingerprint())
    learner.stored(name).data.view(-1)[0] += 1
    seen.add(learner.life_fingerprint())
    learner.heads["t0"].weight.data.view(-1)[0] += 1
    learner.fingerprints["t0"] = learner.fingerprint("t0")
    seen.add(learner.life_fingerprint())
    assert len(seen) == 4
