"""Accuracy of profile tasks over many random splits of the users, strategy by strategy.

The strategies are a suite of the package, whose seeds are the splits; each split has a backbone of
its own, pretrained on all users' interactions but their last two, which validate and test it (no
label is used). Beside them, logistic regressions on each user's bag of items, one for each strength
of its L2, learn from the same splits. A second table has the differences of the first strategy to
each other row, split by split.

    python tests/benchmarks/profiles.py
    python tests/benchmarks/profiles.py --strategies PeterRec FineAll --splits 3
    python tests/benchmarks/profiles.py --suite_dir saved/strategies-ml-100k-TIME
    python tests/benchmarks/profiles.py --strategies --random_channels 256 512 1024
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import machine, write_report
from sklearn.linear_model import LogisticRegression

from recbole_peterrec import run
from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite.report import FILE, plain, scores_of
from recbole_peterrec.suite.significance import difference, estimate
from recbole_peterrec.tasks import read_tasks

Scores = dict[str, dict[tuple[str, str], dict[int, float]]]  # by row, metric and seed
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
    parser.add_argument("--strategies", nargs="*", help="default: the suite's")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--regression_c", nargs="+", type=float, default=[0.01, 0.03])
    parser.add_argument("--random_channels", nargs="+", type=int, default=[])
    parser.add_argument(
        "--suite_dir",
        type=Path,
        help="of a suite that was run, with the dataset's own tasks and splits",
    )
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/profiles"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    seeds = list(range(args.first, args.first + args.splits))
    scores: Scores = {}
    if args.suite_dir:
        suite = load_json(args.suite_dir / FILE)
        if sum(map(len, suite["runs"].values())) < suite["planned_runs"]:
            parser.error(f"{args.suite_dir} has not ended")
        seeds, args.dataset = suite["seeds"], suite["dataset"]
        scores = profiles_of(suite)
    elif args.strategies != []:
        keys = {"suite": args.strategies or "strategies", "seeds": seeds}
        quiet = {"show_progress": False, "state": "ERROR"}
        outcome = run(dataset=args.dataset, config_dict=keys | quiet)
        scores = profiles_of(outcome["results"])
    for seed in seeds:
        found = regression_accuracy(
            args.dataset, seed, args.regression_c, args.random_channels
        )
        for regression, tasks in found.items():
            for task, value in tasks.items():
                by_task = scores.setdefault(regression, {})
                by_task.setdefault((task, "hit@1"), {})[seed] = value
    caption = (
        f"{args.dataset}: test accuracy over {len(seeds)} random splits of the users, "
        f"{seeds[0]} to {seeds[-1]}; {machine()}"
    )
    write_report(args.out, rows_of("strategy", scores, estimate), caption)
    first, *others = scores
    differences = {
        f"{first} - {other}": {
            metric: difference(scores[first][metric], values)
            for metric, values in scores[other].items()
        }
        for other in others
    }
    paired = rows_of("difference", differences, lambda value: value)
    write_report(args.out.with_name(f"{args.out.name}_paired"), paired, caption)


def profiles_of(results: dict[str, Any]) -> Scores:
    """Scores of a suite's rows on its tasks, from its suite.json."""
    runs = {
        name: {int(seed): result for seed, result in by_seed.items()}
        for name, by_seed in results["runs"].items()
    }
    return {
        row: {
            metric: plain(values)
            for metric, values in found.items()
            if metric[0] != PRETRAINING
        }
        for row, found in scores_of(runs).items()
    }


def rows_of(head: str, scores: dict[str, dict], to_estimate: Callable) -> list[dict]:
    """A row each, with mean, standard error and, of differences, p of a paired t-test."""
    rows = []
    for name, by_metric in scores.items():
        row = {head: name}
        for (task, _), value in by_metric.items():
            found = to_estimate(value)
            row[task] = f"{found.mean:.3f} ± {found.standard_error or 0:.3f}"
            row[task] += "" if found.p is None else f" ({found.p:.2g})"
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
