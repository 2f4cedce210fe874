"""Which tasks a run directory has, and whether they build on a backbone that is open already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.stored.header import read_header
from recbole_peterrec.stored.networks import is_learner


def told_tasks(run_dir: Path) -> list[str]:
    """Tasks that a run's ``results.json`` tells of, in the order in which it learned them; none
    where it is missing, or tells no order.

    Raises:
        CheckpointError: it is damaged.
    """
    file = run_dir / "results.json"
    order = load_json(file).get("tasks") if file.is_file() else None
    return list(order) if isinstance(order, dict) else []


def saved_tasks(run_dir: Path) -> list[str]:
    """Tasks whose files a run has, in the order of :func:`told_tasks`, others by name behind.

    Raises:
        CheckpointError: as of :func:`told_tasks`.
    """
    saved = {path.parent.name for path in run_dir.glob("tasks/*/task.json")}
    learned = [name for name in told_tasks(run_dir) if name in saved]
    return learned + sorted(saved.difference(learned))


def missing_task(run_dir: Path, task: str) -> str:
    """What to tell of a task of :func:`told_tasks` that :func:`saved_tasks` lacks."""
    return (
        f"{run_dir}: results.json tells of task {task!r}, and tasks/{task}/task.json is missing; "
        f"put its folder back"
    )


def require_same_backbone(
    run_dir: Path, opened: Mapping[str, Any], opened_dir: Path
) -> None:
    """Refuse a run whose tasks were learned on other weights than an open backbone's.

    Only its ``backbone.json`` is read; each task tells by itself what it was learned on.

    Args:
        run_dir: of the run.
        opened: ``backbone.json`` of the open backbone, whose weights were checked against it.
        opened_dir: where that is.

    Raises:
        CheckpointError: they were, or it cannot be told; a Conure learner; files missing or
            damaged.
    """
    if is_learner(run_dir):
        raise CheckpointError(
            f"{run_dir} holds a Conure learner, whose newest run has all of its tasks; open that "
            f"as a model of its own"
        )
    header = read_header(
        run_dir / "backbone.json", {"weights": str, "vocabulary": dict}
    )
    vocabularies = header["vocabulary"], opened["vocabulary"]
    items, opened_items = (told.get("sha256") for told in vocabularies)
    if header["weights"] != opened.get("weights") or items != opened_items:
        raise CheckpointError(
            f"{run_dir}: its tasks were learned on another backbone than that of {opened_dir}; "
            f"open it as a model of its own"
        )
