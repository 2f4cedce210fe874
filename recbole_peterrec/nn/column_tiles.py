"""Sums over all columns of a matrix of logits that is never there."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from recbole_peterrec.nn.precision import add_product
from recbole_peterrec.nn.table_rows import add_rows
from recbole_peterrec.nn.tiles import UNITS, tiles


class ColumnTiles(torch.autograd.Function):
    """Rows' losses in a sum over columns; the backward pass computes the logits again.

    `columns` is ``[N]``. Each row gives ``logsumexp(logits) - logits[column]``, or with
    `exclude` the ``logsumexp`` of its other columns, of all where its column is -1.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, columns, exclude):
        rows = len(hidden)
        # Not -inf, whose differences are no numbers.
        lowest = torch.finfo(bias.dtype).min
        highest = bias.new_full((rows, 1), lowest)
        total, base = bias.new_zeros(rows, 1), bias * UNITS
        for some, block, tile in tiles(hidden, weight, bias):
            tile.copy_(base[block])
            add_product(tile, hidden[some], weight[block].t(), UNITS)
            if exclude:
                _leave_out(tile, columns[some], block)
            now = torch.maximum(highest[some], tile.amax(1, keepdim=True))
            total[some] *= (highest[some] - now).exp2_()
            total[some] += tile.sub_(now).exp2_().sum(1, keepdim=True)
            highest[some] = now
        ctx.save_for_backward(hidden, weight, bias, columns, highest, total)
        ctx.exclude = exclude
        sums = ((highest + total.log2()) / UNITS).squeeze(1)
        if exclude:
            return sums
        own = (hidden.to(bias.dtype) * weight[columns]).sum(-1) + bias[columns]
        return sums - own

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        hidden, weight, bias, columns, highest, total = ctx.saved_tensors
        grad_hidden = torch.zeros_like(hidden, dtype=bias.dtype)
        grad_weight = torch.zeros_like(weight, dtype=bias.dtype)
        grad_bias = torch.zeros_like(bias)
        # Rows are scaled outside the tiles: the states in the weight's gradient, the
        # products in the states'. A row without any other column has a sum of 0, and no gradient.
        sums = total.squeeze(1)
        scale = torch.where(sums > 0, grad / sums, 0)
        scaled = (hidden * scale[:, None]).to(hidden.dtype)
        base = bias * UNITS
        for some, block, tile in tiles(hidden, weight, bias):
            # As in the forward pass to the bit, so that of huge logits the largest cancels.
            tile.copy_(base[block])
            add_product(tile, hidden[some], weight[block].t(), UNITS)
            if ctx.exclude:
                _leave_out(tile, columns[some], block)
            share = tile.sub_(highest[some]).exp2_().to(hidden.dtype)
            add_product(grad_hidden[some], share, weight[block])
            add_product(grad_weight[block], share.t(), scaled[some])
            grad_bias[block] += scale[some] @ tile
        grad_hidden *= scale[:, None]
        if not ctx.exclude:
            grad_hidden -= weight[columns] * grad[:, None]
            add_rows(grad_weight, columns, -(hidden * grad[:, None]).to(bias.dtype))
            add_rows(grad_bias, columns, -grad)
        return (
            grad_hidden.to(hidden.dtype),
            grad_weight.to(weight.dtype),
            grad_bias,
            None,
            None,
        )


def _leave_out(tile: torch.Tensor, columns: torch.Tensor, block: slice) -> None:
    """Set each row's own column, where it is in this block of columns, to ``-inf``.

    Other rows write back what they read: looking for those that have one would make a GPU wait.
    """
    inside = (columns >= block.start) & (columns < block.stop)
    place = torch.where(inside, columns - block.start, 0).unsqueeze(1)
    here = tile.gather(1, place).masked_fill_(inside.unsqueeze(1), -torch.inf)
    tile.scatter_(1, place, here)
