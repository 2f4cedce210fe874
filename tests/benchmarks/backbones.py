"""Leave-one-out next-item accuracy of backbones and RecBole's models on one dataset.

Every model runs through ``recbole_peterrec.run`` on the same dataset config, rows and evaluator,
with its own default property file, and is tested at its best validated epoch.

    python tests/benchmarks/backbones.py --models NextItNetAR --seeds 2020 2021 2022
    python tests/benchmarks/backbones.py --models GRU4Rec SASRec NextItNet --seeds 2020

RecBole's models take minutes an epoch on ml-100k: its prefixes make 97,171 training rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from report import machine, write_report

from recbole_peterrec import run


def spread(values: np.ndarray) -> float:
    """Standard deviation between seeds; 0 of one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["NextItNetAR"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[2020, 2021, 2022])
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument(
        "--epochs", type=int, default=None, help="bound; default: the model's own"
    )
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/backbones"))
    args = parser.parse_args()

    rows = []
    for model in args.models:
        records = []
        for seed in args.seeds:
            settings = {
                "seed": seed,
                "show_progress": False,
                "MAX_ITEM_LIST_LENGTH": 50,
            }
            if args.epochs:
                settings["epochs"] = args.epochs
            outcome = run(model, args.dataset, config_dict=settings)
            records.append(outcome["results"]["pretrain"])
        row = {"model": model, "seeds": len(records)}
        for split in ("valid", "test"):
            for metric in ("mrr@5", "hit@5"):
                values = np.array([record[split][metric] for record in records])
                row[f"{split} {metric}"] = f"{values.mean():.4f} ± {spread(values):.4f}"
        row["epochs"] = "/".join(str(record["epochs"]) for record in records)
        row["s/epoch"] = f"{np.mean([r['seconds'] / r['epochs'] for r in records]):.1f}"
        rows.append(row)
        write_report(
            args.out, rows, f"{args.dataset}, leave-one-out, full ranking; {machine()}"
        )


if __name__ == "__main__":
    main()
