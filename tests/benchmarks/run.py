"""Measure the project's speed and memory against its targets, and write a report.

    python tests/benchmarks/run.py              # all rows, about ten minutes on one core
    python tests/benchmarks/run.py block exact  # some of them

Contestants of a row run in turn in one process; ratios are those of medians.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import torch
from report import machine, write_report
from targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/targets"))
    args = parser.parse_args()
    unknown = set(args.names) - set(TARGETS)
    if unknown:
        parser.error(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}"
        )
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    rows = []
    for name in args.names or TARGETS:
        rows += [{"name": name, **row.record()} for row in TARGETS[name]()]
        write_report(args.out, rows, f"Measured against the targets; {machine()}")


if __name__ == "__main__":
    main()
