"""What processes tell one another; a process on its own hears itself.

Every process must come to each of these, in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from recbole_peterrec.distributed.group import exchanging, size
from recbole_peterrec.errors import TrainingError


def barrier() -> None:
    """Wait until all processes have come here."""
    gather(torch.zeros(1))


def gather(values: torch.Tensor) -> list[torch.Tensor]:
    """What each process has, in the order of their ranks; as :func:`gather_rows`."""
    return gather_rows(values)[0]


def gather_rows(*tables: torch.Tensor) -> list[list[torch.Tensor]]:
    """Of each table, what each process has, in the order of their ranks.

    Args:
        tables: ``[N, ...]``; N, the same for all, may differ between processes, all else may not.
    """
    if size() == 1:
        return [[table] for table in tables]
    with exchanging():
        # On the CPU, so by gloo: it finds a process that has gone, which nccl would wait for.
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(size())]
        dist.all_gather(lengths, torch.tensor([len(tables[0])]))
        longest = int(max(lengths))
        gathered = []
        for table in tables:
            padded = table.new_zeros(longest, *table.shape[1:])
            padded[: len(table)] = table
            found = [torch.empty_like(padded) for _ in lengths]
            dist.all_gather(found, padded)
            gathered.append([f[:n] for f, n in zip(found, lengths, strict=True)])
    return gathered


def gather_bytes(content: bytes) -> list[bytes]:
    """Bytes of each process."""
    own = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return [found.numpy().tobytes() for found in gather(own)]


def gather_plain(value: Any) -> list[Any]:
    """Plain data (as JSON has it) of each process."""
    found = gather_bytes(json.dumps(value).encode())
    return [json.loads(text) for text in found]


def of_first(value: Any) -> Any:
    """The first process's plain data."""
    return gather_plain(value)[0]


def take_first(table: torch.Tensor, what: str) -> None:
    """Give a table, which lies in the CPU's memory, the first process's values, in place.

    Raises:
        TrainingError: the table of a process, which is told as `what`, has another size.
    """
    if size() > 1:
        require_agreement(f"the size of {what}", lambda: str(tuple(table.shape)))
        with exchanging():
            dist.broadcast(table, src=0)


def total(value: float) -> float:
    """Sum over processes, the same in all to the last bit."""
    return sum(gather_plain(value))


def require_agreement(what: str, digest: Callable[[], str]) -> None:
    """Stop unless all processes have the same.

    Args:
        what: is compared, for the message.
        digest: makes this process's digest of it; not called where there is but one.

    Raises:
        TrainingError: they differ.
    """
    if size() == 1:
        return
    digests = gather_plain(digest())
    others = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if others:
        raise TrainingError(
            f"{what} of process {others[0]} differs from that of process 0; the processes need "
            f"the same program, data and kind of machine"
        )
