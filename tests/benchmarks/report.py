"""What the benchmark scripts share: a description of the machine, and the report's files."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate


def machine() -> str:
    """Processor, threads and versions, in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{model}{gpu}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def mean_and_error(values: Sequence[float], digits: int) -> str:
    """Mean and its standard error, which one value does not have; ``-`` of none."""
    if not len(values):
        return "-"
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):.{digits}f} ± {error:.{digits}f}"


def write_report(stem: Path, rows: list[dict[str, Any]], caption: str) -> None:
    """Print the rows as a table and write ``stem.md`` and ``stem.json``."""
    text = tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
    print(f"\n{caption}\n\n{text}", flush=True)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(f"{caption}\n\n{text}\n")
    content = {"caption": caption, "rows": rows}
    stem.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
