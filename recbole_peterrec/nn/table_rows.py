"""Rows of a table, whose gradients are added in the same order each time.

Torch's own ``table[rows]`` adds those of repeated rows in any order: with atomics on a GPU, and on
a CPU with several threads.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable


def rows_of(
    table: torch.Tensor, rows: torch.Tensor, sparse: bool = False
) -> torch.Tensor:
    """``table[rows]``.

    Args:
        table: ``[V]`` or ``[V, k]``.
        rows: ``[N]``; they may repeat.
        sparse: whether the table gets a sparse gradient, of the touched rows only.

    Returns:
        ``[N]`` or ``[N, k]``.
    """
    return _Rows.apply(table, rows, sparse)


def add_rows(
    table: torch.Tensor, rows: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """``table[rows] += values``, rows that repeat included, in the same order each time."""
    if table.device.type == "cpu":
        return table.index_add_(0, rows, values)
    return table.index_put_((rows,), values, accumulate=True)  # sorts; atomics do not


class _Rows(torch.autograd.Function):
    """``table[rows]``, with the table's gradient dense or sparse."""

    @staticmethod
    def forward(ctx, table, rows, sparse):
        ctx.save_for_backward(rows)
        ctx.shape, ctx.sparse = table.shape, sparse
        return table.index_select(0, rows)  # on CPUs, faster than table[rows]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (rows,) = ctx.saved_tensors
        if ctx.sparse:
            grad = torch.sparse_coo_tensor(
                rows[None], grad, ctx.shape, check_invariants=False
            )
        else:
            grad = add_rows(grad.new_zeros(ctx.shape), rows, grad)
        return grad, None, None
