"""The patch's own gradients against those of plain layers."""

import pytest
import torch
from torch import nn

from recbole_peterrec.nn.patch import ACTIVATIONS, ModelPatch


def plain(patch, x):
    return x + patch.up(patch.act(patch.down(x)))


def example(activation):
    torch.manual_seed(0)
    patch = ModelPatch(8, 4, activation).double()
    for parameter in patch.parameters():
        nn.init.normal_(parameter)
    return patch, torch.randn(5, 3, 8, dtype=torch.double)


@pytest.mark.parametrize("frozen_input", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_gradients_are_those_of_plain_layers(activation, frozen_input):
    patch, x = example(activation)
    x.requires_grad_(not frozen_input)
    probe = torch.randn_like(x)
    wanted = [*patch.parameters(), *([] if frozen_input else [x])]
    ours, theirs = patch(x), plain(patch, x)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad((ours * probe).sum(), wanted),
        torch.autograd.grad((theirs * probe).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_a_slice_in_time_and_one_position_can_be_patched():
    patch, x = example("relu")
    torch.testing.assert_close(patch(x[:, 1:]), plain(patch, x[:, 1:]))
    torch.testing.assert_close(patch(x[0, 0]), plain(patch, x[0, 0]))


def test_under_autocast_a_patch_gives_bf16_and_float32_gradients():
    patch, x = example("gelu")
    patch, x = patch.float(), x.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = patch(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), plain(patch, x), rtol=0.05, atol=0.2)
    y.float().sum().backward()
    assert x.grad.dtype == patch.down.weight.grad.dtype == torch.float


def test_a_new_patch_can_learn():
    """`up` alone is zero: were `down` too, no gradient would ever reach either."""
    torch.manual_seed(0)
    patch, x = ModelPatch(8, 4), torch.randn(5, 8)
    patch(x).square().sum().backward()
    assert patch.up.weight.grad.abs().sum() > 0
    with torch.no_grad():
        patch.up.weight -= patch.up.weight.grad
    patch(x).square().sum().backward()
    assert patch.down.weight.grad.abs().sum() > 0
