"""Softmax cross entropy over a sample of the items, whose cost is the sample's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from recbole_peterrec.nn.column_tiles import ColumnTiles
from recbole_peterrec.nn.precision import as_autocast
from recbole_peterrec.nn.table_rows import rows_of


def sampled_softmax_loss(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    drawn: torch.Tensor,
    log_share: torch.Tensor,
    sparse: bool = False,
) -> torch.Tensor:
    """Softmax cross entropy over each row's target and a sample that all rows share.

    A row's own target is left out of its negatives. The exponential of each negative is divided by
    how likely it is in a sample (Horvitz and Thompson, 1952), so that their sum is in expectation
    the full softmax's. Conure pretrains with a sampled softmax of 20 % of the items (section 6.1).

    Args:
        hidden: ``[N, k]``, N at least 1.
        targets: ``[N]`` item ids in ``1 .. V - 1``.
        weight: ``[V, k]`` classification layer; row 0 is padding.
        bias: ``[V]``.
        drawn: ``[S]`` different items in ascending order, at least one.
        log_share: ``[S]`` logarithm of how likely a sample has each of them.
        sparse: whether `weight` and `bias` get sparse gradients, of the touched rows
            only, for an optimiser that takes them. Nothing of size V is made then.

    Returns:
        Mean loss over the rows, a scalar.
    """
    samples = len(drawn)
    place = torch.searchsorted(drawn, targets).clamp(max=samples - 1)
    place = torch.where(drawn[place] == targets, place, -1)

    chosen = torch.cat([drawn, targets])
    weights = rows_of(weight, chosen, sparse)
    biases = rows_of(bias, chosen, sparse)
    positive = (hidden * weights[samples:]).sum(-1) + biases[samples:]
    others = ColumnTiles.apply(
        as_autocast(hidden),
        as_autocast(weights[:samples]),
        biases[:samples] - log_share,
        place,
        True,
    )
    return F.softplus(others - positive, threshold=40).mean()


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
        self.always = int(whole.cumprod(0).sum())
        self.units = samples - self.always
        lengths, rest = lengths[self.always :], rest[self.always :]
        if self.units:
            lengths = lengths * (self.units / rest[0])
        end = lengths.cumsum(0)
        start = end - lengths
        in_first_unit = torch.minimum(end, start.floor() + 1) - start
        in_next = lengths - in_first_unit
        share = in_first_unit + in_next - in_first_unit * in_next
        log_share = torch.cat([torch.zeros(self.always), share.log().float()])
        # The last one ends where the line does, whatever the rounding.
        self.register_buffer("end", end[:-1], persistent=False)
        self.register_buffer("order", order + 1, persistent=False)
        self.register_buffer("log_share", log_share, persistent=False)

    def forward(
        self, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
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
