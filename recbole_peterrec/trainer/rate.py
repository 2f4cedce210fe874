"""How fast a training is: items a second, and the share of what the machine can reach."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from tqdm import tqdm

ROWS = 1024  # of the product that is timed: its matrices stay in a cache
REPEATS = 20


@functools.cache
def product_rate(device: torch.device, width: int, dtype: torch.dtype) -> float:
    """FLOP a second of a matrix product ``[1024, k] x [k, k]``, the work of a convolution's tap.

    Measured once a process, by the fastest of some repetitions, and told in the log.

    Args:
        device: where.
        width: ``k``.
        dtype: of the matrices.
    """
    left = torch.ones(ROWS, width, device=device, dtype=dtype)
    right = torch.ones(width, width, device=device, dtype=dtype)
    fastest = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        product = left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    rate = 2 * product.numel() * width / fastest
    logging.getLogger().info(
        f"products {width} wide reach {rate / 1e9:.0f} GFLOP/s on {device} in "
        f"{str(dtype).removeprefix('torch.')}: 100 % of what the bars show"
    )
    return rate


class RateBar:
    """A bar of an epoch's rows, with the time left, items a second and the share of the limit.

    Args:
        loader: RecBole's, of training rows.
        lengths: field of the rows' numbers of items.
        flops: of training on an item; None leaves out the share.
        limit: FLOP a second that the machine reaches; None leaves out the share.
        show: whether there is a bar at all.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        lengths: str,
        flops: float | None,
        limit: float | None,
        show: bool,
    ) -> None:
        self.loader, self.lengths = loader, lengths
        self.share = flops / limit if flops and limit else None
        self.show = show

    def __iter__(self) -> Iterator[Any]:
        """The loader's batches."""
        if not self.show:
            yield from self.loader
            return
        items, start = 0, time.perf_counter()
        bar = tqdm(total=len(self.loader.dataset), desc="rows", unit="row", leave=False)
        with bar:
            for batch in self.loader:
                yield batch
                bar.update(len(batch))
                if self.lengths in batch:
                    items += int(batch[self.lengths].sum())
                    bar.set_postfix_str(
                        self._told(items / (time.perf_counter() - start)), refresh=False
                    )

    def _told(self, rate: float) -> str:
        told = f"{rate:,.0f} items/s"
        if self.share is not None:
            told += f", {self.share * rate:.0%} of the machine's products"
        return told
