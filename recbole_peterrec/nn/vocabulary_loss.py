"""Softmax cross entropy over large vocabularies, without a matrix of all logits.

The naive loss holds several matrices ``[N, V]``. Here logits exist one tile at a time,
in a buffer that stays in the cache, and each gradient is made from tiles as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from recbole_peterrec.nn.precision import add_product, as_autocast

# Measured on CPUs with 2 MiB of level-2 cache a core; a GPU needs larger products.
TILE_ELEMENTS = {"cpu": 2**18}
TILE_ELEMENTS_ELSEWHERE = 2**25
NAIVE_ELEMENTS = 2**16  # up to so many logits, torch's own loss is faster
WHOLE_ROWS = 2**15  # up to so many items, tiles of whole rows save one product
FEWEST_ROWS = 128
MOST_ROWS = 2048
FEWEST_COLUMNS = 256
# Tiles hold logits in units of log 2: on CPUs torch's exp2 takes a third of its exp's time.
UNITS = 1 / math.log(2)


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
    if items <= WHOLE_ROWS:
        learns = torch.is_grad_enabled()
        return _RowTiles.apply(hidden, weight, bias, targets, learns)
    return _ColumnTiles.apply(hidden, weight, bias, targets, False).mean()


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
    softmax's, which makes the loss's expected partition function exact. Both papers
    pretrain so, with 20 % of the items.

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
    weights = _Rows.apply(weight, chosen, sparse)
    biases = _Rows.apply(bias, chosen, sparse)
    positive = (hidden * weights[samples:]).sum(-1) + biases[samples:]
    others = _ColumnTiles.apply(
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
            grad = _add_rows(grad.new_zeros(ctx.shape), rows, grad)
        return grad, None, None


class _RowTiles(torch.autograd.Function):
    """The mean loss, and in the same pass its gradients: no logit is computed twice.

    Tiles hold whole rows of logits, which is too much for a large vocabulary. Without
    `learns`, no gradient is made.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, learns):
        rows, items = len(hidden), len(weight)
        grads = [
            torch.zeros_like(x, dtype=bias.dtype) if learns and needed else None
            for x, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3])
        ]
        grad_hidden, grad_weight, grad_bias = grads
        height = max(FEWEST_ROWS, _tile_elements(hidden) // items)
        buffer = bias.new_empty(min(height, rows), items)
        loss, base = bias.new_zeros(()), bias * UNITS
        for some in _slices(rows, height):
            state, target = hidden[some], targets[some, None]
            tile = buffer[: len(state)].copy_(base)
            add_product(tile, state, weight.t(), UNITS)
            own = tile.gather(1, target)
            highest = tile.amax(1, keepdim=True)
            total = tile.sub_(highest).exp2_().sum(1, keepdim=True)
            loss += (highest + total.log2() - own).sum()
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
        )


class _ColumnTiles(torch.autograd.Function):
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
        for some, block, tile in _tiles(hidden, weight, bias):
            tile.copy_(base[block])
            add_product(tile, hidden[some], weight[block].t(), UNITS)
            if exclude:
                _leave_out(tile, columns[some], block)
            now = torch.maximum(highest[some], tile.amax(1, keepdim=True))
            total[some] *= (highest[some] - now).exp2_()
            total[some] += tile.sub_(now).exp2_().sum(1, keepdim=True)
            highest[some] = now
        sums = highest + total.log2()
        ctx.save_for_backward(hidden, weight, bias, columns, sums)
        ctx.exclude, sums = exclude, sums / UNITS
        if exclude:
            return sums.squeeze(1)
        own = (hidden.to(bias.dtype) * weight[columns]).sum(-1) + bias[columns]
        return sums.squeeze(1) - own

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        hidden, weight, bias, columns, sums = ctx.saved_tensors
        grad_hidden = torch.zeros_like(hidden, dtype=bias.dtype)
        grad_weight = torch.zeros_like(weight, dtype=bias.dtype)
        grad_bias = torch.zeros_like(bias)
        # Rows are scaled outside the tiles: the states in the weight's gradient, the
        # products in the states'.
        scaled = (hidden * grad[:, None]).to(hidden.dtype)
        base = bias * UNITS
        for some, block, tile in _tiles(hidden, weight, bias):
            torch.sub(base[block], sums[some], out=tile)
            add_product(tile, hidden[some], weight[block].t(), UNITS)
            if ctx.exclude:
                _leave_out(tile, columns[some], block)
            share = tile.exp2_().to(hidden.dtype)
            add_product(grad_hidden[some], share, weight[block])
            add_product(grad_weight[block], share.t(), scaled[some])
            grad_bias[block] += grad[some] @ tile
        grad_hidden *= grad[:, None]
        if not ctx.exclude:
            grad_hidden -= weight[columns] * grad[:, None]
            _add_rows(grad_weight, columns, -scaled.to(bias.dtype))
            _add_rows(grad_bias, columns, -grad)
        return (
            grad_hidden.to(hidden.dtype),
            grad_weight.to(weight.dtype),
            grad_bias,
            None,
            None,
        )


def _tile_elements(x: torch.Tensor) -> int:
    return TILE_ELEMENTS.get(x.device.type, TILE_ELEMENTS_ELSEWHERE)


def _slices(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _tiles(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Rows, columns and a buffer for the logits of each tile, columns outermost."""
    height = max(1, min(len(hidden), MOST_ROWS))
    width = max(FEWEST_COLUMNS, _tile_elements(hidden) // height)
    buffer = bias.new_empty(height * min(width, len(weight)))
    for block in _slices(len(weight), width):
        for some in _slices(len(hidden), height):
            shape = some.stop - some.start, block.stop - block.start
            yield some, block, buffer[: shape[0] * shape[1]].view(shape)


def _add_rows(
    table: torch.Tensor, rows: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """``table[rows] += values``, rows that repeat included, in the same order each time."""
    if table.device.type == "cpu":
        return table.index_add_(0, rows, values)
    return table.index_put_((rows,), values, accumulate=True)  # sorts; atomics do not


def _leave_out(tile: torch.Tensor, columns: torch.Tensor, block: slice) -> None:
    """Set each row's own column, where it is in this block of columns, to ``-inf``.

    Other rows write back what they read: looking for those that have one would make a GPU wait.
    """
    inside = (columns >= block.start) & (columns < block.stop)
    place = torch.where(inside, columns - block.start, 0).unsqueeze(1)
    here = tile.gather(1, place).masked_fill_(inside.unsqueeze(1), -torch.inf)
    tile.scatter_(1, place, here)
