"""How time and memory grow: users, items, length and tasks are doubled, one at a time.

Each size is a generated set, on which PeterRec pretrains for an epoch and learns each task for
one, in a process of its own. Cost that grows linearly doubles with the size; the exponent is the
slope of a line through the logarithms, 1 for linear growth.

    python tests/benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report import machine, write_report

from recbole_peterrec import run
from recbole_peterrec.data.synthetic import PRESETS, generate

# Large enough that what grows outweighs what does not.
BASE = {"users": 4_000, "items": 4_000, "length": 40, "tasks": 2}
FIELDS = ("gender", "life_status")
PARTS = ("pretraining", "tasks", "memory")


def cost(sizes: dict[str, int], threads: int) -> dict[str, float]:
    """Seconds of pretraining and of the tasks, and MiB beyond what importing took."""
    torch.set_num_threads(threads)
    before = _peak_mib()
    shape = dataclasses.replace(
        PRESETS["small"], **{key: sizes[key] for key in ("users", "items", "length")}
    )
    tasks = [
        {
            "name": f"task{number}",
            "kind": "profile",
            "field": FIELDS[number % len(FIELDS)],
            "MAX_ITEM_LIST_LENGTH": 2 * sizes["length"],
        }
        for number in range(sizes["tasks"])
    ]
    settings = {
        "epochs": 1,
        "tasks": tasks,
        "MAX_ITEM_LIST_LENGTH": 2 * sizes["length"],
        "embedding_size": 64,
        "show_progress": False,
        "state": "ERROR",
        "use_gpu": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, "synthetic", shape, seed=1)
        where = {"data_path": folder, "run_dir": str(Path(folder, "run"))}
        start = time.perf_counter()
        results = run("PeterRec", "synthetic", config_dict=settings | where)["results"]
        seconds = time.perf_counter() - start
    pretraining = results["pretrain"]["seconds"]
    return {
        "pretraining": pretraining,
        "tasks": sum(task["seconds"] for task in results["tasks"].values()),
        "run": seconds,
        "memory": _peak_mib() - before,
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="+", default=list(BASE), choices=BASE)
    parser.add_argument("--doublings", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/growth"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    factors = [2**step for step in range(args.doublings + 1)]
    measured: dict[str, list[dict[str, float]]] = {}
    for axis in args.axes:
        for factor in factors:
            sizes = {**BASE, axis: BASE[axis] * factor}
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                spent = pool.submit(cost, sizes, args.threads).result()
            measured.setdefault(axis, []).append(spent)
        report(args.out, factors, measured)


def report(out: Path, factors: list[int], measured: dict[str, list]) -> None:
    """The table with exponents, and the plot."""
    rows: list[dict[str, Any]] = []
    for axis, costs in measured.items():
        for factor, spent in zip(factors, costs):
            rows.append(
                {
                    "what": axis,
                    "size": f"{BASE[axis] * factor:,}",
                    "pretraining s": f"{spent['pretraining']:.1f}",
                    "tasks s": f"{spent['tasks']:.1f}",
                    "whole run s": f"{spent['run']:.1f}",
                    "memory MiB": f"{spent['memory']:.0f}",
                }
            )
        slope = {
            part: f"exponent {exponent(factors, [c[part] for c in costs]):.2f}"
            for part in (*PARTS, "run")
        }
        rows.append(
            {
                "what": axis,
                "size": "",
                "pretraining s": slope["pretraining"],
                "tasks s": slope["tasks"],
                "whole run s": slope["run"],
                "memory MiB": slope["memory"],
            }
        )
    write_report(out, rows, f"Growth of cost, one size doubled at a time; {machine()}")
    plot(out.with_suffix(".png"), factors, measured)


def exponent(factors: list[int], costs: list[float]) -> float:
    """Slope of the costs' logarithms over the sizes', by least squares."""
    return float(np.polyfit(np.log(factors), np.log(costs), 1)[0])


def plot(path: Path, factors: list[int], measured: dict[str, list]) -> None:
    """A panel a size: costs relative to the smallest, with the line of linear growth."""
    figure = Figure(figsize=(3.2 * len(measured), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for column, (axis, costs) in enumerate(measured.items(), 1):
        axes = figure.add_subplot(1, len(measured), column)
        axes.plot(factors, factors, "k:", label="linear")
        for part in PARTS:
            relative = [spent[part] / costs[0][part] for spent in costs]
            axes.plot(factors, relative, marker="o", label=part)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xlabel(f"{axis} / {BASE[axis]:,}")
        axes.set_ylabel("cost relative to the smallest")
        axes.legend()
    figure.savefig(path, format="png", dpi=100)


if __name__ == "__main__":
    main()
