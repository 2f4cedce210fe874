"""bfloat16, compilation and the fused Adam: what they change and what they do not."""

import pytest
import torch

from recbole_peterrec import run
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.trainer import base
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.one_pass import in_one_pass
from tests.toy import settings, write_toy


@pytest.fixture
def training(toy_config):
    def make(**changes):
        config = toy_config(**changes)
        dataset = SequenceDataset(config)
        loaders = make_loaders(config, dataset)
        torch.manual_seed(0)
        return BackboneTrainer(config, NextItNetAR(config, dataset)), loaders

    return make


def types_in_training(trainer, train):
    seen = set()
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.LayerNorm):  # what a convolution gave
            module.register_forward_pre_hook(lambda _, args: seen.add(args[0].dtype))
    trainer.fit(train, verbose=False)
    return seen


@pytest.mark.parametrize(
    ("amp", "supported", "expected"),
    [
        (None, True, torch.float),
        ("bf16", True, torch.bfloat16),
        ("bf16", False, torch.float),
    ],
)
def test_amp_trains_in_bf16_where_there_is_bf16(
    training, monkeypatch, caplog, amp, supported, expected
):
    monkeypatch.setattr(base, "has_bf16", lambda device: supported)
    trainer, (train, *_) = training(amp=amp)
    with caplog.at_level("WARNING"):
        assert types_in_training(trainer, train) == {expected}
    assert all(p.dtype == torch.float for p in trainer.model.parameters())
    assert all(loss > 0 for loss in trainer.train_loss_dict.values())


def test_a_machine_without_bf16_is_told_once_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(base, "has_bf16", lambda device: False)
    keys = settings(write_toy(tmp_path / "data"), amp="bf16", state="WARNING")
    for number in (1, 2):  # of runs in one process
        keys["run_dir"] = str(tmp_path / f"run{number}")
        assert len(run("PeterRec", "toy", config_dict=keys)["results"]["tasks"]) == 2
        told = capsys.readouterr().err
        assert told.count("amp: cpu has no bfloat16 here; training in float32") == 1


@pytest.mark.parametrize(("gain", "told"), [(0.5, 1), (1.5, 0)])
def test_a_processor_that_is_slower_in_bf16_is_told_of_once_a_run(
    tmp_path, monkeypatch, capsys, gain, told
):
    monkeypatch.setattr(base, "has_bf16", lambda device: True)
    monkeypatch.setattr(base, "bf16_gain", lambda device, width: gain)
    keys = settings(write_toy(tmp_path / "data"), amp="bf16", state="WARNING")
    run("PeterRec", "toy", config_dict=keys | {"run_dir": str(tmp_path / "run")})
    line = "takes 2.0 times as long for products in bfloat16"
    assert capsys.readouterr().err.count(line) == told


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_models_that_name_their_width_otherwise_train_in_bf16(
    tmp_path, monkeypatch, model
):
    monkeypatch.setattr(base, "has_bf16", lambda device: True)
    keys = {"amp": "bf16", "epochs": 1, "state": "ERROR", "use_gpu": False}
    keys |= {"data_path": str(write_toy(tmp_path / "data"))}
    keys |= {"run_dir": str(tmp_path / "run")}
    assert run(model, "toy", config_dict=keys)["results"]["pretrain"]["epochs"] == 1


def test_bf16_that_a_gpu_only_emulates_does_not_count(monkeypatch):
    def supported(including_emulation=True):
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not base.has_bf16(torch.device("cuda"))


@pytest.mark.parametrize(("key", "value"), [("amp", "fp16"), ("compile", "maybe")])
def test_other_values_are_refused(toy_config, key, value):
    with pytest.raises(ConfigError, match=key):
        toy_config(**{key: value})


@pytest.mark.parametrize("flag", [True, False])
def test_compile_compiles_what_training_runs_through(training, monkeypatch, flag):
    calls = []

    def counting(module):
        def call(*args, **kwargs):
            calls.append(module)
            return module._call_impl(*args, **kwargs)

        module._compiled_call_impl = call  # where torch puts what it compiled

    monkeypatch.setattr(torch.nn.Module, "compile", counting)
    trainer, (train, *_) = training(compile=flag, epochs=1)
    trainer.fit(train, verbose=False)
    assert calls == [trainer.model.encoder.blocks] * len(train) * flag


def test_what_is_compiled_is_evaluated_as_it_is(training):
    """The same bits as without compile, and no graph of its own."""
    compiled, loaders = training(compile=True, epochs=1)
    plain, _ = training(compile=False, epochs=1)
    plain.model.load_state_dict(compiled.model.state_dict())
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    compiled.model.encoder.blocks.compile(backend=backend)
    told = [t.evaluate(loaders[2], load_best_model=False) for t in (compiled, plain)]
    assert told[0] == told[1] and not seen


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_fused_adam_makes_the_same_updates(kind):
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(30, 4, generator=draw)
    weights = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    optimisers = [kind([weight], lr=0.01, weight_decay=0.1) for weight in weights]
    in_one_pass(optimisers[0])
    for _ in range(50):
        grad = torch.randn(30, 4, generator=draw)
        for weight, optimiser in zip(weights, optimisers, strict=True):
            weight.grad = grad.clone()
            optimiser.step()
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


def test_other_optimisers_are_left_as_they_are():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
    before = dict(optimiser.param_groups[0])
    assert in_one_pass(optimiser).param_groups[0] == before


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_steps_by_torch_s_fused_kernel(kind):
    optimizer = in_one_pass(kind([torch.zeros(2, requires_grad=True)]))
    assert [group["fused"] for group in optimizer.param_groups] == [True]
