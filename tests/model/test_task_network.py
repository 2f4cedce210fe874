"""What each strategy trains, and that nothing else moves."""

import pytest
import torch

from recbole_peterrec.model.task_network import TaskNetwork, tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.pooling import pool
from tests.toy import TUNING


def network(**changes):
    torch.manual_seed(0)
    encoder = DilatedEncoder(DilatedArchitecture(20, 8, 3, (1, 4), True, "post"))
    return encoder, tuned_network(encoder, Tuning.of({**TUNING, **changes}), 3)


def layer(name):
    return name.startswith("encoder.blocks.1.branch.1.")


EXPECTED = {
    "patch": lambda name: ".patch." in name or name.startswith("head."),
    "all": lambda name: True,
    "last": lambda name: layer(name) or name.startswith("head."),
    "head": lambda name: name.startswith("head."),
}


@pytest.mark.parametrize("tuning", EXPECTED)
def test_every_parameter_is_trained_or_frozen_as_the_strategy_says(tuning):
    _, net = network(tuning=tuning)
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == EXPECTED[tuning](name), name


@pytest.mark.parametrize("tuning", EXPECTED)
def test_training_leaves_the_pretrained_bytes_alone(tuning):
    encoder, net = network(tuning=tuning)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    trained = {name: p.clone() for name, p in net.trained_state().items()}
    optimiser = torch.optim.Adam(
        [p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1
    )
    items, lengths = torch.randint(1, 20, (4, 6)), torch.tensor([6, 6, 6, 6])
    for _ in range(3):
        optimiser.zero_grad()
        net.scores(items, lengths).logsumexp(1).sum().backward()
        optimiser.step()
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert any(not torch.equal(p, trained[n]) for n, p in net.trained_state().items())


def test_frozen_weights_are_shared_not_copied():
    encoder, net = network()
    shared = {p.data_ptr() for p in encoder.parameters()}
    frozen = [p for p in net.parameters() if not p.requires_grad]
    assert len(frozen) == len(shared)
    assert all(p.data_ptr() in shared for p in frozen)


def test_trained_share_is_the_papers_formula():
    """Section 3.3: 2 k^2 / r a patched layer and k |Y| for the head, biases apart."""
    _, net = network()
    k, layers, labels, reduction = 8, 4, 3, 4
    weights = sum(p.numel() for p in net.trained_state().values() if p.dim() > 1)
    assert weights == layers * 2 * k * k // reduction + k * labels


def test_layernorms_can_be_tuned_too():
    _, net = network(tune_layernorm=True)
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (EXPECTED["patch"](name) or ".norm." in name)


def test_more_layers_than_there_are_is_refused():
    with pytest.raises(ValueError, match="tune_layers"):
        network(tuning="last", tune_layers=5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_rows_encoded_apart_by_length_are_what_they_are_together(causal, pooling):
    torch.manual_seed(0)
    encoder = DilatedEncoder(DilatedArchitecture(20, 8, 3, (1, 4), causal, "pre"))
    net = tuned_network(encoder, Tuning.of({**TUNING, "pooling": pooling}), 3).eval()
    lengths = torch.randint(1, 31, (40,))
    items = torch.randint(1, 20, (40, 30)) * (torch.arange(30) < lengths[:, None])
    together = pool(net.encoder(items), lengths, pooling)
    torch.testing.assert_close(net(items, lengths), together, rtol=0, atol=1e-6)


def test_the_vector_that_the_head_reads_is_dropped_from():
    net = TaskNetwork(
        DilatedEncoder(DilatedArchitecture(20, 8, 3, (1,), True, "post")),
        "last",
        3,
        head_dropout=1.0,
    )
    items, lengths = torch.randint(1, 20, (2, 5)), torch.tensor([5, 3])
    assert not net(items, lengths).any()
    assert net.user_vectors(items, lengths).any()
    assert net.eval()(items, lengths).any()
