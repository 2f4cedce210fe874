"""Measure the project's speed and memory against its targets, and write a report.

    python tests/benchmarks/run.py              # all rows, about six minutes
    python tests/benchmarks/run.py block exact  # some of them
    python tests/benchmarks/run.py best         # 45 minutes, so only when it is named
    python tests/benchmarks/run.py compile      # what compile: true gains, minutes
    python tests/benchmarks/run.py device       # shares of bf16; by itself where there is a GPU

Contestants of a row run in turn in one process; ratios are those of medians. Each name
has a process of its own, since what ran before changes how memory is handed out.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from measure import Row
from report import machine, write_report
from targets import NAMED, TARGETS

KNOWN = TARGETS | NAMED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(TARGETS)}; only when named: best (45 minutes), compile "
        f"(minutes), device (with a GPU it is one of all)",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/targets"))
    args = parser.parse_args()
    unknown = set(args.names) - set(KNOWN)
    if unknown:
        parser.error(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}"
        )
    names = args.names or [*TARGETS, *(["device"] if torch.cuda.is_available() else [])]
    torch.set_num_threads(args.threads)
    caption = f"Measured against the targets; {machine()}"
    rows = []
    for name in names:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            measured = pool.submit(measure_one, name, args.threads).result()
        rows += [{"name": name, **row.record()} for row in measured]
        write_report(args.out, rows, caption)


def measure_one(name: str, threads: int) -> list[Row]:
    """The rows of a name, in the process that calls this."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    return KNOWN[name]()


if __name__ == "__main__":
    main()
