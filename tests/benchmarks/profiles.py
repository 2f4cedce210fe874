"""Accuracy of profile tasks over many random splits of the users, strategy by strategy.

A second table has the differences of the first strategy to each other one on the same splits.

Backbones of several seeds are pretrained on all users' interactions but their last two, which
validate and test them (no label is used), saved, and given to every strategy, splits taking them in
turn: what one backbone happens to be is an error that its splits share. Logistic regressions on each
user's bag of items, one for each strength of its L2, learn from the same splits.

    python tests/benchmarks/profiles.py
    python tests/benchmarks/profiles.py --strategies PeterRec FineAll --splits 3
    python tests/benchmarks/profiles.py --strategies --random_channels 256 512 1024
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
FIRST_SEED = 2020  # of the backbones
MAJORITY = "LabelCS"
CHANNELS_C = 3  # of regressions on random channels


def regression_accuracy(
    dataset: str, seed: int, inverse_strengths: Sequence[float], widths: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Test accuracy of logistic regressions on each user's source items, task by task.

    Args:
        dataset: source and profiles.
        seed: of the split.
        inverse_strengths: C of the regressions on the 0/1 bag.
        widths: channels of regressions on the mean of the items' vectors, drawn at random once and
            for all: what a frozen embedding of that width that was never trained keeps of the bag.
    """
    config = Config("PeterRec", dataset, config_dict={"seed": seed})
    source = SequenceDataset(config)
    source.build()
    users, items = source.interactions()
    bags = np.zeros((source.user_num, source.item_num), dtype=np.float32)
    bags[users, items] = 1
    regressions = {
        f"LogisticRegression, C {c}": (bags, LogisticRegression(C=c, max_iter=2000))
        for c in inverse_strengths
    }
    for width in widths:
        regressions[f"LogisticRegression, {width} random channels"] = (
            _random_channels(bags, width),
            LogisticRegression(C=CHANNELS_C, max_iter=2000),
        )
    accuracy: dict[str, dict[str, float]] = {name: {} for name in regressions}
    for task in read_tasks(config):
        data = TaskDataset(task.config, source)
        train, _, test = data.build()
        rows = [
            (
                data.source_user[part.inter_feat[data.uid_field]].numpy(),
                part.inter_feat[data.iid_field].numpy(),
            )
            for part in (train, test)
        ]
        for name, (features, model) in regressions.items():
            (learned, labels), (tested, truth) = rows
            model.fit(features[learned], labels)
            accuracy[name][task.name] = float(model.score(features[tested], truth))
    return accuracy


def _random_channels(bags: np.ndarray, width: int) -> np.ndarray:
    """``[users, width]`` means of random item vectors, about 0 and of mean square length 1."""
    vectors = np.random.default_rng(0).normal(size=(bags.shape[1], width))
    means = bags / bags.sum(axis=1, keepdims=True).clip(min=1) @ vectors
    means -= means[1:].mean(axis=0)  # user 0 is padding
    return means / np.sqrt((means[1:] ** 2).sum(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--strategies",
        nargs="*",
        default=["PeterRec", "FineAll", "FineLast", "FineCLS", "PeterZero", "FineZero"],
    )
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--regression_c", nargs="+", type=float, default=[0.01, 0.03])
    parser.add_argument("--random_channels", nargs="+", type=int, default=[])
    parser.add_argument(
        "--backbones", type=int, default=5, help="that are pretrained, by number"
    )
    parser.add_argument(
        "--saved", nargs="+", default=[], help="run directories of backbones instead"
    )
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/profiles"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    seeds = range(args.first, args.first + args.splits)
    quiet = {"show_progress": False, "state": "ERROR"}
    scores: dict[str, dict[str, list[float]]] = {MAJORITY: {}}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        found = regression_accuracy(
            args.dataset, seed, args.regression_c, args.random_channels
        )
        for regression, tasks in found.items():
            for task, value in tasks.items():
                scores.setdefault(regression, {}).setdefault(task, []).append(value)
    if not args.strategies:
        report(args.out, scores, seconds, args)
        return
    pretrained = args.saved or [
        run(
            "NextItNetAR",
            args.dataset,
            config_dict=quiet | {"epochs": PRETRAIN_EPOCHS, "seed": FIRST_SEED + i},
        )["run_dir"]
        for i in range(args.backbones)
    ]
    for strategy in args.strategies:
        scores[strategy] = {}
        for seed in seeds:
            settings = quiet | {"seed": seed}
            if not strategy.endswith("Zero"):
                settings["pretrained_path"] = pretrained[seed % len(pretrained)]
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
        if not tasks:  # majorities come with the first strategy
            continue
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
    if not args.strategies:
        return
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
