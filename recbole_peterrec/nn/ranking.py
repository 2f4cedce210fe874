"""Exact ranks among all items, without a matrix of all scores."""

from __future__ import annotations

from itertools import chain

import torch

ROWS = 256
COLUMNS = 512  # a tile of scores, and its items, stay in a level-2 cache
COLUMNS_ELSEWHERE = 2**15  # a GPU needs larger products
GROUP = 64


@torch.no_grad()
def ranks(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """How many items score at least what each row's target scores, the target among them.

    A score is what a tile's matrix product gives, the target's too. Another product for
    the target may differ in the last bit, and so would many ranks. The targets' scores
    are therefore only guessed, and the count is made again should a tile give another.

    Args:
        hidden: ``[N, k]``.
        weight: ``[V, k]``; a slice leaves out items that must not be ranked.
        bias: ``[V]``.
        targets: ``[N]`` rows of `weight`.

    Returns:
        ``[N]`` ranks, 1 the best: ties count against the target, and one whose score is
        not a number is last.

    Raises:
        ValueError: more than ``2 ** 24`` items, which float32 does not count.
    """
    if len(weight) > 2**24:
        raise ValueError(f"at most {2**24} items can be ranked, got {len(weight)}")
    score = _guess(hidden, weight, bias, targets)
    for _ in range(2):
        reached, found = _count(hidden, weight, bias, targets, score)
        if torch.equal(found, score):
            break
        score = found
    return reached.masked_fill(score.isnan(), len(weight))


def _guess(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """Targets' scores from small products, which mostly sum as large ones do."""
    parts = [hidden.new_empty(0)]
    for start in range(0, len(hidden), GROUP):
        some = slice(start, start + GROUP)
        group = targets[some]
        part = torch.addmm(bias[group], hidden[some], weight[group].t())
        parts.append(part.diagonal())
    return torch.cat(parts)


def _count(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
    score: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers of items that score at least `score`, and the targets' scores."""
    columns = COLUMNS if hidden.device.type == "cpu" else COLUMNS_ELSEWHERE
    owners: dict[tuple[int, int], list[int]] = {}
    for row, target in enumerate(targets.tolist()):
        owners.setdefault((target // columns, row // ROWS), []).append(row)
    # Sent to the device at once: each sending waits for what the device is doing.
    all_rows = torch.tensor([*chain(*owners.values())], device=targets.device)
    numbers = [len(rows) for rows in owners.values()]
    owned = dict(zip(owners, all_rows.split(numbers), strict=True))
    reached = torch.zeros_like(score, dtype=torch.float)
    found = torch.full_like(score, torch.nan)
    parts = [tuple(x.split(ROWS)) for x in (hidden, score.unsqueeze(1), reached)]
    scores = hidden.new_empty(min(ROWS, len(hidden)) * min(columns, len(weight)))
    for left in range(0, len(weight), columns):
        items, offset = weight[left : left + columns].t(), bias[left : left + columns]
        for number, (states, threshold, above) in enumerate(zip(*parts, strict=True)):
            shape = len(states), len(offset)
            tile = scores[: shape[0] * shape[1]].view(shape)
            torch.addmm(offset, states, items, out=tile)
            rows = owned.get((left // columns, number))
            if rows is not None:
                found[rows] = tile[rows - number * ROWS, targets[rows] - left]
            above += tile.ge_(threshold).sum(1, dtype=torch.float)
    return reached.long(), found
