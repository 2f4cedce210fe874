"""Softmax cross entropy over large vocabularies, without a matrix of all logits.

The naive loss holds several matrices ``[N, V]``. Here logits exist one tile at a time,
in a buffer that a cache holds, and each gradient is made from tiles as well.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from recbole_peterrec.nn.column_tiles import ColumnTiles
from recbole_peterrec.nn.precision import add_product, as_autocast
from recbole_peterrec.nn.tiles import UNITS, slices, tile_elements

NAIVE_ELEMENTS = 2**16  # up to so many logits, torch's own loss is faster
# Tiles of whole rows save one product of four. They may be as large as a level-3 cache (on a CPU;
# elsewhere as large as other tiles), and each adds to the gradient of every weight, so too few rows
# cost more than that.
WHOLE_ROWS_ELEMENTS = 2**22
FEWEST_ROWS, MOST_ROWS = 64, 128


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """``cross_entropy(hidden @ weight.T + bias, targets)``, exact, tile by tile.

    Under autocast the products are in its type; sums and exponentials stay in that of
    the bias.

    Args:
        hidden: ``[N, k]``, N at least 1.
        weight: ``[V, k]`` classification layer.
        bias: ``[V]``.
        targets: ``[N]`` items.

    Returns:
        Mean loss over the rows, a scalar.
    """
    items = len(weight)
    if len(hidden) * items <= NAIVE_ELEMENTS:
        return F.cross_entropy(F.linear(hidden, weight, bias).to(bias.dtype), targets)
    hidden, weight = as_autocast(hidden), as_autocast(weight)
    height = _whole_rows(hidden, items)
    if height:
        learns = torch.is_grad_enabled()
        return _RowTiles.apply(hidden, weight, bias, targets, height, learns)
    return ColumnTiles.apply(hidden, weight, bias, targets, False).mean()


def _whole_rows(hidden: torch.Tensor, items: int) -> int:
    """Rows of a tile that holds whole ones; 0 where tiles of columns are faster."""
    fitting = max(WHOLE_ROWS_ELEMENTS, tile_elements(hidden)) // items
    # Measured on a CPU: 128 rows pay at any width, 64 up to 128 channels.
    if fitting < min(max(FEWEST_ROWS, hidden.shape[1] // 2), MOST_ROWS):
        return 0
    return max(min(fitting, MOST_ROWS), tile_elements(hidden) // items)


class _RowTiles(torch.autograd.Function):
    """The mean loss, and in the same pass its gradients: no logit is computed twice.

    Tiles hold `height` whole rows of logits, which is too much for a large vocabulary.
    Without `learns`, no gradient is made.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, height, learns):
        rows, items = len(hidden), len(weight)
        grads = [
            torch.zeros_like(x, dtype=bias.dtype) if learns and needed else None
            for x, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3])
        ]
        grad_hidden, grad_weight, grad_bias = grads
        buffer = bias.new_empty(min(height, rows), items)
        loss, base = bias.new_zeros(()), bias * UNITS
        for some in slices(rows, height):
            state, target = hidden[some], targets[some, None]
            tile = buffer[: len(state)].copy_(base)
            add_product(tile, state, weight.t(), UNITS)
            own = tile.gather(1, target)
            highest = tile.amax(1, keepdim=True)
            total = tile.sub_(highest).exp2_().sum(1, keepdim=True)
            loss += (highest - own + total.log2()).sum()
            if not learns:
                continue
            # Rows are scaled outside the tile, which saves a pass over it.
            scale = 1 / (rows * total)
            error = tile.scatter_add_(1, target, -total).to(hidden.dtype)
            if grad_hidden is not None:
                add_product(grad_hidden[some], error, weight)
                grad_hidden[some] *= scale
            if grad_weight is not None:
                add_product(grad_weight, error.t(), (state * scale).to(state.dtype))
            if grad_bias is not None:
                grad_bias.addmv_(tile.t(), scale.squeeze(1))
        ctx.save_for_backward(*grads)
        ctx.dtype = hidden.dtype
        return loss / (rows * UNITS)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        hidden, weight, bias = (
            None if made is None else made * grad for made in ctx.saved_tensors
        )
        return (
            None if hidden is None else hidden.to(ctx.dtype),
            None if weight is None else weight.to(ctx.dtype),
            bias,
            None,
            None,
            None,
        )
