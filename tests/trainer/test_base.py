"""The trainer on today's torch: best weights, resuming, NaN, same figures twice."""

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.trainer import Trainer

from recbole_peterrec.checkpoint import load_state, pack, save_state, unpack
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.distributed import group
from recbole_peterrec.errors import CheckpointError, TrainingError
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.nn.digest import tensors_digest
from recbole_peterrec.trainer import sharing
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.event_file import EventFile
from recbole_peterrec.trainer.random_states import random_states, restore_random_states


@pytest.fixture
def training(toy_config):
    def make(**changes):
        config = toy_config(**changes)
        dataset = SequenceDataset(config)
        loaders = make_loaders(config, dataset)
        torch.manual_seed(0)
        model = NextItNetAR(config, dataset)
        return BackboneTrainer(config, model), loaders

    return make


@pytest.mark.parametrize("mode", ["full", "uni7"])
def test_evaluating_twice_gives_the_same_figures(training, mode):
    split = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": mode}
    trainer, (train, valid, test) = training(eval_args=split)
    trainer.fit(train, valid, verbose=False)
    assert trainer.evaluate(test) == trainer.evaluate(test)


def test_stock_resuming_restores_epoch_score_and_optimiser(
    training, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where RecBole writes without a run directory
    stock = {"run_dir": None, "checkpoint_dir": str(tmp_path / "saved")}
    trainer, (train, *_) = training(epochs=2, **stock)
    trainer.fit(train, verbose=False)
    later, loaders = training(epochs=4, **stock)
    later.resume_checkpoint(trainer.saved_model_file)
    assert later.start_epoch == 2
    for one, other in zip(
        later.model.parameters(), trainer.model.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    assert later.optimizer.state_dict()["state"][0]["step"] > 0
    later.fit(loaders[0], verbose=False)
    assert sorted(later.train_loss_dict) == [2, 3]


def test_a_run_s_best_weights_hold_no_optimiser_and_are_not_gone_on_from(training):
    trainer, (train, *_) = training()
    trainer.fit(train, verbose=False)
    assert "optimizer" not in load_state(trainer.saved_model_file)
    with pytest.raises(CheckpointError, match="is of a run, which goes on by resume"):
        trainer.resume_checkpoint(trainer.saved_model_file)


def test_stock_resuming_restores_the_score_to_beat_and_how_long_it_has_stood(
    training, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stock = {"run_dir": None, "checkpoint_dir": str(tmp_path / "saved")}
    trainer, _ = training(**stock)
    trainer.best_valid_score, trainer.cur_step = 0.25, 2
    trainer._save_checkpoint(0, verbose=False)
    later, _ = training(**stock)
    later.resume_checkpoint(trainer.saved_model_file)
    assert (later.best_valid_score, later.cur_step) == (0.25, 2)


def test_a_checkpoint_of_another_architecture_is_refused(training):
    trainer, (train, *_) = training()
    trainer.fit(train, verbose=False)
    other, _ = training(embedding_size=16)
    with pytest.raises(CheckpointError, match="architecture"):
        other.resume_checkpoint(trainer.saved_model_file)


def test_a_nan_loss_names_epoch_and_batch_and_keeps_the_good_weights(training):
    trainer, (train, valid, _) = training(epochs=3, train_batch_size=8)
    trainer.fit(train, valid, verbose=False)
    good = {n: p.clone() for n, p in trainer.model.state_dict().items()}
    trainer._save_checkpoint(2, verbose=False)
    calls = iter(range(100))
    loss = trainer.model.calculate_loss

    def breaks_at_the_third(batch):
        return loss(batch) * (torch.nan if next(calls) == 2 else 1)

    trainer.model.calculate_loss = breaks_at_the_third
    with pytest.raises(TrainingError, match="epoch 0, batch 2"):
        trainer.fit(train, valid, verbose=False)
    trainer._load_weights(trainer.saved_model_file)
    kept = trainer.model.state_dict()
    assert all(torch.equal(kept[name], good[name]) for name in good)


@pytest.mark.parametrize("select", ["best", "last"])
def test_nothing_is_written_where_nothing_is_to_be_saved(training, select):
    trainer, (train, valid, _) = training(select_epoch=select)
    trainer.fit(train, valid, verbose=False, saved=False)
    assert not Path(trainer.saved_model_file).exists()


def test_the_last_epoch_is_kept_where_asked(training):
    trainer, (train, valid, _) = training(epochs=3, select_epoch="last")
    score, result = trainer.fit(train, valid, verbose=False)
    last = {n: p.clone() for n, p in trainer.model.state_dict().items()}
    assert result == {k: trainer.history[-1][k] for k in ("mrr@5", "hit@5")}
    assert score == result["mrr@5"]
    with torch.no_grad():
        trainer.model.output.weight.zero_()
    trainer._load_weights(trainer.saved_model_file)
    kept = trainer.model.state_dict()
    assert all(torch.equal(kept[name], last[name]) for name in last)


def test_a_trained_stage_keeps_no_gradients_and_no_moments(toy_config):
    config = toy_config()
    dataset = SequenceDataset(config)
    train, *_ = make_loaders(config, dataset)
    model = NextItNetAR(config, dataset)
    trainer = BackboneTrainer(config, model)
    trainer.fit(train, verbose=False)
    trainer.let_go()
    assert trainer.optimizer is None
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("had_gpu", [False, True])
@pytest.mark.parametrize("has_gpu", [False, True])
def test_generators_go_on_on_a_machine_with_other_devices(
    monkeypatch, had_gpu, has_gpu
):
    state, taken = torch.arange(16, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", taken.append)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: had_gpu)
    before = random_states()
    drawn = torch.rand(3)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: has_gpu)
    restore_random_states(before)
    assert torch.equal(torch.rand(3), drawn)
    assert len(taken) == (had_gpu and has_gpu)


@pytest.mark.parametrize(
    ("value", "word"), [(torch.nan, "NaN"), (torch.inf, "infinite")]
)
def test_a_loss_that_is_no_number_stops_the_training(training, value, word):
    trainer, (train, valid, _) = training()
    loss = trainer.model.calculate_loss
    trainer.model.calculate_loss = lambda batch: loss(batch) * value
    with pytest.raises(TrainingError, match=f"loss is {word} in epoch 0, batch 0"):
        trainer.fit(train, valid, verbose=False)


class Stopped(Exception):
    """What ends a training on the way."""


@pytest.mark.parametrize("stopped_in", [1, 2, 3, None])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(
    training, monkeypatch, stopped_in
):
    def worse(self, *_, **__):
        score = 0.5 - 0.01 * self._epoch
        return score, {"mrr@5": score}

    def stop(epoch, _):
        if epoch == stopped_in:
            raise Stopped

    monkeypatch.setattr(Trainer, "_valid_epoch", worse)
    for going_on in (None, "yes"):
        trainer, (train, valid, _) = training(epochs=9, stopping_step=2)
        trainer.config["resume"] = going_on
        with contextlib.suppress(Stopped):
            callback = None if going_on else stop
            trainer.fit(train, valid, verbose=False, callback_fn=callback)
    assert [entry["epoch"] for entry in trainer.history] == [0, 1, 2, 3]
    assert trainer.best_valid_score == 0.5


def test_a_checkpoint_of_another_model_is_refused(training):
    trainer, (train, *_) = training()
    trainer.fit(train, verbose=False)
    file = trainer.saved_model_file
    save_state(file, {**load_state(file), "model": "GRec"})
    with pytest.raises(
        CheckpointError, match="not written by a training of NextItNetAR"
    ):
        trainer.resume_checkpoint(file)


def test_the_seconds_before_a_stop_count(training):
    def stop(epoch, _):
        if epoch == 1:
            raise Stopped

    trainer, (train, valid, _) = training(epochs=2)
    with contextlib.suppress(Stopped):
        trainer.fit(train, valid, verbose=False, callback_fn=stop)
    file = trainer._progress_file
    save_state(file, {**load_state(file), "seconds": 1000.0})
    again, (train, valid, _) = training(epochs=2)
    again.config["resume"] = "yes"
    again.fit(train, valid, verbose=False)
    assert again.seconds > 1000
    assert load_state(file)["seconds"] > 1000  # for the next stop


def test_a_validated_epoch_is_told_with_its_own_loss(training):
    trainer, (train, valid, _) = training(epochs=3)
    trainer.fit(train, valid, verbose=False)
    losses = [entry["loss"] for entry in trainer.history]
    assert losses == [trainer.train_loss_dict[epoch] for epoch in range(3)]
    assert len(set(losses)) == 3


def test_each_metric_has_a_curve_of_its_own(training, monkeypatch):
    points = {}

    def noted(self, tag, value, step=None):
        points[tag, step] = value

    monkeypatch.setattr(EventFile, "add_scalar", noted)
    trainer, (train, valid, _) = training(epochs=2)
    trainer.fit(train, valid, verbose=False)
    for entry in trainer.history:
        for metric in ("mrr@5", "hit@5"):
            assert points[f"valid/{metric}", entry["epoch"]] == entry[metric]
        assert entry["mrr@5"] != entry["hit@5"]


def test_the_best_epoch_s_metrics_come_back(training, monkeypatch):
    def worse(self, *_, **__):
        score = 0.5 - 0.1 * self._epoch
        return score, {"mrr@5": score}

    monkeypatch.setattr(Trainer, "_valid_epoch", worse)
    trainer, (train, valid, _) = training(epochs=3, stopping_step=5)
    assert trainer.fit(train, valid, verbose=False) == (0.5, {"mrr@5": 0.5})
    assert load_state(trainer.saved_model_file)["epoch"] == 0


def test_each_process_trains_with_draws_of_its_own(training, monkeypatch):
    drawn = []
    for rank in (0, 1):
        trainer, (train, *_) = training()
        torch.manual_seed(7)
        monkeypatch.setattr(group, "rank", lambda rank=rank: rank)
        trainer.fit(train, verbose=False, saved=False)
        drawn.append(torch.rand(1).item())
    assert drawn[0] != drawn[1]


def test_processes_compare_what_they_have_trained(training, monkeypatch):
    compared = []
    monkeypatch.setattr(
        sharing.exchange,
        "require_agreement",
        lambda what, digest: compared.append((what, digest())),
    )
    trainer, (train, valid, _) = training()
    trainer.fit(train, valid, verbose=False)
    trained = tensors_digest(trainer._trained_state())
    assert compared == [("NextItNetAR: what was trained", trained)]


def test_every_generator_goes_on_where_it_was():
    """RecBole's samplers draw with NumPy, its transforms and contrastive models with Python."""

    def draws():
        return torch.rand(3).tolist(), np.random.randn(3).tolist(), random.random()

    np.random.randn(1)  # leaves a second normal number for the next call
    before = unpack(pack(random_states()))
    drawn = draws()
    assert draws() != drawn
    restore_random_states(before)
    assert draws() == drawn


@pytest.mark.parametrize("updates", ["dense", "rows"])
def test_item_embeddings_move_at_a_rate_of_their_own(training, updates):
    """Adam's first step moves each weight that has a gradient by the rate (Kingma and Ba)."""
    trainer, (train, *_) = training(
        learning_rate=0.01,
        embedding_learning_rate=0.002,
        table_updates=updates,
        train_batch_size=10**6,
        epochs=1,
    )
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    trainer.fit(train, verbose=False)
    moved = {
        name: (weight - before[name]).abs().max().item()
        for name, weight in trainer.model.state_dict().items()
    }
    table = moved.pop("encoder.embedding.weight")
    assert table == pytest.approx(0.002, rel=0.01)
    for distance in moved.values():
        assert distance == pytest.approx(0.01, rel=0.01)
