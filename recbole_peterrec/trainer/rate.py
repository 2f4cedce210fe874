"""How fast a training is: items a second, and the share of what the machine can reach."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from tqdm import tqdm

from recbole_peterrec.distributed import group

# Rows of the product that is timed: on a CPU its matrices stay in a cache.
ROWS = {"cpu": 1024}
ROWS_ELSEWHERE = 2**17  # a GPU needs larger products
REPEATS, AT_ONCE = 10, 4


@functools.cache
def product_rate(device: torch.device, width: int, dtype: torch.dtype) -> float:
    """FLOP a second of a matrix product ``[rows, k] x [k, k]``, the work of a convolution's tap.

    Measured once a process, by the fastest of some repetitions.
    """
    rows = ROWS.get(device.type, ROWS_ELSEWHERE)
    left = torch.ones(rows, width, device=device, dtype=dtype)
    right = torch.ones(width, width, device=device, dtype=dtype)
    product = left @ right
    fastest = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(AT_ONCE):
            torch.mm(left, right, out=product)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * AT_ONCE * product.numel() * width / fastest


@functools.cache
def told_limit(
    device: torch.device, width: int, dtype: torch.dtype, run: str | None = None
) -> float:
    """:func:`product_rate`, told in the log once a run: the bars show their share of it.

    Args:
        device, width, dtype: as of :func:`product_rate`.
        run: whose log it is.
    """
    rate = product_rate(device, width, dtype)
    logging.getLogger().info(
        f"GEMM, {width} wide, {str(dtype).removeprefix('torch.')} on {device}: "
        f"{rate / 1e9:.0f} GFLOP/s, 100 % of what the bars show"
    )
    return rate


def bf16_gain(device: torch.device, width: int) -> float:
    """How many times as fast products are in bfloat16 as in float32, as :func:`product_rate` has it.

    Below 1 on CPUs that have instructions for bfloat16, but none on tiles (AMX).
    """
    in_bf16, in_float = (
        product_rate(device, width, dtype) for dtype in (torch.bfloat16, torch.float32)
    )
    return in_bf16 / in_float


class RateBar:
    """A bar of rows: how many are left, the time that they take, items a second, and the share of
    the machine's limit.

    Args:
        loader: RecBole's, of the rows; with several processes, they are shared.
        told: what is done with the rows.
        lengths: field of the rows' numbers of items.
        flops: FLOP of a step on a batch; None leaves out the share.
        limit: FLOP a second that the machine reaches.
    """

    def __init__(
        self,
        loader: Any,
        told: str,
        lengths: str,
        flops: Callable[[Any], float] | None = None,
        limit: float = 0.0,
    ) -> None:
        self.lengths, self.flops, self.limit = lengths, flops, limit
        self.items, self.work, self.start = 0, 0.0, time.perf_counter()
        self.times = getattr(loader, "times", 1)  # a row is there for each negative
        rows = len(loader.dataset) // group.size()
        self.bar = tqdm(total=rows, desc=told, unit="row", leave=False)

    def add(self, batch: Any) -> None:
        """A batch of rows is done."""
        self.bar.update(len(batch) // self.times)
        if self.lengths not in batch:  # made once a user, not gathered any more
            return
        self.items += int(batch[self.lengths].sum())
        seconds = time.perf_counter() - self.start
        told = f"{self.items / seconds:,.0f} items/s"
        if self.flops is not None:
            self.work += self.flops(batch)
            told += f", {self.work / seconds / self.limit:.0%} of GEMM"
        self.bar.set_postfix_str(told, refresh=False)

    def close(self) -> None:
        """Take it away."""
        self.bar.close()


def with_rate(loader: Iterable[Any], bar: RateBar) -> Iterator[Any]:
    """An epoch's batches, each of which has moved the bar when the next one is asked for."""
    with contextlib.closing(bar):
        for batch in loader:
            yield batch
            bar.add(batch)
