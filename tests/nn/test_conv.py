"""The dilated convolution against torch's own, and what freezing saves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_peterrec.nn.conv import DilatedConv


def torch_convolution(x, conv, dilation, causal):
    """``[L, B, k]`` through ``conv1d`` on explicitly padded input."""
    taps = len(conv.weight)
    reach = (taps - 1) * dilation
    left = reach if causal else reach // 2
    padded = torch.nn.functional.pad(x.permute(1, 2, 0), (left, reach - left))
    weight = conv.weight.permute(2, 1, 0)
    out = torch.nn.functional.conv1d(padded, weight, conv.bias, dilation=dilation)
    return out.permute(2, 0, 1)


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(1, 12),
    taps=st.sampled_from([1, 3, 5]),
    dilation=st.integers(1, 8),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_equal_conv1d(length, taps, dilation, causal, seed):
    torch.manual_seed(seed)
    conv = DilatedConv(4, taps, dilation, causal).double()
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(length, 2, 4, dtype=torch.double, requires_grad=True)
    probe = torch.randn(length, 2, 4, dtype=torch.double)
    inputs = (x, conv.weight, conv.bias)
    ours, theirs = conv(x), torch_convolution(x, conv, dilation, causal)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad((ours * probe).sum(), inputs),
        torch.autograd.grad((theirs * probe).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_a_frozen_weight_gets_no_gradient_and_the_input_does():
    conv = DilatedConv(4, 3, 2, causal=True).requires_grad_(False)
    x = torch.randn(5, 2, 4, requires_grad=True)
    conv(x).sum().backward()
    assert conv.weight.grad is None and conv.bias.grad is None
    assert x.grad.abs().sum() > 0


def test_a_frozen_weight_keeps_no_input_and_passes_the_same_gradient():
    torch.manual_seed(0)
    conv = DilatedConv(4, 3, 2, causal=True)
    x, grads, kept = torch.randn(6, 2, 4), [], []

    def noted(tensor):
        kept[-1].append(tensor.data_ptr())
        return tensor

    for trained in (True, False):
        conv.weight.requires_grad_(trained)
        ours = x.clone().requires_grad_()
        kept.append([])
        with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
            out = conv(ours)
        assert (ours.data_ptr() in kept[-1]) == trained
        out.square().sum().backward()
        grads.append(ours.grad)
    assert torch.equal(*grads)


def test_an_even_kernel_cannot_be_centred():
    with pytest.raises(ValueError, match="odd"):
        DilatedConv(4, 2, 1, causal=False)
