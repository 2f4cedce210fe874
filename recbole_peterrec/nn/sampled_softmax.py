"""Softmax cross entropy over samples of the items, whose cost is the samples'."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from recbole_peterrec.nn.column_tiles import ColumnTiles
from recbole_peterrec.nn.precision import as_autocast
from recbole_peterrec.nn.table_rows import rows_of

Sample = tuple[torch.Tensor, torch.Tensor]
SHARED_ROWS = 256  # share even the smallest sample: products with fewer rows are slow
MOST_SAMPLES = 8  # of a step; four of 336 items are as good as all 1,682 (README)


def sampled_softmax_loss(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    samples: Sequence[Sample],
    sparse: bool = False,
) -> torch.Tensor:
    """Softmax cross entropy over each row's target and a sample that it shares with other rows.

    A row's own target is left out of its negatives. The exponential of each negative is divided by
    how likely it is in a sample (Horvitz and Thompson, 1952), so that their sum is in expectation
    the full softmax's. Conure pretrains with a sampled softmax of 20 % of the items (section 6.1).

    Args:
        hidden: ``[N, k]``, N at least 1.
        targets: ``[N]`` item ids in ``1 .. V - 1``.
        weight: ``[V, k]`` classification layer; row 0 is padding.
        bias: ``[V]``.
        samples: 1 to N of them. The rows are cut into as many successive parts, as equal as they
            can be and longer ones first; each part has its own sample: ``[S]`` different items in
            ascending order, at least one, and ``[S]`` the logarithm of how likely a sample has
            each of them.
        sparse: whether `weight` and `bias` get sparse gradients, of the touched rows
            only, for an optimiser that takes them. Nothing of size V is made then.

    Returns:
        Mean loss over the rows, a scalar.
    """
    drawn, log_shares = zip(*samples, strict=True)
    # Gathered at once: of a dense table, each time would make a gradient as large as the table.
    chosen = torch.cat([*drawn, targets])
    sizes = [*map(len, drawn), len(targets)]
    *weights, own_weight = rows_of(weight, chosen, sparse).split(sizes)
    *biases, own_bias = rows_of(bias, chosen, sparse).split(sizes)
    least, longer = divmod(len(targets), len(samples))
    heights = [least + (part < longer) for part in range(len(samples))]
    parts = zip(
        as_autocast(hidden).split(heights),
        targets.split(heights),
        drawn,
        weights,
        biases,
        log_shares,
        strict=True,
    )
    others = [
        ColumnTiles.apply(
            states, as_autocast(rows), offset - log_share, _places(items, own), True
        )
        for states, own, items, rows, offset, log_share in parts
    ]
    positive = (hidden * own_weight).sum(-1) + own_bias
    return F.softplus(torch.cat(others) - positive, threshold=40).mean()


def _places(drawn: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Where in a sample each row's target is; -1 where it is not."""
    place = torch.searchsorted(drawn, targets).clamp(max=len(drawn) - 1)
    return torch.where(drawn[place] == targets, place, -1)


class ItemSampler(nn.Module):
    """Draws different items, those with more weight more often.

    The items lie side by side on a line of length `samples`, those of much weight first, each as
    long as its share of the weight, but none longer than 1. One is drawn in each unit of the line
    (stratified sampling): each sample then has as much of the popular and of the rare as the next
    one, which independent draws have not. An item across two units can be drawn in both, and counts
    once; of equal weights, and nearly as many samples as items, a sample so has a sixth less.

    A draw costs what the sample does, however many items there are.

    Args:
        weights: ``[V - 1]`` of the items ``1 .. V - 1``, above 0, the largest not beyond 1e6 times
            the smallest, which would never be drawn.
        samples: length of the line, ``1 .. V - 1``: the most items that a sample has.

    Attributes:
        always: items that are as long as a unit, and in every sample.
        units: of the line, beside theirs.
    """

    def __init__(self, weights: torch.Tensor, samples: int) -> None:
        super().__init__()
        lengths, order = weights.double().sort(descending=True, stable=True)
        rest = lengths.flip(0).cumsum(0).flip(0)
        # An item fills a unit if its share of the remaining weight, times the remaining units, is
        # at least 1, up to rounding.
        units = samples - torch.arange(len(lengths))
        whole = lengths * units >= rest * (1 - 1e-9)
        self.samples = samples
        self.always = int(whole.cumprod(0).sum())
        self.units = samples - self.always
        lengths, rest = lengths[self.always :], rest[self.always :]
        if self.units:
            lengths = lengths * (self.units / rest[0])
        end = lengths.cumsum(0)
        start = end - lengths
        in_first_unit = torch.minimum(end, start.floor() + 1) - start
        in_next = lengths - in_first_unit
        # Drawn in one of them or in both, each by itself.
        share = in_first_unit + in_next - in_first_unit * in_next
        log_share = torch.cat([torch.zeros(self.always), share.log().float()])
        # The last one ends where the line does, whatever the rounding.
        self.register_buffer("end", end[:-1], persistent=False)
        self.register_buffer("order", order + 1, persistent=False)
        self.register_buffer("log_share", log_share, persistent=False)

    def for_rows(
        self, rows: int, generator: torch.Generator | None = None
    ) -> list[Sample]:
        """Draw as many samples as the rows of a loss need.

        Rows that share a sample share its error, so no more of them share it than there are items
        on its line, or `SHARED_ROWS`: gathering the items then costs little beside the products.
        There are at most `MOST_SAMPLES`, and one if it has every item.

        Args:
            rows: of a loss, at least 1.
            generator: as of :meth:`forward`.

        Returns:
            What :func:`sampled_softmax_loss` takes for them.
        """
        wanted = math.ceil(rows / max(self.samples, SHARED_ROWS))
        parts = min(wanted, MOST_SAMPLES) if self.units else 1
        return [self(generator) for _ in range(parts)]

    def forward(self, generator: torch.Generator | None = None) -> Sample:
        """Draw.

        Args:
            generator: source of randomness, on the sampler's device; None for torch's own.

        Returns:
            ``[S]`` items in ascending order, and ``[S]`` the logarithm of how likely each is in a
            sample.
        """
        device = self.order.device
        within = torch.rand(
            self.units, generator=generator, device=device, dtype=torch.double
        )
        points = torch.arange(self.units, device=device) + within
        found = torch.searchsorted(self.end, points, right=True).unique_consecutive()
        always = torch.arange(self.always, device=device)
        places = torch.cat([always, self.always + found])
        drawn, order = self.order[places].sort()
        return drawn, self.log_share[places[order]]
