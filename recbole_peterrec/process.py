"""What the command knows of its own process, and sets for it and those that it starts, before torch
is imported."""

from __future__ import annotations

import ctypes
import os
import sys

# What torchrun, and launchers like it, tell each process.
LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SPINS = 3000
# Of glibc's mallopt: which parameter, the variable that sets it where a process starts, and its
# value in bytes. Tensors up to the largest threshold that glibc takes come from the heap, whose
# end is given back where more than the other is free.
MALLOC = (
    (-3, "MALLOC_MMAP_THRESHOLD_", 2**25),
    (-1, "MALLOC_TRIM_THRESHOLD_", 2**30),
)


def started_by_launcher() -> bool:
    """Whether torchrun, or a launcher like it, has started this process beside others."""
    told = [os.environ.get(name) for name in LAUNCHED]
    return all(told) and told[1] != "1"


def tells() -> bool:
    """Whether this process is the one of a launcher's that tells what all have met."""
    return not started_by_launcher() or os.environ["RANK"] == "0"


def bound_spinning() -> None:
    """Tell OpenMP, which reads it when torch is imported, to spin only shortly.

    Threads that spin while they wait for each other keep the one that they wait for from its CPU
    when another job wants that too: a run then takes up to nine times as long. Some microseconds of
    it cost nothing either way; threads that sleep at once take a sixth longer on a quiet machine.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def keep_memory() -> None:
    """Tell glibc to keep what a training step frees for the next one.

    By default it gives the heap's end back and has it cleared anew, page by page, in each step:
    some 50 MB and a sixth of the time of a patch's step, a tenth of Conure's CPU time.
    """
    own = [variable for _, variable, _ in MALLOC]
    if any(variable in os.environ for variable in ("GLIBC_TUNABLES", *own)):
        return
    mallopt = None
    if sys.platform == "linux":  # another C library has none
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, variable, value in MALLOC:
        mallopt(parameter, value)
        os.environ[variable] = str(value)
