"""Causality, padding, and the residual block against NumPy."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from recbole_peterrec.nn.conv import INIT_STD
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.patch import ModelPatch
from recbole_peterrec.nn.residual import ResidualBlock
from tests.nn import reference as ref

KINDS = [(causal, norm) for causal in (True, False) for norm in ("post", "pre")]


def encoder(causal, norm, seed=0):
    torch.manual_seed(seed)
    built = DilatedEncoder(DilatedArchitecture(30, 8, 3, (1, 4), causal, norm)).eval()
    for parameter in built.blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.normal_(built.embedding.weight)
    return built


def unit(x, module, dilation, causal, norm):
    weight, bias = ref.array(module.conv.weight), ref.array(module.conv.bias)
    gain, shift = ref.array(module.norm.weight), ref.array(module.norm.bias)
    if norm == "post":
        x = ref.convolution(x, weight, bias, dilation, causal)
        return ref.relu(ref.layer_norm(x, gain, shift))
    x = ref.relu(ref.layer_norm(x, gain, shift))
    return ref.convolution(x, weight, bias, dilation, causal)


@pytest.mark.parametrize(("causal", "norm"), KINDS)
def test_residual_block_equals_numpy(causal, norm):
    torch.manual_seed(1)
    block = ResidualBlock(6, 3, 2, causal, norm).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = np.random.default_rng(0).normal(size=(9, 6))
    first, second = block.branch
    inner = unit(unit(x, first, 2, causal, norm), second, 4, causal, norm)
    ours = block(torch.from_numpy(x)[:, None])[:, 0]
    np.testing.assert_allclose(ref.array(ours), x + inner, atol=1e-10)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("changed", [1, 5, 11])
def test_later_items_change_nothing_before_them(norm, changed):
    net = encoder(True, norm)
    items = torch.randint(1, 30, (3, 12))
    other = items.clone()
    other[:, changed:] = torch.randint(1, 30, (3, 12 - changed))
    assert torch.equal(net(items)[:, :changed], net(other)[:, :changed])


def test_a_non_causal_state_sees_later_items():
    net = encoder(False, "post")
    items = torch.randint(1, 29, (1, 12))
    other = items.clone()
    other[0, -1] = 29
    assert not torch.equal(net(items)[0, -2], net(other)[0, -2])


@pytest.mark.parametrize(("causal", "norm"), KINDS)
def test_what_padding_holds_changes_no_real_state(causal, norm):
    net = encoder(causal, norm)
    items = torch.randint(1, 30, (2, 10))
    items[0, 4:] = 0
    before = net(items)
    with torch.no_grad():
        net.embedding.weight[0] = 7.0
    after = net(items)
    assert torch.equal(before[0, :4], after[0, :4])
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize(("causal", "norm"), KINDS)
def test_more_padding_changes_no_real_state(causal, norm):
    net = encoder(causal, norm).double()
    items = torch.randint(1, 30, (2, 7))
    padded = torch.nn.functional.pad(items, (0, 20))
    torch.testing.assert_close(net(items), net(padded)[:, :7], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_block_drops_of_its_branch_and_nothing_of_its_input(norm):
    block = ResidualBlock(6, 3, 1, True, norm, dropout=1.0)
    nn.init.normal_(block.branch[1].conv.bias)
    x = torch.randn(9, 2, 6)
    assert torch.equal(block(x), x)
    assert not torch.equal(block.eval()(x), x)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"embedding_size": 0}, "embedding_size must be a whole number"),
        ({"kernel_size": 2.0}, "kernel_size must be a whole number"),
        ({"items": True}, "items must be a whole number"),
        ({"dilations": ()}, "give no block"),
        ({"dilations": (1, -1)}, "each of dilations must be a whole number"),
        ({"embedding_scale": 0.0}, "embedding_scale must be above 0"),
        ({"embedding_scale": float("nan")}, "embedding_scale must be above 0"),
    ],
)
def test_an_architecture_that_no_network_can_have_is_refused(changed, message):
    architecture = DilatedArchitecture(20, 8, 3, (1, 2), True, "pre")
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(architecture, **changed)


def test_embeddings_enter_the_first_block_times_their_scale():
    architecture = DilatedArchitecture(20, 8, 3, (1, 2), True, "pre")
    plain = architecture.build()
    scaled = dataclasses.replace(architecture, embedding_scale=3.0).build()
    scaled.load_state_dict(plain.state_dict())
    items = torch.randint(1, 20, (4, 6))
    assert not torch.equal(scaled(items), plain(items))
    with torch.no_grad():
        plain.embedding.weight *= 3
    assert torch.equal(scaled(items), plain(items))


def test_layers_start_normal_around_zero():
    torch.manual_seed(0)
    net = DilatedEncoder(DilatedArchitecture(2000, 64, 3, (1, 2), True, "post"))
    patch = ModelPatch(64, 2)
    convolutions = [
        net.get_submodule(name) for block in net.patch_sites("conv") for name in block
    ]
    for weight in (
        net.embedding.weight,
        patch.down.weight,
        *(c.weight for c in convolutions),
    ):
        assert weight.std().item() == pytest.approx(INIT_STD, rel=0.05)
        assert abs(weight.mean().item()) < 0.1 * INIT_STD
    for bias in (patch.down.bias, *(c.bias for c in convolutions)):
        assert not bias.any()
    assert not net.embedding.weight[0].any()


@pytest.mark.parametrize("causal", [True, False])
def test_the_last_state_depends_on_as_many_positions_as_are_told(causal):
    net = encoder(causal, "post")
    told = net.architecture.positions_read(60)
    assert told == (1 + 2 * 15 if causal else 1 + 15)
    items = torch.randint(1, 30, (1, 60))
    for unread, same in ((60 - told, True), (60 - told + 1, False)):
        other = items.clone()
        other[:, :unread] = items[:, :unread] % 29 + 1
        assert torch.equal(net(items)[:, -1], net(other)[:, -1]) is same
    assert net.architecture.positions_read(7) == 7
