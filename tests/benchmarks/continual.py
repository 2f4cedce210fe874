"""The Conure paper's comparisons on the synthetic set, over several seeds, with paired t-tests.

A generated set is learned by every model with the same splits of a seed. The backbone is
pretrained once a seed and given to all that start from it. Conure learns one task a run and goes
on from the learner of the run before, so that `few_likes`, a quarter of the likes, takes the
place of `like` after the same clicks. Results that are there are not made again: delete them
when the package has changed.

    python tests/benchmarks/continual.py --seeds 1 2 3 4 5
    python tests/benchmarks/continual.py --preset tiny --seeds 1 2 --models Conure PeterRec
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from continual_recipes import (
    NETWORK,
    SOURCE_EPOCHS,
    SOURCE_RETRAINED,
    TASKS,
    task_settings,
)
from report import machine, mean_and_error, write_report
from scipy.stats import ttest_rel

from recbole_peterrec import run
from recbole_peterrec.data.synthetic import PRESETS, generate

BACKBONE, LEARNER = "NextItNetAR", "Conure"
WITHOUT_T2, UNPROTECTED = "Conure_noT2", "Unprotected"
MODELS = (
    "PeterRec",
    LEARNER,
    WITHOUT_T2,
    "STL",
    "FineSmax",
    "SinMo",
    UNPROTECTED,
    "MTL",
)
SCRATCH = ("SinMo", "MTL")  # all others get a pretrained network
T3 = ("like", "few_likes")  # two forms of one task: a learner learns either
FIRST = "T1"
BEFORE = f"{LEARNER}-"
# Claims of the papers: the first is at least so many times the second, on these tasks or on all.
CLAIMS = (
    ("STL", "SinMo", 1, None),
    ("PeterRec", "SinMo", 1, None),
    ("PeterRec", "STL", 0.99, None),
    (BEFORE, "PeterRec", 1, T3),
    (BEFORE, f"{WITHOUT_T2}-", 1, T3),
    (LEARNER, BEFORE, 0.99, None),
    ("PeterRec", "FineSmax", 1, None),
)
MOST_LEFT = 0.5  # of the first task's metric, of the unprotected sequence


class Experiment:
    """Runs models, and keeps their results, so that one that was stopped goes on.

    Args:
        data: folder of the generated set.
        out: folder of the results; of settings that are as they were, they are not made again.
        seed: of splits, weights and training.
        tasks: names of the tasks, in the order of the learners.
        recommendation: as of :func:`task_settings`.
        network: keys of all runs, beside the protocol's.
    """

    def __init__(
        self,
        data: Path,
        out: Path,
        seed: int,
        tasks: Sequence[str],
        recommendation: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] = NETWORK,
    ) -> None:
        self.out, self.seed, self.tasks = out, seed, tasks
        self.data, self.network = data, dict(network)
        self.recommendation = recommendation
        out.mkdir(parents=True, exist_ok=True)

    def stages(self, model: str) -> dict[str, dict[str, Any]]:
        """What ``results.json`` has of T1 (of learners) and of each task that a model learns."""
        if model == UNPROTECTED:
            return self._unprotected()
        if model in (LEARNER, WITHOUT_T2):
            return self._learned(model)
        return {task: self._alone(model, task)["tasks"][task] for task in self.tasks}

    def _learned(self, model: str) -> dict[str, dict[str, Any]]:
        if model == WITHOUT_T2:
            return {
                task: self._learner([task])["tasks"][task]
                for task in self.tasks
                if task in T3
            }
        found = {FIRST: self._learner([])["pretrain"]}
        for place, task in enumerate(self.tasks):
            left_out = T3 if task in T3 else T3[1:]
            before = [name for name in self.tasks[:place] if name not in left_out]
            found[task] = self._learner([*before, task])["tasks"][task]
        return found

    def _learner(self, tasks: list[str]) -> dict[str, Any]:
        """Results of a learner of these tasks, which is kept."""
        if not tasks:
            own = {"pretrained_path": self._backbone(), "tasks": []}
            own |= {"retrain_epochs": SOURCE_RETRAINED}
        else:
            self._learner(tasks[:-1])
            own = {
                "continue_from": self._name(LEARNER, *tasks[:-1]),
                "tasks": [self._task(LEARNER, tasks[-1])],
            }
        return self._results(LEARNER, own, *tasks)

    def _alone(self, model: str, task: str) -> dict[str, Any]:
        own: dict[str, Any] = {"tasks": [self._task(model, task)]}
        if model not in SCRATCH:
            own["pretrained_path"] = self._backbone()
        return self._results(model, own, task)

    def _unprotected(self) -> dict[str, dict[str, Any]]:
        order = [task for task in self.tasks if task not in T3[1:]]
        own = {
            "tasks": [self._task(UNPROTECTED, task) for task in order],
            "pretrained_path": self._backbone(),
        }
        results = self._results(UNPROTECTED, own)
        return {FIRST: results["pretrain"], **results["tasks"]}

    def _task(self, model: str, name: str) -> dict[str, Any]:
        return task_settings(model, name, self.recommendation)

    def _backbone(self) -> str:
        """Name of the run directory of the seed's pretrained network."""
        self._results(BACKBONE, {"epochs": SOURCE_EPOCHS})
        return self._name(BACKBONE)

    def _name(self, *names: str) -> str:
        return "-".join([str(self.seed), *names])

    def _results(self, model: str, own: dict[str, Any], *names: str) -> dict[str, Any]:
        """``results.json`` of a run; run directories that others go on from are kept.

        What is kept beside it names them without their folder, so that it may be moved.
        """
        settings = self.network | own | {"seed": self.seed, "protocol": "conure"}
        settings["pretrain_epochs"] = SOURCE_EPOCHS
        name = self._name(model, *names)
        folder, file = self.out / name, self.out / f"{name}.json"
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["settings"] == settings:
                return kept["results"]
        made = str(self.seed) if model == BACKBONE else name
        for later in self.out.glob(f"{made}-*.json"):  # they went on from the old one
            later.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        keys = {"data_path": str(self.data), "run_dir": str(folder)}
        keys |= {"show_progress": False, "state": "ERROR"}
        for key in ("pretrained_path", "continue_from"):
            if key in own:
                keys[key] = str(self.out / own[key])
        results = run(model, "synthetic", config_dict=settings | keys)["results"]
        if model not in (LEARNER, BACKBONE):
            shutil.rmtree(folder)
        kept = {"settings": settings, "results": results}
        file.write_text(json.dumps(kept, indent=1))
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument(
        "--pooling", help="of recommendation tasks; default: the last state"
    )
    parser.add_argument(
        "--weight_average", type=float, help="of recommendation tasks; default: none"
    )
    parser.add_argument(
        "--block_num", type=int, help="of the network; default: the protocol's"
    )
    parser.add_argument("--data", type=Path, default=Path("saved/benchmarks/data"))
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/continual"))
    args = parser.parse_args()
    # Variants have results of their own, beside the protocol's.
    recommendation, network, variant = {}, NETWORK, ""
    if args.pooling:
        recommendation["pooling"] = args.pooling
        variant += f"_{args.pooling}"
    if args.weight_average is not None:
        recommendation["weight_average"] = args.weight_average
        variant += f"_average{args.weight_average:g}"
    if args.block_num is not None:
        network = NETWORK | {"block_num": args.block_num}
        variant += f"_blocks{args.block_num}"
    args.out = args.out.with_name(args.out.name + variant)

    folder = args.data / args.preset
    if not folder.exists():
        generate(folder, "synthetic", PRESETS[args.preset], seed=2020)
    scores: dict[str, dict[str, list[float]]] = {}
    forgotten = []
    for seed in args.seeds:
        out = args.out / args.preset
        experiment = Experiment(folder, out, seed, args.tasks, recommendation, network)
        for model in args.models:
            stages = experiment.stages(model)
            collect(scores, model, stages)
            if model == UNPROTECTED:
                first = stages.pop(FIRST)
                last = [task["pretrain_test"]["mrr@5"] for task in stages.values()]
                forgotten.append((first["test"]["mrr@5"], last))
            report(args, scores, forgotten)


def collect(scores: dict, model: str, stages: dict[str, dict[str, Any]]) -> None:
    """Add a model's test metrics, those before pruning under a name of their own."""
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
        f"(T1 and items) and accuracy; {machine()}"
    )
    write_report(args.out, rows, caption)
    claims = []
    for better, worse, least, only in CLAIMS:
        pairs = {}
        for task in tasks:
            first = scores.get(better, {}).get(task, [])
            second = scores.get(worse, {}).get(task, [])
            number = min(len(first), len(second))
            if number > 1 and (not only or task in only):
                pairs[task] = np.array([first[:number], second[:number]])
        if len(pairs) > 1:  # a seed's geometric mean tells more than one task can
            pairs["all of them"] = np.exp(np.mean(np.log(list(pairs.values())), axis=0))
        for task, (first, second) in pairs.items():
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
                "task": FIRST,
                "ratio": ", ".join(f"{share:.2f}" for share in left),
                "p (paired t)": "-",
                "verdict": "met" if max(left) <= MOST_LEFT else "missed",
            }
        )
    if claims:
        write_report(args.out.with_name(args.out.name + "_claims"), claims, caption)


if __name__ == "__main__":
    main()
