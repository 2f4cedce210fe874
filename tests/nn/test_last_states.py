"""Only what the last position needs, against the whole network."""

import pytest
import torch
from torch import nn

from recbole_peterrec.model.task_network import tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.patch import ModelPatch
from recbole_peterrec.nn.placement import INSERTIONS, insert_patches
from recbole_peterrec.nn.residual import Chain, residual_stack

KINDS = [(causal, norm) for causal in (True, False) for norm in ("post", "pre")]
LENGTHS = torch.tensor([40, 1, 13, 39, 2])  # the last position reads 36 before it


def network(causal=True, norm="post", insertion=None):
    torch.manual_seed(0)
    net = DilatedEncoder(
        DilatedArchitecture(30, 8, 3, (1, 4, 1), causal, norm)
    ).double()
    if insertion:
        insert_patches(net, insertion, lambda: ModelPatch(8, 4))
    net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net.eval()


def sequences(lengths=LENGTHS):
    items = torch.randint(1, 30, (len(lengths), int(lengths.max())))
    return items * (torch.arange(items.shape[1]) < lengths[:, None])


def whole(net, items, lengths):
    return net(items)[torch.arange(len(items)), lengths - 1]


@pytest.mark.parametrize(
    "lengths", [LENGTHS, torch.full((5,), 40), torch.ones(2).long()]
)
@pytest.mark.parametrize(("causal", "norm"), KINDS)
def test_states_and_gradients_are_those_of_the_whole_network(causal, norm, lengths):
    net, items = network(causal, norm), sequences(lengths)
    mine, other = net.last_states(items, lengths), whole(net, items, lengths)
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-11)
    probe = torch.randn_like(mine)
    parameters = list(net.parameters())
    for a, b in zip(
        torch.autograd.grad((mine * probe).sum(), parameters),
        torch.autograd.grad((other * probe).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("causal", "norm"), KINDS)
@pytest.mark.parametrize("insertion", INSERTIONS)
def test_patched_states_are_those_of_the_whole_network(insertion, causal, norm):
    net, items = network(causal, norm, insertion), sequences()
    torch.testing.assert_close(
        net.last_states(items, LENGTHS), whole(net, items, LENGTHS), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize(("causal", "norm"), KINDS)
@pytest.mark.parametrize("insertion", [None, *INSERTIONS])
def test_what_padding_holds_and_how_much_there_is_changes_nothing(
    insertion, causal, norm
):
    net, items = network(causal, norm, insertion).float(), sequences()
    before = net.last_states(items, LENGTHS)
    padded = nn.functional.pad(items, (0, 9))
    torch.testing.assert_close(net.last_states(padded, LENGTHS), before)
    with torch.no_grad():
        net.embedding.weight[0] = 7.0
    assert torch.equal(net.last_states(items, LENGTHS), before)


def test_a_stack_reaches_back_by_the_taps_before_a_position():
    assert residual_stack(4, 3, (1, 4), True, "post").reach == 2 * (1 + 2 + 4 + 8)
    assert residual_stack(4, 3, (1, 4), False, "post").reach == 1 + 2 + 4 + 8
    assert residual_stack(4, 1, (1,), True, "pre").reach == 0


@pytest.mark.parametrize(("causal", "read"), [(True, 37), (False, 19)])
def test_items_out_of_reach_are_not_read(causal, read):
    seen, net = [], network(causal)
    net.embedding.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    net.last_states(torch.ones(2, 200).long(), torch.tensor([200, 200]))
    assert seen == [net.blocks.reach + 1] == [read]


@pytest.mark.parametrize("last", [1, 2, 7, 100])
def test_a_stack_gives_as_many_last_positions_as_are_asked_for(last):
    net = network()
    x = torch.randn(30, 2, 8).double()
    assert isinstance(net.blocks, Chain)
    torch.testing.assert_close(
        net.blocks(x, last=last), net.blocks(x)[-last:], rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("causal", [True, False])
def test_a_task_reads_the_token_at_the_end(causal):
    settings = Tuning(
        tuning="patch",
        tune_layers=1,
        tune_layernorm=False,
        pooling="tcl_end",
        patch_insertion="parallel_before_norm",
        patch_count=None,
        patch_reduction=4,
        patch_activation="relu",
        patch_cardinality=1,
    )
    net = tuned_network(network(causal), settings, 3).double().eval()
    items = nn.functional.pad(sequences(), (0, 1))
    user = net(items[:, :-1], LENGTHS)
    items[torch.arange(5), LENGTHS] = net.encoder.special_token
    expected = whole(net.encoder, items, LENGTHS + 1)
    torch.testing.assert_close(user, expected, rtol=0, atol=1e-11)
