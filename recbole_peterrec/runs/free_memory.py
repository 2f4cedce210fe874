"""What is free of the memory of a device."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from recbole_peterrec.distributed import exchange, group

# Names of files below a control group, by the version of Linux's control groups: the limit, what is
# used, and in memory.stat what of that the system takes back where it must: files' pages, and what
# the kernel keeps of names (version 1 does not tell it).
GROUP_FILES = {
    1: (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
    2: (
        "memory.max",
        "memory.current",
        ("inactive_file", "active_file", "slab_reclaimable"),
    ),
}
GROUPS = {1: Path("/sys/fs/cgroup/memory"), 2: Path("/sys/fs/cgroup")}
MEMBERSHIP = Path("/proc/self/cgroup")


def available_memory(device: torch.device, alone: bool = False) -> int:
    """Bytes that are free on a device now, for this one of the processes that share it.

    On a CPU, the least of what the machine has free, what the limits of this process's control
    groups (a container's) leave, and what is left of its own address space (``ulimit -v``). Where
    several processes are at work, all measure before any goes on, and all hear the least.

    Args:
        device: it.
        alone: for one process while the others wait.
    """
    exchange.barrier()
    if device.type == "cuda":
        free = _free_of_gpu(device)
    else:
        member = group.member()
        free = _free_of_machine(member.local_size if member and not alone else 1)
    return min(exchange.gather_plain(free))


def _free_of_gpu(device: torch.device) -> int:
    # torch keeps what an earlier stage has freed
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def _free_of_machine(sharing: int) -> int:
    free = min([psutil.virtual_memory().available, *_left_in_groups()]) // sharing
    return min([free, *_left_in_address_space()])


def _left_in_groups() -> Iterator[int]:
    """What the limits of the control groups that this process is in, and those above them, leave;
    nothing where there are none, or they cannot be read."""
    lines = []
    with contextlib.suppress(OSError):
        lines = os.fsdecode(MEMBERSHIP.read_bytes()).splitlines()
    for line in lines:
        _, controllers, path = (line + "::").split(":", 2)
        if "memory" in controllers.split(","):
            yield from _left_below(1, path.removesuffix("::"))
        elif not controllers:
            yield from _left_below(2, path.removesuffix("::"))


def _left_below(version: int, path: str) -> Iterator[int]:
    limit, usage, pages = GROUP_FILES[version]
    top = GROUPS[version]
    place = top / path.lstrip("/")
    # In a container its own group may be the top, and the path one that only the host has.
    for folder in (place, *place.parents):
        if folder.is_relative_to(top):
            # Not there, or "max", which is no number: no limit.
            with contextlib.suppress(OSError, ValueError):
                stat = dict(
                    line.split()
                    for line in (folder / "memory.stat").read_text().splitlines()
                )
                used = int((folder / usage).read_text())
                taken_back = sum(int(stat.get(page, 0)) for page in pages)
                yield max(0, int((folder / limit).read_text()) - used + taken_back)


def _left_in_address_space() -> Iterator[int]:
    """What a limit of this process's address space leaves; nothing where there is none."""
    if hasattr(psutil, "RLIMIT_AS"):  # of Linux alone
        process = psutil.Process()
        with contextlib.suppress(psutil.Error):  # a sandbox may not tell
            limit, _ = process.rlimit(psutil.RLIMIT_AS)
            if limit != psutil.RLIM_INFINITY:
                yield max(0, limit - process.memory_info().vms)
