"""Validation metrics epoch by epoch, for a script (curves.csv) and for the eye (curves.png)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recbole_peterrec.checkpoint import write_atomically

History = list[dict[str, float]]
TOGETHER = 20  # stages whose lines can be told apart in one panel, by as many colours
COLUMNS, WIDTH, HEIGHT = 8, 2.0, 1.6  # of the small panels of more stages; inches


def write_curves(
    run_dir: Path, histories: dict[str, History], ended: bool = False
) -> None:
    """Write ``curves.csv`` and ``curves.png``.

    The picture of many stages waits for the end of the run: drawn after each of a hundred tasks,
    it would take a quarter of the run's time.

    Args:
        run_dir: where.
        histories: validated epochs of each stage, in order.
        ended: whether no stage will follow.
    """
    write_atomically(run_dir / "curves.csv", _csv(histories))
    many = len(histories) > TOGETHER
    if many and ended:
        write_atomically(run_dir / "curves.png", _png(_small_panels(histories)))
    elif not many and not ended:
        write_atomically(run_dir / "curves.png", _png(_one_panel_a_metric(histories)))


def _csv(histories: dict[str, History]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "epoch", "metric", "value"])
    for stage, history in histories.items():
        for entry in history:
            for metric, value in entry.items():
                if metric != "epoch":
                    writer.writerow([stage, entry["epoch"], metric, value])
    return text.getvalue().encode()


def _one_panel_a_metric(histories: dict[str, History]) -> Figure:
    """Stages beside each other, a line each."""
    metrics = _metrics(histories)
    figure = Figure(figsize=(5 * max(1, len(metrics)), 4), layout="constrained")
    colours = [f"C{n}" for n in range(10)]
    if len(histories) > len(colours):
        colours = list(colormaps["tab20"].colors)
    for column, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(1, len(metrics), column)
        for (stage, history), colour in zip(histories.items(), colours, strict=False):
            _plot(axes, history, metric, color=colour, label=stage, marker=".")
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {metric}")
        axes.legend(fontsize=None if len(histories) <= 10 else "x-small")
    return figure


def _small_panels(histories: dict[str, History]) -> Figure:
    """A panel for each stage, with a line a metric; all have the same legend."""
    metrics = _metrics(histories)
    rows = -(-len(histories) // COLUMNS)
    height = HEIGHT * (rows + 0.5)  # half a row for the legend
    figure = Figure(figsize=(WIDTH * COLUMNS, height))
    figure.subplots_adjust(0.03, 0.3 / height, 0.99, 1 - 0.8 / height, 0.3, 0.5)
    for place, (stage, history) in enumerate(histories.items(), 1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        for number, metric in enumerate(metrics):
            _plot(axes, history, metric, color=f"C{number}", marker=".", markersize=3)
        axes.set_title(stage, fontsize=7)
        axes.tick_params(labelsize=6)
        axes.locator_params(axis="x", nbins=4, integer=True)
        axes.locator_params(axis="y", nbins=4)
    figure.legend(
        [Line2D([], [], color=f"C{number}") for number in range(len(metrics))],
        [f"validation {metric} by epoch" for metric in metrics],
        loc="upper center",
        ncols=len(metrics) or 1,
    )
    return figure


def _metrics(histories: dict[str, History]) -> Sequence[str]:
    """The metrics of all stages, in the order in which they first come."""
    entries = [entry for history in histories.values() for entry in history]
    names = dict.fromkeys(name for entry in entries for name in entry)
    return [name for name in names if name not in ("epoch", "loss")]


def _plot(axes: Axes, history: History, metric: str, **looks: object) -> None:
    """A stage's line, if it has the metric."""
    points = [(e["epoch"] + 1, e[metric]) for e in history if metric in e]
    if points:
        axes.plot(*zip(*points, strict=True), **looks)


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(image, format="png", dpi=100, metadata={"Software": None})
    return image.getvalue()
