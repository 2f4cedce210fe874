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
        own = None if exclude else bias.new_zeros(rows, 1)
        for some, block, tile in tiles(hidden, weight, bias):
            tile.copy_(base[block])
            add_product(tile, hidden[some], weight[block].t(), UNITS)
            inside, place = _where(columns[some], block)
            if exclude:
                _leave_out(tile, inside, place)
            else:  # as rounded as the others of its row
                own[some] = torch.where(inside, tile.gather(1, place), own[some])
            now = torch.maximum(highest[some], tile.amax(1, keepdim=True))
            total[some] *= (highest[some] - now).exp2_()
            total[some] += tile.sub_(now).exp2_().sum(1, keepdim=True)
            highest[some] = now
        ctx.save_for_backward(hidden, weight, bias, columns, highest, total, own)
        # First what is of a size, so that the digits of a small logarithm stay.
        if own is not None:
            highest = highest - own
        return ((highest + total.log2()) / UNITS).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        hidden, weight, bias, columns, highest, total, own = ctx.saved_tensors
        grad_hidden, grad_weight, grad_bias = (
            torch.zeros_like(x, dtype=bias.dtype) if needed else None
            for x, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3])
        )
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
            _leave_out(tile, *_where(columns[some], block))
            share = tile.sub_(highest[some]).exp2_().to(hidden.dtype)
            if grad_hidden is not None:
                add_product(grad_hidden[some], share, weight[block])
            if grad_weight is not None:
                add_product(grad_weight[block], share.t(), scaled[some])
            if grad_bias is not None:
                grad_bias[block] += scale[some] @ tile
        if grad_hidden is not None:
            grad_hidden *= scale[:, None]
        if (
            own is not None
        ):  # what a row's own column gives: nothing, where its share is 1
            own_share = ((own - highest).exp2() / total).squeeze(1)
            of_own = (own_share - 1) * grad
            if grad_hidden is not None:
                grad_hidden += weight[columns] * of_own[:, None]
            if grad_weight is not None:
                add_rows(grad_weight, columns, hidden.to(bias.dtype) * of_own[:, None])
            if grad_bias is not None:
                add_rows(grad_bias, columns, of_own)
        return (
            None if grad_hidden is None else grad_hidden.to(hidden.dtype),
            None if grad_weight is None else grad_weight.to(weight.dtype),
            grad_bias,
            None,
            None,
        )


def _where(columns: torch.Tensor, block: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each row's own column is in a block of columns, and where, or any place; ``[N, 1]``.

    All rows look there: to choose those that have one would make a GPU wait.
    """
    inside = (columns >= block.start) & (columns < block.stop)
    place = torch.where(inside, columns - block.start, 0)
    return inside.unsqueeze(1), place.unsqueeze(1)


def _leave_out(tile: torch.Tensor, inside: torch.Tensor, place: torch.Tensor) -> None:
    """Set each row's own column, where it is in this block, to ``-inf``; others write back what
    they read."""
    here = tile.gather(1, place).masked_fill_(inside, -torch.inf)
    tile.scatter_(1, place, here)
