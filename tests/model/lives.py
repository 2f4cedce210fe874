"""Lives of a learner: tasks that are learned one after the other, without a run."""

from __future__ import annotations

import torch
from torch import nn

from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder

ITEMS, WIDTH, LABELS = 30, 8, 4
ROWS = torch.randint(1, ITEMS, (6, 9), generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([9, 1, 5, 9, 2, 7])
OPTIMISERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.3, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.3),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
}


def encoder():
    torch.manual_seed(0)
    return DilatedEncoder(DilatedArchitecture(ITEMS, WIDTH, 3, (1, 2), True, "pre"))


def network(learner, first):
    labels = ITEMS if first else LABELS
    return TaskNetwork(learner.encoder, "last", labels)


def train(net, optimiser, half, steps=2):
    trained = [p for p in net.parameters() if p.requires_grad]
    step = OPTIMISERS[optimiser](trained)
    labels = torch.arange(len(ROWS)) % LABELS
    for _ in range(steps):
        step.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(net.scores(ROWS, LENGTHS), labels)
        loss.backward()
        step.step()


@torch.no_grad()
def scores(net):
    net.eval()
    return net.scores(ROWS, LENGTHS).numpy().tobytes()


def live(learner, lives):
    """Learn a task for each life; every kept task's network with its scores."""
    kept = {}
    for number, (optimiser, ratio, half) in enumerate(lives):
        name = f"t{number}"
        learner.begin(name)
        net = network(learner, first=not number)
        train(net, optimiser, half)
        learner.prune({"convolution": ratio, "embedding": ratio})
        train(net, optimiser, half)
        learner.keep(net.head)
        kept[name] = net, scores(net), learner.fingerprint(name)
        for earlier, (its_net, its_scores, print_then) in kept.items():
            learner.view(earlier)
            assert scores(its_net) == its_scores
            assert learner.fingerprint(earlier) == print_then
    return kept
