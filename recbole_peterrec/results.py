"""What a person and a script read of a run: results.json and the table, beside the curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tabulate import tabulate

from recbole_peterrec.checkpoint import save_json, write_atomically
from recbole_peterrec.curves import History, write_curves

COLUMNS = (
    "stage",
    "labels",
    "train/valid/test",
    "valid",
    "test before pruning",
    "test",
    "test after all",
    "pretraining test after",
    "prune ratio",
    "weights free",
    "trained parameters",
    "of full tuning",
    "epochs",
    "seconds",
)


def _metrics(result: dict[str, float]) -> str:
    return ", ".join(f"{metric} {value:.4f}" for metric, value in result.items()) or "-"


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table: a row for pretraining and one for each task.

    A profile task is followed by what the majority label reaches (LabelCS). A column that no row
    fills is left out.
    """
    pretrain = results["pretrain"]
    # A learner's first task is what tasks build on, those of later runs as well.
    carried = results["tasks"] or "capacity_free" in pretrain
    rows = [
        {
            "stage": "pretraining" if carried else results["model"],
            "valid": _metrics(pretrain["valid"]),
            "test": _metrics(pretrain["test"]),
            **_continual(pretrain),
            "trained parameters": _count(pretrain.get("trainable_parameters")),
            "epochs": pretrain["epochs"],
            "seconds": f"{pretrain['seconds']:.1f}",
        }
    ]
    for name, task in results["tasks"].items():
        share = task["trainable_parameters"] / task["total_parameters"]
        rows.append(
            {
                "stage": name,
                "labels": _count(task["labels"]),
                "train/valid/test": "/".join(map(str, task["instances"].values())),
                "valid": _metrics(task["valid"]),
                "test": _metrics(task["test"]),
                **_continual(task),
                "trained parameters": _count(task["trainable_parameters"]),
                "of full tuning": f"{share:.2%}",
                "epochs": task["epochs"],
                "seconds": f"{task['seconds']:.1f}",
            }
        )
        if "label_cs" in task:
            majority = {split: _metrics(m) for split, m in task["label_cs"].items()}
            rows.append({"stage": f"{name}: LabelCS", **majority})
    columns = [c for c in COLUMNS if any(row.get(c, "-") != "-" for row in rows)]
    cells = [[row.get(column, "-") for column in columns] for row in rows]
    return tabulate(cells, columns, tablefmt="github", disable_numparse=True)


def _continual(record: dict[str, Any]) -> dict[str, str]:
    """Cells of tasks that are learned one after the other in one network."""
    free, pruned = record.get("capacity_free"), record.get("prune_ratio")
    before = record.get("before_pruning", {})
    return {
        "test before pruning": _metrics(before.get("test", {})),
        "test after all": _metrics(record.get("test_after_all", {})),
        "pretraining test after": _metrics(record.get("pretrain_test", {})),
        "prune ratio": "-" if pruned is None else f"{pruned:g}",
        "weights free": "-" if free is None else f"{free:.1%}",
    }


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def write_results(
    run_dir: Path, results: dict[str, Any], histories: dict[str, History]
) -> None:
    """Write results.json and results.md, and the curves as :func:`write_curves` does.

    Args:
        run_dir: where.
        results: of the run, as README's "What a run leaves" has them.
        histories: validated epochs of each stage, in order.
    """
    save_json(run_dir / "results.json", results)
    head = f"{results['model']} on {results['dataset']}, seed {results['seed']}"
    write_atomically(run_dir / "results.md", f"# {head}\n\n{table(results)}\n".encode())
    write_curves(run_dir, histories)
