"""FineCLS makes every user's vector once, and learns what it learns by encoding again and again."""

import contextlib

import pytest
import torch

from recbole_peterrec.runs import task_stage
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.trainer import user_vectors
from recbole_peterrec.trainer.user_vectors import all_vectors, kept_vectors
from tests.toy import TARGET, TASKS

PROFILE = {**TASKS[0], "dropout_prob": 0.0, "epochs": 3}
RECOMMENDATION = {**TARGET, "dropout_prob": 0.0, "epochs": 3}


@pytest.fixture
def built(toy_config):
    """A task's stage and model, by ``tuning`` and other keys of the task."""

    def make(task=PROFILE, tuning="head", **changes):
        model = "FineCLS" if tuning == "head" else "PeterRec"
        keys = {"tuning": tuning, **changes}
        run = TransferRun(toy_config(model, tasks=[{**task, **keys}]))
        stage = run.tasks[0]
        return stage, stage.build(run.encoder)

    return make


def encoded_batches(model) -> list[int]:
    """Filled with the size of every batch that the model encodes from now on."""
    sizes = []
    encode = model.network.user_vectors

    def counted(items, lengths):
        sizes.append(len(items))
        return encode(items, lengths)

    model.network.user_vectors = counted
    return sizes


@pytest.mark.parametrize("pooling", ["mean", "tcl_end"])
@pytest.mark.parametrize("task", [PROFILE, RECOMMENDATION], ids=["CE", "BPR"])
def test_scores_losses_and_gradients_are_those_of_encoding_each_batch(
    built, task, pooling
):
    stage, model = built(task, pooling=pooling)
    train, _, test = stage.loaders
    rows = range(min(20, len(train._dataset)))
    before = train.collate_fn(rows)
    loss = model.calculate_loss(before)
    loss.backward()
    grad = model.network.head.weight.grad.clone()
    scores = model.full_sort_predict(before)
    tested = [model.full_sort_predict(batch[0]) for batch in test]
    with kept_vectors(model, stage.loaders):
        kept = before.to("cpu")
        for field in (model.ITEM_SEQ, model.ITEM_SEQ_LEN):
            del kept.interaction[field]
        again = model.calculate_loss(kept)
        model.zero_grad()
        again.backward()
        torch.testing.assert_close(again, loss)
        torch.testing.assert_close(
            model.network.head.weight.grad, grad, rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(model.full_sort_predict(kept), scores)
        for batch, expected in zip(test, tested, strict=True):
            assert model.ITEM_SEQ not in batch[0]
            torch.testing.assert_close(model.full_sort_predict(batch[0]), expected)


def test_seconds_that_vectors_took_are_of_the_training(built, monkeypatch):
    @contextlib.contextmanager
    def slowly(model, loaders):
        with kept_vectors(model, loaders):
            yield 1000.0

    monkeypatch.setattr(task_stage, "kept_vectors", slowly)
    stage, _ = built()
    assert stage.train(RunLog("ERROR")).seconds > 1000


def test_training_encodes_each_user_once_and_ends_where_it_ended(built, monkeypatch):
    monkeypatch.setattr(user_vectors, "USERS_AT_ONCE", 25)
    stage, model = built()
    sizes = encoded_batches(model)
    kept = stage.train(RunLog("ERROR"))
    assert sizes == [25, 25, 10]  # the toy has 60 users

    monkeypatch.setattr(
        type(model.network), "has_fixed_encoder", property(lambda _: False)
    )
    stage, other = built()
    sizes = encoded_batches(other)
    encoded = stage.train(RunLog("ERROR"))
    train, valid, test = (len(loader._dataset) for loader in stage.loaders)
    assert sum(sizes) == 3 * (train + valid) + test
    assert kept.test == encoded.test
    for name, weight in other.network.head.named_parameters():
        torch.testing.assert_close(model.network.head.get_parameter(name), weight)


@pytest.mark.parametrize(
    "changes",
    [
        {"tuning": "patch"},
        {"tuning": "last"},
        {"tuning": "all"},
        {"tune_layernorm": True},
        {"dropout_prob": 0.1},
    ],
    ids=lambda changes: "-".join(f"{k}={v}" for k, v in changes.items()),
)
def test_an_encoder_that_training_changes_or_drops_from_is_run_each_step(
    built, changes
):
    stage, model = built(**changes)
    with kept_vectors(model, stage.loaders) as seconds:
        assert seconds == 0
        assert model.vectors is None
        assert model.ITEM_SEQ in stage.loaders[0].collate_fn([0, 1])


def test_dropout_before_the_head_still_drops(built):
    stage, model = built(head_dropout=0.5)
    with kept_vectors(model, stage.loaders):
        batch = stage.loaders[0].collate_fn(range(20))
        users = model.train().user_states(batch)
        assert 0.2 < (users == 0).float().mean() < 0.8
        assert not (model.eval().user_states(batch) == 0).any()


def test_vectors_are_the_same_bytes_again_and_no_draw_is_made(built):
    stage, model = built()
    before = torch.get_rng_state()
    once = all_vectors(model.network, stage.loaders[2]._dataset, model.device)
    assert torch.equal(torch.get_rng_state(), before)
    again = all_vectors(model.network, stage.train_data, model.device)
    assert torch.equal(once, again)
    assert not once[0].any() and once[1:].any(1).all()


def test_afterwards_nothing_is_kept_and_nothing_of_it_is_in_the_state(built):
    stage, model = built()
    names = set(model.state_dict())
    with pytest.raises(RuntimeError), kept_vectors(model, stage.loaders):
        assert set(model.state_dict()) == names
        raise RuntimeError
    assert model.vectors is None
    for loader in stage.loaders:
        assert model.ITEM_SEQ in loader._dataset[[0, 1]]
