"""Sampled softmax and BPR against the exact formulas."""

import math

import torch

from recbole_peterrec.nn.losses import bpr_loss, sampled_softmax_loss


def example():
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(6, 4), torch.randn(21, 4), torch.randn(21)
    return hidden, torch.randint(1, 21, (6,)), weight, bias


def test_sampling_every_item_is_the_exact_softmax():
    hidden, targets, weight, bias = example()
    logits = hidden @ weight[1:].T + bias[1:]
    exact = torch.nn.functional.cross_entropy(logits, targets - 1)
    sampled = sampled_softmax_loss(hidden, targets, weight, bias, 20)
    torch.testing.assert_close(sampled, exact)


def test_the_sampled_partition_is_the_exact_one_on_average():
    hidden, targets, weight, bias = example()
    hidden, targets = hidden[:1], targets[:1]
    logits = (hidden @ weight[1:].T + bias[1:])[0]
    positive = logits[targets[0] - 1]
    others = torch.cat([logits[: targets[0] - 1], logits[targets[0] :]]).exp().sum()
    estimates = []
    for seed in range(4000):
        generator = torch.Generator().manual_seed(seed)
        loss = sampled_softmax_loss(hidden, targets, weight, bias, 5, generator)
        estimates.append((loss + positive).exp() - positive.exp())
    estimate = torch.stack(estimates)
    error = estimate.std() / math.sqrt(len(estimate))
    assert abs(estimate.mean() - others) < 4 * error


def test_bpr_by_hand():
    loss = bpr_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert math.isclose(loss.item(), expected, rel_tol=1e-6)
