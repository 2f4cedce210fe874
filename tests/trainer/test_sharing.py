"""What each process of a run draws."""

import random

import numpy as np
import torch

from recbole_peterrec.distributed import group
from recbole_peterrec.trainer.sharing import draw_apart


def test_processes_draw_apart_and_their_negatives_in_step(monkeypatch):
    drawn = []
    for rank in (0, 1, 2):
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(7)
        expected = torch.Generator().manual_seed(7)
        monkeypatch.setattr(group, "rank", lambda rank=rank: rank)
        draw_apart()
        drawn.append((torch.rand(1).item(), random.random(), np.random.random()))
    torchs, pythons, numpys = zip(*drawn, strict=True)
    assert torchs[0] == torch.rand(1, generator=expected).item()
    assert len(set(torchs)) == len(set(pythons)) == 3
    assert len(set(numpys)) == 1
