"""What a person and a script read of a run: results.json, the table, the curves."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tabulate import tabulate

from recbole_peterrec.checkpoint import save_json, write_atomically

History = list[dict[str, float]]


def _metrics(result: dict[str, float]) -> str:
    return ", ".join(f"{metric} {value:.4f}" for metric, value in result.items()) or "-"


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table: a row for pretraining and one for each task."""
    headers = ["stage", "train/valid/test", "valid", "test", "LabelCS test", "trained parameters",
               "of full tuning", "epochs", "seconds"]  # fmt: skip
    pretrain = results["pretrain"]
    rows = [
        [
            "pretraining" if results["tasks"] else results["model"],
            "-",
            _metrics(pretrain["valid"]),
            _metrics(pretrain["test"]),
            "-",
            f"{pretrain['trainable_parameters']:,}" if "trainable_parameters" in pretrain else "-",
            "-",
            pretrain["epochs"],
            f"{pretrain['seconds']:.1f}",
        ]
    ]
    for name, task in results["tasks"].items():
        share = task["trainable_parameters"] / task["total_parameters"]
        rows.append(
            [
                f"{name} ({task['labels']} labels)",
                "/".join(str(n) for n in task["instances"].values()),
                _metrics(task["valid"]),
                _metrics(task["test"]),
                _metrics(task.get("label_cs", {}).get("test", {})),
                f"{task['trainable_parameters']:,}",
                f"{share:.2%}",
                task["epochs"],
                f"{task['seconds']:.1f}",
            ]
        )
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def write_results(run_dir: Path, results: dict[str, Any], histories: dict[str, History]) -> None:
    """Write results.json, results.md, curves.csv and curves.png.

    Args:
        run_dir: where.
        results: the contract of DESIGN section 5.
        histories: validated epochs of each stage, in order.
    """
    save_json(run_dir / "results.json", results)
    head = f"{results['model']} on {results['dataset']}, seed {results['seed']}"
    write_atomically(run_dir / "results.md", f"# {head}\n\n{table(results)}\n".encode())
    write_atomically(run_dir / "curves.csv", _curves_csv(histories))
    write_atomically(run_dir / "curves.png", _curves_png(histories))


def _curves_csv(histories: dict[str, History]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "epoch", "metric", "value"])
    for stage, history in histories.items():
        for entry in history:
            for metric, value in entry.items():
                if metric != "epoch":
                    writer.writerow([stage, entry["epoch"], metric, value])
    return text.getvalue().encode()


def _curves_png(histories: dict[str, History]) -> bytes:
    """One panel a metric, one line a stage."""
    metrics = list(
        dict.fromkeys(
            metric
            for history in histories.values()
            for entry in history
            for metric in entry
            if metric not in ("epoch", "loss")
        )
    )
    figure = Figure(figsize=(5 * max(1, len(metrics)), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for column, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(1, len(metrics), column)
        for stage, history in histories.items():
            points = [(entry["epoch"] + 1, entry[metric]) for entry in history if metric in entry]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=stage)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {metric}")
        axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100, metadata={"Software": None})
    return image.getvalue()
