"""Exact ranks among all items, without a matrix of all scores."""

from __future__ import annotations

from itertools import chain

import torch

ROWS = 256
COLUMNS = 512  # two tiles of scores, and the items, stay in a level-2 cache of 2 MiB
COLUMNS_ELSEWHERE = 2**15  # a GPU needs larger products
GROUP = 64


@torch.no_grad()
def ranks(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many items score above each row's target, and how many score the same.

    A score is what a tile's matrix product gives, the target's too. Another product for
    the target may differ in the last bit, and so would many ranks. The targets' scores
    are therefore only guessed, and the count is made again should a tile give another.

    Args:
        hidden: ``[N, k]``.
        weight: ``[V, k]``; a slice leaves out items that must not be ranked.
        bias: ``[V]``.
        targets: ``[N]`` rows of `weight`.

    Returns:
        ``greater`` and ``equal``, each ``[N]``; a target counts as equal to itself. The
        rank with ties against the target is ``greater + equal``, and without
        ``greater + 1``. A target whose score is not a number is equal to all.

    Raises:
        ValueError: more than ``2 ** 24`` items, which float32 does not count.
    """
    if len(weight) > 2**24:
        raise ValueError(f"at most {2**24} items can be ranked, got {len(weight)}")
    score = _guess(hidden, weight, bias, targets)
    for _ in range(2):
        reached, equal, found = _count(hidden, weight, bias, targets, score)
        if torch.equal(found, score):
            break
        score = found
    greater, lost = reached - equal, score.isnan()
    return greater.masked_fill(lost, 0), equal.masked_fill(lost, len(weight))


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
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Items that score at least `score`, just `score`, and the targets' scores."""
    columns = COLUMNS if hidden.device.type == "cpu" else COLUMNS_ELSEWHERE
    owners: dict[tuple[int, int], list[int]] = {}
    for row, target in enumerate(targets.tolist()):
        owners.setdefault((target // columns, row // ROWS), []).append(row)
    # Sent to the device at once: each sending waits for what the device is doing.
    all_rows = torch.tensor([*chain(*owners.values())], device=targets.device)
    numbers = [len(rows) for rows in owners.values()]
    owned = dict(zip(owners, all_rows.split(numbers), strict=True))
    reached = torch.zeros_like(score, dtype=torch.float)
    equal, found = reached.clone(), torch.full_like(score, torch.nan)
    parts = [tuple(x.split(ROWS)) for x in (hidden, score.unsqueeze(1), reached, equal)]
    size = min(ROWS, len(hidden)) * min(columns, len(weight))
    scores, marks = hidden.new_empty(size), hidden.new_empty(size, dtype=torch.float)
    for left in range(0, len(weight), columns):
        items, offset = weight[left : left + columns].t(), bias[left : left + columns]
        for number, (states, threshold, above, same) in enumerate(
            zip(*parts, strict=True)
        ):
            shape = len(states), len(offset)
            tile = scores[: shape[0] * shape[1]].view(shape)
            mark = marks[: shape[0] * shape[1]].view(shape)
            torch.addmm(offset, states, items, out=tile)
            rows = owned.get((left // columns, number))
            if rows is not None:
                found[rows] = tile[rows - number * ROWS, targets[rows] - left]
            above += torch.ge(tile, threshold, out=mark).sum(1)
            same += tile.eq_(threshold).sum(1, dtype=torch.float)
    return reached.long(), equal.long(), found
