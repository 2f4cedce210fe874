"""The Conure paper's comparisons on the synthetic set, over several seeds, with paired t-tests.

A generated set is learned by every model with the same splits of a seed. What is pretrained is
pretrained once a seed and given to all that start from it.

    python tests/benchmarks/continual.py --seeds 1 2 3 4 5
    python tests/benchmarks/continual.py --preset tiny --seeds 1 2 --models Conure PeterRec
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, write_report
from scipy.stats import ttest_rel

from recbole_peterrec import run
from recbole_peterrec.data.synthetic import PRESETS, generate

MODELS = (
    "PeterRec",
    "STL",
    "FineSmax",
    "SinMo",
    "Conure",
    "Conure_noT2",
    "Unprotected",
)
FROM_BACKBONE = ("STL", "FineSmax", "Unprotected")
BEFORE = "Conure-"
# Claims of the papers: the first is at least as good as the second, on a task or on all.
CLAIMS = (
    ("PeterRec", "SinMo", None),
    ("PeterRec", "STL", None),
    (BEFORE, "PeterRec", "like"),
    (BEFORE, "Conure_noT2-", "like"),
    ("Conure", BEFORE, None),
    ("PeterRec", "FineSmax", None),
)


def learn(model: str, settings: dict[str, Any], tasks: list[dict]) -> dict[str, Any]:
    """One run; ``Conure_noT2`` leaves out the task before ``like``."""
    if model == "Conure_noT2":
        tasks = [task for task in tasks if task["name"] == "like"]
    name = model.partition("_")[0]
    return run(name, "synthetic", config_dict=settings | {"tasks": tasks})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--data", type=Path, default=Path("saved/benchmarks/data"))
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/continual"))
    args = parser.parse_args()

    folder = args.data / args.preset
    if not folder.exists():
        generate(folder, "synthetic", PRESETS[args.preset], seed=2020)
    tasks = [
        {"name": "click", "kind": "recommendation", "dataset": "synthetic_click"},
        {"name": "like", "kind": "recommendation", "dataset": "synthetic_like"},
        {"name": "gender", "kind": "profile", "field": "gender"},
        {"name": "life_status", "kind": "profile", "field": "life_status"},
    ]
    scores: dict[str, dict[str, list[float]]] = {}
    forgotten = []
    for seed in args.seeds:
        settings = {
            "data_path": str(folder),
            "seed": seed,
            "protocol": "conure",
            "show_progress": False,
            "state": "ERROR",
        }
        backbone = None
        for model in args.models:
            more = {}
            if model in FROM_BACKBONE and backbone is not None:
                more["pretrained_path"] = backbone
            outcome = learn(model, settings | more, tasks)
            if model == "PeterRec":
                backbone = outcome["run_dir"]
            results = outcome["results"]
            for name, task in results["tasks"].items():
                metric = next(iter(task["test"]))
                scores.setdefault(model, {}).setdefault(name, []).append(
                    task["test"][metric]
                )
                if "before_pruning" in task:
                    before = task["before_pruning"]["test"][metric]
                    scores.setdefault(f"{model}-", {}).setdefault(name, []).append(
                        before
                    )
            if model == "Unprotected":
                last = [
                    task["pretrain_test"]["mrr@5"] for task in results["tasks"].values()
                ]
                forgotten.append((results["pretrain"]["test"]["mrr@5"], last))
            if outcome["run_dir"] != backbone:
                shutil.rmtree(outcome["run_dir"])
            report(args, scores, forgotten, [task["name"] for task in tasks])
        if backbone is not None:
            shutil.rmtree(backbone)


def report(
    args: argparse.Namespace, scores: dict, forgotten: list, tasks: list[str]
) -> None:
    """Means with standard errors, then each claim with its paired t-test."""
    rows = []
    for model, by_task in scores.items():
        row = {"model": model}
        for task in tasks:
            values = by_task.get(task, [])
            error = (
                np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
            )
            row[task] = f"{np.mean(values):.4f} ± {error:.4f}" if values else "-"
        rows.append(row)
    caption = (
        f"synthetic {args.preset}, {len(args.seeds)} seeds, mean ± standard error of test MRR@5 "
        f"(click, like) and accuracy; {machine()}"
    )
    write_report(args.out, rows, caption)
    claims = []
    for (better, worse, only), task in itertools.product(CLAIMS, tasks):
        first = scores.get(better, {}).get(task, [])
        second = scores.get(worse, {}).get(task, [])
        number = min(len(first), len(second))
        if (only not in (None, task)) or number < 2:
            continue
        first, second = np.array(first[:number]), np.array(second[:number])
        claims.append(
            {
                "claim": f"{better} at least {worse}",
                "task": task,
                "ratio": f"{first.mean() / second.mean():.3f}",
                "p (paired t)": f"{ttest_rel(first, second).pvalue:.3g}",
            }
        )
    for start, after in forgotten:
        claims.append(
            {
                "claim": "the unprotected sequence forgets its first task",
                "task": "pretraining",
                "ratio": ", ".join(f"{value / start:.2f}" for value in after),
                "p (paired t)": "-",
            }
        )
    if claims:
        write_report(args.out.with_name(args.out.name + "_claims"), claims, caption)


if __name__ == "__main__":
    main()
