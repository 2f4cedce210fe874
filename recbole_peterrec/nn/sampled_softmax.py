"""Softmax cross entropy over a sample of the items, whose cost is the sample's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from recbole_peterrec.nn.column_tiles import ColumnTiles
from recbole_peterrec.nn.precision import as_autocast
from recbole_peterrec.nn.table_rows import rows_of


def sampled_softmax_loss(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    samples: int,
    generator: torch.Generator | None = None,
    sparse: bool = False,
) -> torch.Tensor:
    """Softmax cross entropy over the target and `samples` items drawn uniformly.

    No item is drawn twice. All rows share the sample; a row's own target is left out of
    its negatives. Negatives are weighted up so that their sum estimates the full
    softmax's, which makes the loss's expected partition function exact. Conure pretrains
    so, with 20 % of the items (section 6.1).

    Args:
        hidden: ``[N, k]``, N at least 1.
        targets: ``[N]`` item ids in ``1 .. V - 1``.
        weight: ``[V, k]`` classification layer; row 0 is padding and never drawn.
        bias: ``[V]``.
        samples: number of items drawn, ``1 .. V - 1``.
        generator: source of randomness, None for torch's own.
        sparse: whether `weight` and `bias` get sparse gradients, of the touched rows
            only, for an optimiser that takes them. Nothing of size V is made then.

    Returns:
        Mean loss over the rows, a scalar.
    """
    items = len(weight) - 1
    drawn = 1 + draw_without_repeats(items, samples, hidden.device, generator)
    drawn = drawn.sort().values
    place = torch.searchsorted(drawn, targets).clamp(max=samples - 1)
    place = torch.where(drawn[place] == targets, place, -1)

    chosen = torch.cat([drawn, targets])
    weights = rows_of(weight, chosen, sparse)
    biases = rows_of(bias, chosen, sparse)
    positive = (hidden * weights[samples:]).sum(-1) + biases[samples:]
    others = ColumnTiles.apply(
        as_autocast(hidden),
        as_autocast(weights[:samples]),
        biases[:samples] + math.log(items / samples),
        place,
        True,
    )
    return F.softplus(others - positive, threshold=40).mean()


def draw_without_repeats(
    items: int,
    samples: int,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """`samples` different numbers below `items`, uniformly; ``[samples]``.

    The cost is that of the sample: a small one is drawn with repeats, which are
    dropped. All sets of that many distinct numbers are then equally likely, and all
    subsets of one.
    """
    if 4 * samples > items:
        return torch.randperm(items, generator=generator, device=device)[:samples]
    distinct = torch.empty(0, dtype=torch.long, device=device)
    while len(distinct) < samples:
        size = (samples + samples // 4 + 8,)
        drawn = torch.randint(items, size, generator=generator, device=device)
        distinct = torch.cat([distinct, drawn]).unique()
    kept = torch.randperm(len(distinct), generator=generator, device=device)[:samples]
    return distinct[kept]
