"""The four insertions of Fig. 3 against Eq. 12 written out."""

import numpy as np
import pytest
import torch
from torch import nn

from recbole_peterrec.nn.conv import DilatedConv
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.patch import ModelPatch
from recbole_peterrec.nn.placement import INSERTIONS, Parallel, Serial, insert_patches
from tests.nn import reference as ref

WIDTH = 8


def network(norm="post", causal=True):
    torch.manual_seed(0)
    net = (
        DilatedEncoder(DilatedArchitecture(20, WIDTH, 3, (1,), causal, norm))
        .double()
        .eval()
    )
    for parameter in net.blocks.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net


def random_patch():
    patch = ModelPatch(WIDTH, 4).double()
    for parameter in patch.parameters():
        nn.init.normal_(parameter)
    return patch


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def equation_12(x, parts, insertion, patches):
    """F of Eq. 12 for one position-by-channel matrix."""
    (conv1, norm1), (conv2, norm2) = parts
    if insertion == "serial_before_norm":
        inner = ref.relu(norm1(patches[0](conv1(x))))
        return ref.relu(norm2(patches[1](conv2(inner))))
    if insertion == "serial_after_block":
        return patches[0](ref.relu(norm2(conv2(ref.relu(norm1(conv1(x)))))))
    if insertion == "parallel_before_norm":
        inner = ref.relu(norm1(patches[0](x) + conv1(x)))
        return ref.relu(norm2(patches[1](inner) + conv2(inner)))
    inner = patches[0](x) + ref.relu(norm1(conv1(x)))
    return patches[1](inner) + ref.relu(norm2(conv2(inner)))


def before_convolution(x, parts, insertion, patches):
    """The same where each unit normalises first (norm: pre), written out."""
    (conv1, norm1), (conv2, norm2) = parts
    first, second = ref.relu(norm1(x)), lambda inner: ref.relu(norm2(inner))
    if insertion == "serial_before_norm":
        return patches[1](conv2(second(patches[0](conv1(first)))))
    if insertion == "serial_after_block":
        return patches[0](conv2(second(conv1(first))))
    if insertion == "parallel_before_norm":
        inner = second(patches[0](first) + conv1(first))
        return patches[1](inner) + conv2(inner)
    inner = patches[0](x) + conv1(first)
    return patches[1](inner) + conv2(second(inner))


def numpy_parts(unit, dilation, causal):
    weight, bias = ref.array(unit.conv.weight), ref.array(unit.conv.bias)
    gain, shift = ref.array(unit.norm.weight), ref.array(unit.norm.bias)
    return (
        lambda x: ref.convolution(x, weight, bias, dilation, causal),
        lambda x: ref.layer_norm(x, gain, shift),
    )


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("insertion", INSERTIONS)
def test_insertion_equals_equation_12(insertion, norm, causal):
    net = network(norm, causal)
    units = list(net.blocks[0].branch)
    parts = [
        numpy_parts(unit, d, causal) for unit, d in zip(units, (1, 2), strict=True)
    ]
    patches = insert_patches(net, insertion, random_patch)
    formulas = [lambda x, p=p: ref.patch(x, p) for p in patches]
    x = np.random.default_rng(1).normal(size=(7, WIDTH))
    ours = net.blocks(torch.from_numpy(x)[:, None])[:, 0]
    formula = equation_12 if norm == "post" else before_convolution
    expected = x + formula(x, parts, insertion, formulas)
    np.testing.assert_allclose(ref.array(ours), expected, atol=1e-9)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("insertion", INSERTIONS)
def test_a_patch_that_does_nothing_leaves_the_network_as_it_was(insertion, norm):
    net = network(norm)
    items = torch.randint(1, 20, (2, 9))
    before = net(items)
    nothing = nn.Identity if insertion.startswith("serial") else Zero
    insert_patches(net, insertion, nothing)
    assert torch.equal(net(items), before)


def test_a_new_serial_patch_is_the_identity():
    x = torch.randn(5, WIDTH)
    assert torch.equal(ModelPatch(WIDTH, 4)(x), x)


@pytest.mark.parametrize(
    ("insertion", "count", "expected"),
    [
        ("serial_before_norm", 1, 1),
        ("serial_before_norm", 2, 2),
        ("serial_after_block", 1, 1),
        ("parallel_before_norm", 1, 1),
        ("parallel_before_norm", 2, 2),
        ("parallel_after_activation", None, 2),
    ],
)
def test_patches_a_block_are_those_of_the_figure(insertion, count, expected):
    net = network()
    assert len(insert_patches(net, insertion, random_patch, count)) == expected
    found = sum(isinstance(module, ModelPatch) for module in net.modules())
    assert found == expected


def test_a_count_that_the_figure_does_not_have_is_refused():
    with pytest.raises(ValueError, match="patch_count"):
        insert_patches(network(), "serial_after_block", random_patch, 2)


@pytest.mark.parametrize("width", [64, 256])
def test_a_patch_adds_less_than_a_tenth_of_its_convolution(width):
    patch = ModelPatch(width, reduction=8)
    weights = sum(p.numel() for p in patch.parameters() if p.dim() > 1)
    biases = sum(p.numel() for p in patch.parameters() if p.dim() == 1)
    assert weights == 2 * width * width // 8
    assert biases == width + width // 8
    assert weights + biases < 0.1 * 3 * width * width


def test_cardinality_is_the_sum_of_its_paths():
    torch.manual_seed(0)
    wide = ModelPatch(8, 4, cardinality=3)
    nn.init.normal_(wide.up.weight)
    x = torch.randn(6, 8)
    total = x + wide.up.bias
    for path in range(3):
        rows = slice(2 * path, 2 * path + 2)
        hidden = torch.relu(x @ wide.down.weight[rows].T + wide.down.bias[rows])
        total = total + hidden @ wide.up.weight[:, rows].T
    torch.testing.assert_close(wide(x), total)


def test_a_reduction_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        ModelPatch(10, 4)


@pytest.mark.parametrize("insertion", ["serial_before_norm", "parallel_before_norm"])
def test_one_patch_a_block_is_at_its_last_convolution(insertion):
    net = network()
    insert_patches(net, insertion, random_patch, 1)
    first, last = (unit.conv for unit in net.blocks[0].branch)
    assert isinstance(first, DilatedConv)
    assert isinstance(last, (Serial, Parallel))


@pytest.mark.parametrize("cardinality", [1, 3])
def test_a_patch_has_as_many_paths_as_its_cardinality_says(cardinality):
    patch = ModelPatch(8, 4, cardinality=cardinality)
    width = cardinality * 8 // 4
    assert patch.down.weight.shape == (width, 8)
    assert patch.up.weight.shape == (8, width)


@pytest.mark.parametrize(
    ("insertion", "count"),
    [
        ("parallel_after_activation", 1),
        ("serial_before_norm", 3),
        ("parallel_before_norm", 0),
    ],
)
def test_every_count_that_the_figure_does_not_have_is_refused(insertion, count):
    with pytest.raises(ValueError, match=f"patch_count of {insertion}"):
        insert_patches(network(), insertion, random_patch, count)
