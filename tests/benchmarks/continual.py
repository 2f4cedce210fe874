"""The Conure paper's comparisons on the synthetic set, over several seeds, with paired t-tests.

A generated set is learned by every model with the same splits of a seed. The backbone is
pretrained once a seed and given to all that start from it. The recipes below were chosen on seed
11, which is none of those that are reported. Results that are there are not made again: delete
them when the package has changed.

    python tests/benchmarks/continual.py --seeds 1 2 3 4 5
    python tests/benchmarks/continual.py --preset tiny --seeds 1 2 --models Conure PeterRec
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, mean_and_error, write_report
from scipy.stats import ttest_rel

from recbole_peterrec import run
from recbole_peterrec.data.synthetic import PRESETS, generate

MODELS = (
    "PeterRec",
    "STL",
    "FineSmax",
    "SinMo",
    "MTL",
    "Conure",
    "Conure_noT2",
    "Unprotected",
)
NETWORK = {"embedding_size": 64, "softmax_samples": 0.2, "learning_rate": 0.002}
EPOCHS = {"epochs": 20, "retrain_epochs": 4}  # of the source
RECOMMENDATION = {
    "head_weight_decay": 0.001,
    "head_learning_rate": 0.001,
    "epochs": 15,
    "retrain_epochs": 8,
}
PROFILE = {
    "head_weight_decay": 0.001,
    "patch_weight_decay": 0.0001,  # of 16,000 users, less than of ml-100k's 755
    "head_learning_rate": 0.003,
    "train_batch_size": 256,
    "epochs": 8,
    "retrain_epochs": 4,
}
# Steps of what is trained beside the head: pretrained weights move less than new ones.
STEPS = {
    "PeterRec": (0.001, 0.003),
    "Conure": (0.0003, 0.0005),
    "STL": (0.0001, 0.0003),
    "Unprotected": (0.0001, 0.0003),
    "SinMo": (0.001, 0.001),
    "MTL": (0.001, 0.001),
    "FineSmax": (0.001, 0.003),
}
TASKS = {
    task["name"]: task
    for task in (
        {"name": "click", "kind": "recommendation", "dataset": "synthetic_click"},
        {"name": "like", "kind": "recommendation", "dataset": "synthetic_like"},
        {"name": "gender", "kind": "profile", "field": "gender"},
        {"name": "life_status", "kind": "profile", "field": "life_status"},
    )
}
SCRATCH = ("SinMo", "MTL")  # all others get a pretrained network
FIRST = "pretraining"
BEFORE = "Conure-"
# Claims of the papers: the first is at least so many times the second, on a task or on all.
CLAIMS = (
    ("STL", "SinMo", 1, None),
    ("PeterRec", "SinMo", 1, None),
    ("PeterRec", "STL", 0.99, None),
    (BEFORE, "PeterRec", 1, "like"),
    (BEFORE, "Conure_noT2-", 1, "like"),
    ("Conure", BEFORE, 0.99, None),
    ("PeterRec", "FineSmax", 1, None),
)
MOST_LEFT = 0.5  # of the first task's metric, of the unprotected sequence


def settings_of(model: str, seed: int, preset: str, tasks: Sequence[str]) -> dict:
    """All that a run's results depend on; ``Conure_noT2`` leaves out what is before ``like``."""
    if model == "Conure_noT2":
        tasks = ["like"]
    name = model.partition("_")[0]
    step, profile_step = STEPS[name]
    recipes = {
        "recommendation": RECOMMENDATION | {"learning_rate": step},
        "profile": PROFILE | {"learning_rate": profile_step},
    }
    source = {"pretrain_epochs": EPOCHS["epochs"]}
    if name == "Conure":
        source["retrain_epochs"] = EPOCHS["retrain_epochs"]
    return NETWORK | {
        **source,
        "model": name,
        "preset": preset,
        "protocol": "conure",
        "seed": seed,
        "tasks": [TASKS[task] | recipes[TASKS[task]["kind"]] for task in tasks],
    }


class Experiment:
    """Runs models, and keeps their results, so that one that was stopped goes on.

    Args:
        data: folder of the generated set.
        out: folder of the results; of settings that are as they were, they are not made again.
    """

    def __init__(self, data: Path, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.keys = {
            "data_path": str(data),
            "show_progress": False,
            "state": "ERROR",
        }

    def results(self, model: str, settings: dict[str, Any]) -> dict[str, Any]:
        """``results.json`` of a model."""
        file = self.out / f"{settings['preset']}-{settings['seed']}-{model}.json"
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["settings"] == settings:
                return kept["results"]
        own = {k: v for k, v in settings.items() if k not in ("model", "preset")}
        if model not in SCRATCH:
            own["pretrained_path"] = str(self.backbone(settings))
        outcome = run(settings["model"], "synthetic", config_dict=own | self.keys)
        shutil.rmtree(outcome["run_dir"])
        kept = {"settings": settings, "results": outcome["results"]}
        file.write_text(json.dumps(kept, indent=1))
        return outcome["results"]

    def backbone(self, settings: dict[str, Any]) -> Path:
        """Run directory of a seed's pretrained network."""
        preset, seed = settings["preset"], settings["seed"]
        folder = self.out / f"{preset}-{seed}-backbone"
        if not (folder / "results.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            own = {"protocol": "conure", "seed": seed, "epochs": EPOCHS["epochs"]}
            keys = NETWORK | own | self.keys | {"run_dir": str(folder)}
            run("NextItNetAR", "synthetic", config_dict=keys)
        return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--data", type=Path, default=Path("saved/benchmarks/data"))
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/continual"))
    args = parser.parse_args()

    folder = args.data / args.preset
    if not folder.exists():
        generate(folder, "synthetic", PRESETS[args.preset], seed=2020)
    experiment = Experiment(folder, args.out)
    scores: dict[str, dict[str, list[float]]] = {}
    forgotten = []
    for seed in args.seeds:
        for model in args.models:
            settings = settings_of(model, seed, args.preset, args.tasks)
            results = experiment.results(model, settings)
            collect(scores, model, results)
            if model == "Unprotected":
                last = [
                    task["pretrain_test"]["mrr@5"] for task in results["tasks"].values()
                ]
                forgotten.append((results["pretrain"]["test"]["mrr@5"], last))
            report(args, scores, forgotten)


def collect(scores: dict, model: str, results: dict[str, Any]) -> None:
    """Add a run's test metrics, those before pruning under a name of their own."""
    stages = dict(results["tasks"])
    if model == "Conure":
        stages[FIRST] = results["pretrain"]
    for name, stage in stages.items():
        metric = next(iter(stage["test"]))
        found = {model: stage["test"][metric]}
        if "before_pruning" in stage:
            found[f"{model}-"] = stage["before_pruning"]["test"][metric]
        for row, value in found.items():
            scores.setdefault(row, {}).setdefault(name, []).append(value)


def report(args: argparse.Namespace, scores: dict, forgotten: list) -> None:
    """Means with standard errors, then each claim with its paired t-test."""
    tasks = [FIRST, *args.tasks]
    rows = []
    for model, by_task in scores.items():
        row = {"model": model}
        for task in tasks:
            row[task] = mean_and_error(by_task.get(task, []), 4)
        rows.append(row)
    caption = (
        f"synthetic {args.preset}, {len(args.seeds)} seeds, mean ± standard error of test MRR@5 "
        f"(click, like) and accuracy; {machine()}"
    )
    write_report(args.out, rows, caption)
    claims = []
    for (better, worse, least, only), task in itertools.product(CLAIMS, tasks):
        first = scores.get(better, {}).get(task, [])
        second = scores.get(worse, {}).get(task, [])
        number = min(len(first), len(second))
        if (only not in (None, task)) or number < 2:
            continue
        first, second = np.array(first[:number]), np.array(second[:number])
        ratio = first.mean() / second.mean()
        claims.append(
            {
                "claim": f"{better} at least {least:.0%} of {worse}",
                "task": task,
                "ratio": f"{ratio:.3f}",
                "p (paired t)": f"{ttest_rel(first, second).pvalue:.2g}",
                "verdict": "met" if ratio >= least else "missed",
            }
        )
    if forgotten:
        left = [after[-1] / start for start, after in forgotten]
        claims.append(
            {
                "claim": f"the unprotected sequence leaves at most {MOST_LEFT:.0%} of T1",
                "task": "pretraining",
                "ratio": ", ".join(f"{share:.2f}" for share in left),
                "p (paired t)": "-",
                "verdict": "met" if max(left) <= MOST_LEFT else "missed",
            }
        )
    if claims:
        write_report(args.out.with_name(args.out.name + "_claims"), claims, caption)


if __name__ == "__main__":
    main()
