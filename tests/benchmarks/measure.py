"""Side-by-side times, peak memory, and the rows of the table of targets."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recbole_peterrec.process import MALLOC

CPU = torch.device("cpu")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's mallopt
MALLOC_DEFAULTS = {M_TRIM_THRESHOLD: 2**17, M_MMAP_THRESHOLD: 2**17, M_MMAP_MAX: 2**16}


@dataclass(frozen=True)
class Row:
    """One figure against its target.

    Attributes:
        what: what was measured.
        value: the figure, mostly a ratio.
        target: what it should reach; None if nothing was set.
        at_most: whether it should stay below the target instead.
        note: absolute values, and anything that a reader of the ratio must know.
    """

    what: str
    value: float
    target: float | None = None
    at_most: bool = False
    note: str = ""

    def record(self) -> dict[str, Any]:
        """Plain data for the report."""
        return {
            "what": self.what,
            "measured": f"{self.value:.3g}",
            "target": self._sought(),
            "verdict": self._verdict(),
            "note": self.note,
        }

    def _sought(self) -> str:
        if self.target is None:
            return "-"
        return f"{'≤' if self.at_most else '≥'} {self.target:g}"

    def _verdict(self) -> str:
        if self.target is None:
            return "-"
        met = self.value <= self.target if self.at_most else self.value >= self.target
        return "met" if met else "missed"


def medians(repeats: int, **contestants: Callable[[], Any]) -> dict[str, float]:
    """Median seconds of functions called in turn; the first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, function in contestants.items():
            start = time.perf_counter()
            function()
            wait_for_gpu()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def wait_for_gpu() -> None:
    """Until all that was begun on a GPU has ended; nothing where none was used."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def milliseconds(times: dict[str, float]) -> str:
    """The medians as a note."""
    return ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in times.items())


def peak_bytes(function: Callable[[], Any], device: torch.device = CPU) -> int:
    """Most memory that a call has beyond what was there before it, of a GPU or (Linux only)
    of the process."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before = memory("VmRSS")
    function()
    return memory("VmHWM") - before


def memory(key: str) -> int:
    """Bytes that this process has (VmRSS), or has had at most (VmHWM); Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(f"/proc/self/status has no {key}")


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """glibc keeps freed memory instead of giving it back, as a tuned process does.

    By default it maps and clears large tensors anew each time, which is half of what a
    naive loss costs on a CPU.
    """
    with _mallopt({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1}):
        yield


@contextlib.contextmanager
def command_memory() -> Iterator[None]:
    """glibc keeps what our command tells it to keep."""
    with _mallopt({parameter: value for parameter, _, value in MALLOC}):
        yield


@contextlib.contextmanager
def _mallopt(values: dict[int, int]) -> Iterator[None]:
    libc = ctypes.CDLL(None)
    for parameter, value in values.items():
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter in values:
            libc.mallopt(parameter, MALLOC_DEFAULTS[parameter])
        libc.malloc_trim(0)
