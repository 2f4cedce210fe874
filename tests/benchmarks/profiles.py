"""Accuracy of profile tasks over many random splits of the users, strategy by strategy.

A second table has the differences of the first strategy to each other one on the same splits.

One backbone is pretrained on all users' interactions but their last two, which validate and test it
(no label is used), saved, and given to every strategy on every split; tasks read whole histories. Logistic regressions on each user's bag of items, one for each strength of
its L2, learn from the same splits.

    python tests/benchmarks/profiles.py
    python tests/benchmarks/profiles.py --strategies PeterRec FineAll --splits 3
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from report import machine, mean_and_error, write_report
from sklearn.linear_model import LogisticRegression

from recbole_peterrec import run
from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.tasks import read_tasks

PRETRAIN_EPOCHS = 8  # as in PeterRec.yaml
MAJORITY = "LabelCS"


def regression_accuracy(
    dataset: str, seed: int, inverse_strengths: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Test accuracy of logistic regressions on the 0/1 bag of source items, task by task."""
    config = Config("PeterRec", dataset, config_dict={"seed": seed})
    source = SequenceDataset(config)
    source.build()
    users, items = source.interactions()
    bags = np.zeros((source.user_num, source.item_num), dtype=np.float32)
    bags[users, items] = 1
    accuracy: dict[str, dict[str, float]] = {}
    for task in read_tasks(config):
        data = TaskDataset(task.config, source)
        train, _, test = data.build()
        rows = [
            (
                bags[data.source_user[part.inter_feat[data.uid_field]].numpy()],
                part.inter_feat[data.iid_field].numpy(),
            )
            for part in (train, test)
        ]
        for c in inverse_strengths:
            model = LogisticRegression(C=c, max_iter=2000).fit(*rows[0])
            found = accuracy.setdefault(f"LogisticRegression, C {c}", {})
            found[task.name] = float(model.score(*rows[1]))
    return accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--strategies",
        nargs="+",
        default=["PeterRec", "FineAll", "FineLast", "FineCLS", "PeterZero", "FineZero"],
    )
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--regression_c", nargs="+", type=float, default=[0.01, 0.03])
    parser.add_argument(
        "--backbone", help="run directory of a saved backbone; default: pretrain one"
    )
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/profiles"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    seeds = range(args.first, args.first + args.splits)
    quiet = {"show_progress": False, "state": "ERROR"}
    scores: dict[str, dict[str, list[float]]] = {MAJORITY: {}}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        found = regression_accuracy(args.dataset, seed, args.regression_c)
        for regression, tasks in found.items():
            for task, value in tasks.items():
                scores.setdefault(regression, {}).setdefault(task, []).append(value)
    pretrained = (
        args.backbone
        or run(
            "NextItNetAR", args.dataset, config_dict=quiet | {"epochs": PRETRAIN_EPOCHS}
        )["run_dir"]
    )
    for strategy in args.strategies:
        scores[strategy] = {}
        for seed in seeds:
            settings = quiet | {"seed": seed}
            if not strategy.endswith("Zero"):
                settings["pretrained_path"] = pretrained
            tasks = run(strategy, args.dataset, config_dict=settings)["results"][
                "tasks"
            ]
            for name, task in tasks.items():
                scores[strategy].setdefault(name, []).append(task["test"]["hit@1"])
                seconds.setdefault(strategy, []).append(task["seconds"])
                if strategy == args.strategies[0]:
                    majority = task["label_cs"]["test"]["hit@1"]
                    scores[MAJORITY].setdefault(name, []).append(majority)
        report(args.out, scores, seconds, args)


def report(out: Path, scores: dict, seconds: dict, args: argparse.Namespace) -> None:
    """Mean and standard error over the splits of what has been measured so far."""
    rows = []
    for strategy, tasks in scores.items():
        row = {"strategy": strategy}
        for task, values in tasks.items():
            row[task] = mean_and_error(values, 3)
        row["s/task"] = (
            f"{np.mean(seconds[strategy]):.1f}" if strategy in seconds else "-"
        )
        rows.append(row)
    caption = (
        f"{args.dataset}: test accuracy, mean ± standard error over {args.splits} random splits of "
        f"the users; {machine()}"
    )
    write_report(out, rows, caption)
    first = args.strategies[0]
    paired = [
        {"difference": f"{first} - {other}", **_differences(scores[first], tasks)}
        for other, tasks in scores.items()
        if other != first
    ]
    write_report(
        out.with_name(f"{out.name}_paired"), paired, f"split by split, {caption}"
    )


def _differences(first: dict[str, list], other: dict[str, list]) -> dict[str, str]:
    """Mean and standard error of what one strategy has more than another on the same split."""
    return {
        task: mean_and_error(np.subtract(first[task][: len(values)], values), 3)
        for task, values in other.items()
    }


if __name__ == "__main__":
    main()
