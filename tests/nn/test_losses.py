"""BPR against the formula."""

import math

import torch

from recbole_peterrec.nn.losses import bpr_loss


def test_bpr_by_hand():
    loss = bpr_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert math.isclose(loss.item(), expected, rel_tol=1e-6)
