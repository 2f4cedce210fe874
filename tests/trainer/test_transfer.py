"""What each part of a task's network is trained with."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.trainer import Trainer

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.tasks import read_tasks
from recbole_peterrec.trainer.multitask import MultiTaskTrainer, spread
from recbole_peterrec.trainer.transfer import TransferTrainer
from tests.toy import TASKS

RATES = {
    "learning_rate": 0.001,
    "head_learning_rate": 0.01,
    "weight_decay": 0.1,
    "patch_weight_decay": 0.2,
    "head_weight_decay": 0.3,
}


@pytest.fixture
def parts(toy_config):
    def make(own=None, **changes):
        tasks = [{**TASKS[0], **RATES, **(own or {})}]
        config = toy_config("PeterRec", tasks=tasks, **changes)
        source = SequenceDataset(config)
        backbone_config = config.derive(model="NextItNetAR")
        windows = make_loaders(backbone_config, source)[0]
        backbone = NextItNetAR(backbone_config, source)
        task = read_tasks(config)[0].config
        loaders = make_loaders(task, TaskDataset(task, source))
        model = PeterRec(task, loaders[0]._dataset, backbone.encoder)
        return task, model, loaders, backbone.requires_grad_(True), windows

    return make


def rates_of(trainer):
    """Name of each trained parameter to its learning rate and decay."""
    found = {
        id(p): (group["lr"], group["weight_decay"])
        for group in trainer.optimizer.param_groups
        for p in group["params"]
    }
    return {
        name: found[id(p)]
        for name, p in trainer.model.named_parameters()
        if p.requires_grad
    }


@pytest.mark.parametrize("tuning", ["patch", "all", "head"])
def test_head_patches_and_pretrained_weights_have_rates_of_their_own(parts, tuning):
    config, model, *_ = parts(tuning=tuning)
    rates = rates_of(TransferTrainer(config, model))
    assert rates.pop("network.head.weight") == (0.01, 0.3)
    for name, rate in rates.items():
        expected = (0.001, 0.2) if ".patch." in name else (0.001, 0.1)
        assert rate == expected, name
    assert any(".patch." in name for name in rates) == (tuning == "patch")


def test_a_head_without_a_rate_of_its_own_has_that_of_the_rest(parts):
    config, model, *_ = parts(own={"head_learning_rate": None})
    rates = rates_of(TransferTrainer(config, model))
    assert rates["network.head.weight"] == (0.001, 0.3)


def test_the_average_is_kept_without_validation_too(parts):
    kept = []
    for decay in (0.0, 0.9):
        config, model, loaders, *_ = parts(eval_step=0, epochs=2, weight_average=decay)
        trainer = TransferTrainer(config, model)
        trainer.fit(*loaders[:2], verbose=False)
        trainer.evaluate(loaders[2])
        kept.append(model.network.head.weight.clone())
        if decay:
            mean = trainer.average.sums[-1] / trainer.average.weight
            assert torch.equal(kept[-1], mean)
    assert not torch.equal(*kept)


def test_the_average_has_the_weights_that_each_step_ends_with(parts):
    config, model, loaders, *_ = parts(weight_average=0.9)
    trainer = TransferTrainer(config, model)
    assert len(loaders[0]) == 1
    trainer._train_epoch(loaders[0], 0)
    mean = trainer.average.sums[-1] / trainer.average.weight
    torch.testing.assert_close(mean, model.network.head.weight.detach())


def test_joint_training_learns_the_source_on_the_tasks_encoder(parts):
    config, model, loaders, backbone, windows = parts(
        tuning="all", joint_coefficient=0.5, pretrained=False
    )
    before = backbone.output.weight.clone()
    trainer = MultiTaskTrainer(config, model, backbone, windows)
    assert backbone.encoder is model.network.encoder
    trainer.fit(*loaders[:2], verbose=False)
    assert not before.equal(backbone.output.weight)


@pytest.mark.parametrize("rows", [2, 64])
def test_an_epoch_of_joint_training_goes_through_the_task_and_the_source(
    parts, monkeypatch, rows
):
    keys = {"tuning": "all", "joint_coefficient": 0.5, "pretrained": False}
    parts = parts(own={"train_batch_size": rows}, epochs=1, **keys)
    config, model, loaders, backbone, windows = parts
    seen = {model: 0, backbone: 0}
    for network in seen:
        loss = network.calculate_loss

        def counted(batch, network=network, loss=loss):
            seen[network] += 1
            return loss(batch)

        monkeypatch.setattr(network, "calculate_loss", counted)
    trainer = MultiTaskTrainer(config, model, backbone, windows)
    trainer.fit(*loaders[:2], verbose=False)
    tasks, sources = len(loaders[0]), len(windows)
    assert (tasks > sources) == (rows == 2)
    assert seen == {model: tasks, backbone: max(tasks, sources)}


@given(st.integers(0, 30), st.integers(0, 30))
def test_batches_are_spread_evenly(number, more):
    steps = number + more
    given_ = list(spread(range(number), number, steps))
    assert len(given_) == steps
    at = [step for step, batch in enumerate(given_) if batch is not None]
    assert [given_[step] for step in at] == list(range(number))
    gaps = np.diff([-1, *at, steps - 1]) if number else []
    assert all(gap <= -(-steps // number) for gap in gaps)


@pytest.mark.parametrize("rows", [2, 64])
def test_the_joint_loss_weighs_the_source(parts, monkeypatch, rows):
    keys = {"tuning": "all", "joint_coefficient": 0.25, "pretrained": False}
    config, model, loaders, backbone, windows = parts(
        own={"train_batch_size": rows}, **keys
    )
    bias = model.network.head.bias
    for network, value in ((model, 1.0), (backbone, 8.0)):
        monkeypatch.setattr(
            network, "calculate_loss", lambda _, value=value: value + 0 * bias.sum()
        )
    trainer = MultiTaskTrainer(config, model, backbone, windows)
    tasks, steps = len(loaders[0]), max(len(loaders[0]), len(windows))
    assert trainer._train_epoch(loaders[0], 0) == pytest.approx(tasks + 2.0 * steps)


def test_validation_judges_the_average(parts, monkeypatch):
    config, model, loaders, *_ = parts(weight_average=0.9, epochs=2)
    trainer, judged, validate = TransferTrainer(config, model), [], Trainer._valid_epoch

    def noted(self, *args, **kwargs):
        judged.append(model.network.head.weight.clone())
        return validate(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "_valid_epoch", noted)
    trainer.fit(*loaders[:2], verbose=False)
    mean = trainer.average.sums[-1] / trainer.average.weight
    assert torch.equal(judged[-1], mean)
    assert not torch.equal(trainer.average.trained[-1], mean)


@pytest.mark.parametrize("tuning", ["patch", "all", "last", "head"])
def test_all_that_is_trained_is_averaged(parts, tuning):
    config, model, *_ = parts(tuning=tuning, weight_average=0.9)
    trainer = TransferTrainer(config, model)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for p in trainer.average.parameters} == trained
