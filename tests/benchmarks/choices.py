"""What each choice that is not exact costs in accuracy, and gains in time.

python tests/benchmarks/choices.py --epochs 4
python tests/benchmarks/choices.py --preset medium --epochs 1 --embedding_size 64

The second takes the synthetic medium set instead of ml-100k: five million interactions with 20,000
items, an hour and a half of one core.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from report import machine, mean_and_error, write_report

from recbole_peterrec import run
from recbole_peterrec.data.synthetic import PRESETS, generate

SAMPLED = {"softmax_samples": 0.2}
CHOICES = {
    "exact": {},
    "amp bf16": {"amp": "bf16"},
    "softmax_samples 0.2": SAMPLED,
    "softmax_samples 0.2, table_updates rows": SAMPLED | {"table_updates": "rows"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, help="a synthetic set")
    parser.add_argument("--choices", nargs="+", default=list(CHOICES), choices=CHOICES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[2020, 2021, 2022])
    parser.add_argument("--epochs", type=int, help="default: the model's")
    parser.add_argument("--embedding_size", type=int, help="default: the model's")
    parser.add_argument("--data", type=Path, default=Path("saved/benchmarks/data"))
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/choices"))
    args = parser.parse_args()
    keys = {"show_progress": False, "state": "ERROR"}
    dataset = "ml-100k"
    if args.preset:
        dataset, folder = "synthetic", args.data / args.preset
        keys["data_path"] = str(folder)
        if not folder.exists():
            generate(folder, dataset, PRESETS[args.preset], seed=2020)
    for key in ("epochs", "embedding_size"):
        if getattr(args, key):
            keys[key] = getattr(args, key)
    rows = []
    for name in args.choices:
        measured = []
        for seed in args.seeds:
            settings = keys | CHOICES[name] | {"seed": seed}
            outcome = run("NextItNetAR", dataset, config_dict=settings)
            shutil.rmtree(outcome["run_dir"])
            told = outcome["results"]["pretrain"]
            each = told["seconds"] / told["epochs"]
            measured.append((told["test"]["mrr@5"], told["test"]["hit@5"], each))
        ranks, hits, seconds = zip(*measured, strict=True)
        rows.append(
            {
                "choice": name,
                "test MRR@5": mean_and_error(ranks, 4),
                "test HR@5": mean_and_error(hits, 4),
                "s/epoch": f"{np.mean(seconds):.2f}",
            }
        )
        caption = (
            f"NextItNetAR on {args.preset or dataset}, mean ± standard error of "
            f"{len(args.seeds)} seeds; {machine()}"
        )
        write_report(args.out, rows, caption)


if __name__ == "__main__":
    main()
