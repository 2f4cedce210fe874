"""A Conure learner on disk: all weights once, one byte of ownership each, and small heads."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_peterrec.checkpoint import (
    TRAINING,
    alike,
    load_tensors,
    save_json,
    save_tensors,
)
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.stored.header import FORMAT, read_header, refuse_suite
from recbole_peterrec.stored.networks import (
    BACKBONE,
    NEXT_ITEM_HEAD,
    OWNERSHIP,
    backbone_header,
    described_encoder,
    is_learner,
    next_item_network,
)
from recbole_peterrec.writing import FOLDER_NAME


def save_learner(
    run_dir: Path,
    backbone: str,
    learner: Learner,
    vocabulary: dict[str, Any],
    pretrain: dict[str, Any],
    max_length: int,
    told: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the learner's weights, owners and description; its tasks are written by
    :func:`save_learned_task`.

    Args:
        run_dir: where.
        backbone: its model name.
        learner: between two tasks.
        vocabulary: :func:`recbole_peterrec.data.vocabulary.describe` of the source's items.
        pretrain: the first task's record of results.json.
        max_length: longest history that the first task was trained on, in items.
        told: of each later task, as of :func:`save_learned_task`.
    """
    first = learner.tasks[0]
    with learner.viewing(first):  # LayerNorms of the first task are the encoder's own
        save_tensors(run_dir / BACKBONE, learner.stored_state())
    save_tensors(run_dir / OWNERSHIP, learner.owner_maps())
    save_tensors(run_dir / NEXT_ITEM_HEAD, learner.heads[first].state_dict())
    header = backbone_header(
        backbone, learner.encoder, vocabulary, pretrain, max_length
    )
    header["learner"] = {
        "tasks": learner.tasks,
        "kinds": list(learner.kinds),
        "layernorm_per_task": learner.layernorm_per_task,
        "fingerprints": learner.fingerprints,
        "served": {name: _served(told[name]) for name in learner.tasks[1:]},
    }
    save_json(run_dir / "backbone.json", header)


def save_learned_task(
    run_dir: Path, name: str, learner: Learner, told: dict[str, Any]
) -> None:
    """Write ``tasks/<name>``: the head, LayerNorms of its own, and what ``told`` says.

    Args:
        run_dir: where.
        name: of a kept task, not the first.
        learner: it.
        told: kind, tokens of the labels, pooling, longest history, record of results.json.
    """
    folder = run_dir / "tasks" / name
    head = {f"head.{key}": v for key, v in learner.heads[name].state_dict().items()}
    norms = {f"encoder.{key}": v for key, v in learner.norms(name).items()}
    save_tensors(folder / "weights.safetensors", head | norms)
    save_json(folder / "task.json", {"format": FORMAT, "name": name, **told})


def _served(told: Mapping[str, Any]) -> str:
    """SHA-256 of what a task is served by beside its weights."""
    parts = [told[key] for key in ("labels", "pooling", "max_length")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def holds_more(run_dir: Path, learner: Learner) -> bool:
    """Whether a run's directory has all that a learner has learned, and later tasks: those of a
    resumed run, which comes by its earlier states once more.

    Args:
        run_dir: where the learner is saved, if it is.
        learner: between two tasks.
    """
    try:
        told = read_header(run_dir / "backbone.json", {"learner": dict})["learner"]
    except CheckpointError:  # none, or none that is of use
        return False
    names, prints = told.get("tasks"), told.get("fingerprints")
    return (
        isinstance(names, list)
        and isinstance(prints, dict)
        and len(names) > len(learner.tasks)
        and names[: len(learner.tasks)] == learner.tasks
        and all(
            prints.get(name) == learner.fingerprints[name] for name in learner.tasks
        )
    )


def open_learner(
    run_dir: str | Path,
) -> tuple[Learner, dict[str, dict[str, Any]], dict[str, Any]]:
    """A saved learner, every task's fingerprint checked, and what else it is served by.

    Args:
        run_dir: of a run; one that has not ended has the tasks that it has kept.

    Returns:
        The learner; the content of each later task's ``task.json``; ``backbone.json``.

    Raises:
        CheckpointError: files missing, damaged or not fitting each other.
    """
    run_dir = Path(run_dir)
    try:
        return _open(run_dir)
    except CheckpointError as error:
        if os.path.isdir(run_dir / TRAINING):
            raise CheckpointError(
                f"{error}; the run has not ended: finish it with --resume={run_dir}"
            ) from error
        raise


def _open(
    run_dir: Path,
) -> tuple[Learner, dict[str, dict[str, Any]], dict[str, Any]]:
    header_path = run_dir / "backbone.json"
    if not is_learner(run_dir):
        refuse_suite(run_dir)
        raise CheckpointError(
            f"{run_dir} holds no learner ({OWNERSHIP} is missing); name the run directory of a "
            f"Conure run"
        )
    needed = ("architecture", "vocabulary", "learner", "pretrain")
    header = read_header(
        header_path,
        {"model": str, "max_length": int, **dict.fromkeys(needed, dict)},
    )
    told = header["learner"]
    try:
        names, prints = list(told["tasks"]), dict(told["fingerprints"])
        served = dict(told.get("served", {}))  # earlier versions do not tell
        encoder = described_encoder(header_path, header)
        learner = Learner(encoder, tuple(told["kinds"]), told["layernorm_per_task"])
        named = all(re.fullmatch(FOLDER_NAME, name) for name in names)
        if not named or len(set(names)) < len(names):
            raise ValueError(f"its tasks are {names!r}")
        first = names[0]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{header_path} describes no learner ({error})") from None
    _load(learner.stored_state(), run_dir / BACKBONE)
    _load_owners(learner, run_dir / OWNERSHIP, len(names))
    shape = encoder.architecture
    head = nn.Linear(shape.embedding_size, shape.items)
    _load(head.state_dict(), run_dir / NEXT_ITEM_HEAD)
    learner.adopt(first, head)
    tasks = {name: _adopt_task(learner, run_dir / "tasks" / name) for name in names[1:]}
    for name in names:
        if learner.fingerprints[name] != prints.get(name):
            raise CheckpointError(
                f"{run_dir}: task {name!r} is not what it was when it was learned (its "
                f"fingerprint differs); use another copy of this run"
            )
        if name in served and served[name] != _served(tasks[name]):
            raise CheckpointError(
                f"{run_dir}: the labels, pooling or max_length of task {name!r} are not what they "
                f"were when it was learned; put its task.json back"
            )
    return learner, tasks, header


def _adopt_task(learner: Learner, folder: Path) -> dict[str, Any]:
    header = read_header(
        folder / "task.json", {"labels": list, "pooling": str, "max_length": int}
    )
    head = nn.Linear(learner.encoder.architecture.embedding_size, len(header["labels"]))
    weights = load_tensors(folder / "weights.safetensors")
    norms = {
        key.removeprefix("encoder."): weights.pop(key)
        for key in list(weights)
        if key.startswith("encoder.")
    }
    own = {f"head.{key}": value for key, value in head.state_dict().items()}
    _copy(own, weights, folder / "weights.safetensors")
    first = learner.norms(learner.tasks[0])
    if {k: v.shape for k, v in norms.items()} != {k: v.shape for k, v in first.items()}:
        raise CheckpointError(
            f"{folder}: weights.safetensors has other LayerNorms than its learner"
        )
    learner.adopt(folder.name, head, norms)
    return header


def open_network(
    learner: Learner, task: str, header: dict[str, Any], path: Path
) -> TaskNetwork:
    """A task's network on the learner's encoder; the first one's predicts the next item.

    Args:
        learner: it.
        task: one that it keeps.
        header: the task's ``task.json``; of the first, ``backbone.json``.
        path: the learner's, for the message.

    Raises:
        CheckpointError: the header names a pooling that there is not.
    """
    encoder = learner.encoder
    if task == learner.tasks[0]:
        network = next_item_network(encoder, header)
    else:
        try:
            network = TaskNetwork(encoder, header["pooling"], len(header["labels"]))
        except ValueError as error:
            raise CheckpointError(f"{path}: task {task!r}: {error}") from error
    network.head = learner.heads[task]
    return network


def _load(state: dict[str, torch.Tensor], path: Path) -> None:
    _copy(state, load_tensors(path), path)


def _copy(
    state: dict[str, torch.Tensor], given: dict[str, torch.Tensor], path: Path
) -> None:
    """Copy tensors into others of the same names, shapes and types."""
    if not alike(state, given):
        raise CheckpointError(f"{path} does not fit the learner beside it")
    with torch.no_grad():
        for name, value in given.items():
            state[name].copy_(value)


def _load_owners(learner: Learner, path: Path, tasks: int) -> None:
    _load(learner.owner_maps(), path)
    for name, owner in learner.owner_maps().items():
        if int(owner.max()) > tasks:
            raise CheckpointError(
                f"{path}: {name} is owned by task {int(owner.max())} of {tasks}; it does not fit "
                f"the learner beside it"
            )
