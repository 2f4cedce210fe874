"""What the JSON files of a saved run must tell before anything is made of them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.nn.encoder import Architecture

FORMAT = 1


def read_header(path: Path, needed: dict[str, type]) -> dict[str, Any]:
    """A ``backbone.json`` or ``task.json`` with all that it must tell.

    Raises:
        CheckpointError: missing, damaged, of another format or incomplete.
    """
    _tell_what_is_missing(path)
    header = load_json(path)
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {header.get('format')!r}, not {FORMAT}"
        )
    for key, kind in needed.items():
        value = header.get(key)
        usable = isinstance(value, kind) and not isinstance(value, bool)
        if not usable or (kind is int and value < 1):
            raise CheckpointError(
                f"{path} has no usable {key!r}; it was not written by this program"
            )
    return header


def _tell_what_is_missing(path: Path) -> None:
    """Refuse a run that has no header, where it can be seen what it is instead."""
    if os.path.exists(path):
        return
    refuse_suite(path.parent)
    if os.path.exists(path.with_name("model.safetensors")):
        raise CheckpointError(
            f"{path}: no such file; this is the run of a model of RecBole, which tasks cannot "
            f"build on; name one of PeterRec, Conure or a backbone"
        )
    if os.path.exists(path.with_name("config.yaml")):
        raise CheckpointError(
            f"{path}: no such file; this run has not come so far; resume it, or name another"
        )


def refuse_suite(folder: Path) -> None:
    """Refuse a directory that holds runs and is none.

    Raises:
        CheckpointError: it is a suite's.
    """
    if os.path.exists(folder / "suite.json"):
        raise CheckpointError(
            f"{folder} is a suite, not a run; name one of its runs, {folder}/MODEL/seed-N"
        )


def require_pretrained(run_dir: Path, pretrain: dict[str, Any]) -> None:
    """Refuse a saved record of pretraining that tells of none, or not what results.json needs.

    Metrics of a split without rows are missing; with neither metrics nor epochs, the weights are
    random.

    Raises:
        CheckpointError: it is such a record.
    """
    splits = [pretrain.get(split) for split in ("valid", "test")]
    usable = (
        all(map(_are_metrics, splits))
        and all(_finite(pretrain.get(key)) for key in ("epochs", "seconds"))
        and _usable_beside(pretrain)
    )
    if not usable:
        raise CheckpointError(
            f"{run_dir}: backbone.json has no usable metrics of pretraining"
        )
    if not pretrain.get("epochs") and not any(splits):
        raise CheckpointError(
            f"{run_dir}: by its backbone.json, nothing was pretrained there"
        )


def require_record(record: Any, where: str) -> None:
    """Refuse a saved task's part of results.json of which no table can be made.

    Raises:
        CheckpointError: parts are missing or are not what they should be.
    """
    record = record if isinstance(record, dict) else {}
    counts = [record.get(f"{kind}_parameters") for kind in ("trainable", "total")]
    usable = (
        all(_are_metrics(record.get(key)) for key in ("instances", "valid", "test"))
        and all(_finite(record.get(key)) for key in ("labels", "epochs", "seconds"))
        and all(_finite(count) and count > 0 for count in counts)
        and _usable_beside(record)
    )
    if not usable:
        raise CheckpointError(f"{where} has no usable record of its metrics")


def _usable_beside(record: dict[str, Any]) -> bool:
    """Whether what some records have can be shown in a table: those of profiles (``label_cs``), of
    tasks of one network after another (``pretrain_test``), of a learner's (the others)."""
    splits = [record.get(key, {}) for key in ("before_pruning", "label_cs")]
    metrics = [record.get(key, {}) for key in ("test_after_all", "pretrain_test")]
    numbers = [
        record.get(key, 0)
        for key in ("prune_ratio", "capacity_free", "trainable_parameters")
    ]
    return (
        all(
            isinstance(of, dict) and all(map(_are_metrics, of.values()))
            for of in splits
        )
        and all(map(_are_metrics, metrics))
        and all(map(_finite, numbers))
    )


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_finite, value.values()))


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number larger than any float
        return False


def require_fit(
    run_dir: str | Path,
    header: dict[str, Any],
    name: str,
    architecture: Architecture,
    vocabulary: dict[str, Any],
) -> None:
    """Refuse a saved network that is not what this run's config and source describe.

    Args:
        run_dir: where it is saved.
        header: its ``backbone.json``.
        name: model name that the config asks for.
        architecture: that the config describes.
        vocabulary: description of this run's source items.

    Raises:
        CheckpointError: another item vocabulary, model or architecture.
    """
    saved = header["vocabulary"]
    if saved.get("sha256") != vocabulary["sha256"]:
        raise CheckpointError(
            f"{run_dir} was trained on another item vocabulary ({saved.get('items')} items, here "
            f"{vocabulary['items']}; the order in which they first appear counts too); use the "
            f"same source files and filters, or start anew"
        )
    given = {"model": header["model"], **header["architecture"]}
    for key, value in {"model": name, **architecture.as_dict()}.items():
        if given.get(key) != value:
            raise CheckpointError(
                f"{run_dir} has {key} {given.get(key)!r}, this config {value!r}; set the same, "
                f"or start anew"
            )
