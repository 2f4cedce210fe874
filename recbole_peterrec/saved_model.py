"""A run's model on disk: the backbone once, and each task's patches and head in a small file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from torch import nn

from recbole_peterrec.checkpoint import (
    alike,
    load_json,
    load_tensors,
    save_json,
    save_tensors,
    tensors_digest,
)
from recbole_peterrec.errors import CheckpointError, ConfigError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.model.task_network import TaskNetwork, Tuning, tuned_network
from recbole_peterrec.nn.encoder import Architecture, Encoder
from recbole_peterrec.registry import model_class
from recbole_peterrec.version import __version__

FORMAT = 1
PRETRAINING = "pretraining"  # name of the source among tasks: the first thing learned
NEXT_ITEM_HEAD = "pretraining_head.safetensors"
TASK_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{,99}"  # of a folder
OWNERSHIP = "ownership.safetensors"  # there is one where the network is a learner


def save_backbone(
    run_dir: Path,
    name: str,
    model: Backbone,
    vocabulary: dict[str, Any],
    pretrain: dict[str, Any],
    max_length: int,
) -> str:
    """Write ``backbone.safetensors``, ``backbone.json`` and the pretraining's classification layer.

    Args:
        run_dir: where.
        name: the backbone's model name.
        model: the trained model.
        vocabulary: :func:`recbole_peterrec.data.vocabulary.describe` of the source's items.
        pretrain: the record of results.json.
        max_length: longest history that it was trained on, in items.

    Returns:
        Digest of the encoder's weights.
    """
    weights = tensors_digest(model.encoder.state_dict())
    save_tensors(run_dir / "backbone.safetensors", model.encoder.state_dict())
    save_tensors(run_dir / NEXT_ITEM_HEAD, model.output.state_dict())
    save_json(
        run_dir / "backbone.json",
        {
            "format": FORMAT,
            "version": __version__,
            "model": name,
            "architecture": model.encoder.architecture.as_dict(),
            "vocabulary": vocabulary,
            "pretrain": pretrain,
            "max_length": max_length,
            "weights": weights,
        },
    )
    return weights


def save_task(
    run_dir: Path,
    name: str,
    network: TaskNetwork,
    tuning: Tuning,
    record: dict[str, Any],
) -> None:
    """Write ``tasks/<name>/weights.safetensors`` and ``task.json``.

    Args:
        run_dir: where.
        name: of the task.
        network: trained.
        tuning: how it was made.
        record: what else the file tells: kind, tokens of the labels, metrics, longest history,
            ``backbone``, the digest of the weights that it builds on.
    """
    folder = run_dir / "tasks" / name
    save_tensors(folder / "weights.safetensors", network.trained_state())
    content = {"format": FORMAT, "name": name, "tuning": tuning.as_dict(), **record}
    save_json(folder / "task.json", content)


def read_header(path: Path, needed: dict[str, type]) -> dict[str, Any]:
    """A ``backbone.json`` or ``task.json`` with all that it must tell.

    Raises:
        CheckpointError: missing, damaged, of another format or incomplete.
    """
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


def require_pretrained(run_dir: Path, pretrain: dict[str, Any]) -> None:
    """Refuse a saved record of pretraining that tells of none, or not what results.json needs.

    Metrics of a split without rows are missing; with neither metrics nor epochs, the weights are
    random.
    """
    splits = [pretrain.get(split) for split in ("valid", "test")]
    usable = all(
        isinstance(metrics, dict) and all(_finite(value) for value in metrics.values())
        for metrics in splits
    )
    usable = usable and all(_finite(pretrain.get(k, 0)) for k in ("epochs", "seconds"))
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
    metrics = [record.get(split) for split in ("valid", "test")]
    counts = [record.get(f"{kind}_parameters") for kind in ("trainable", "total")]
    parts = [record.get("instances"), *metrics]
    usable = (
        all(isinstance(part, dict) for part in parts)
        and all(_finite(value) for part in parts for value in part.values())
        and all(_finite(record.get(key)) for key in ("labels", "epochs", "seconds"))
        and all(_finite(count) and count > 0 for count in counts)
    )
    if not usable:
        raise CheckpointError(f"{where} has no usable record of its metrics")


def _finite(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def load_backbone(
    run_dir: str | Path,
    name: str,
    encoder: Encoder,
    vocabulary: dict[str, Any],
    output: nn.Module | None = None,
) -> dict[str, Any]:
    """Load a saved backbone into an encoder of the same architecture and vocabulary.

    Args:
        run_dir: directory of the run that saved it.
        name: model name that this run's config asks for.
        encoder: receives the weights.
        vocabulary: description of this run's source items.
        output: receives the pretraining's classification layer, if wanted.

    Returns:
        Its header, with the record of its pretraining.

    Raises:
        CheckpointError: files missing or damaged, another architecture or item vocabulary.
    """
    run_dir = Path(run_dir)
    if os.path.exists(run_dir / OWNERSHIP):
        raise CheckpointError(
            f"{run_dir} holds a Conure learner, whose weights are several tasks'; name it with "
            f"continue_from, or give pretrained_path a backbone"
        )
    header = read_header(
        run_dir / "backbone.json",
        {
            "model": str,
            "max_length": int,
            **dict.fromkeys(("architecture", "vocabulary", "pretrain"), dict),
        },
    )
    require_pretrained(run_dir, header["pretrain"])
    require_fit(run_dir, header, name, encoder.architecture, vocabulary)
    load_exactly(encoder, run_dir / "backbone.safetensors")
    if output is not None:
        load_exactly(output, run_dir / NEXT_ITEM_HEAD)
    return header


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


def described_encoder(path: Path, header: dict[str, Any]) -> Encoder:
    """The encoder that a ``backbone.json`` describes, on random weights.

    Args:
        path: of the file.
        header: its content.

    Raises:
        CheckpointError: it describes none.
    """
    try:
        model = model_class(header["model"])
        if not issubclass(model, Backbone):
            raise ConfigError(f"{header['model']} is no backbone")
        return model.architecture_class.of(header["architecture"]).build()
    except (ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} describes no backbone ({error})") from error


def open_backbone(run_dir: str | Path) -> tuple[Encoder, dict[str, Any]]:
    """The saved encoder, built as its header describes it, and the header.

    Raises:
        CheckpointError: files missing, damaged or not fitting each other.
    """
    path = Path(run_dir) / "backbone.json"
    needed = {"model": str, "architecture": dict, "vocabulary": dict}
    header = read_header(path, needed)
    encoder = described_encoder(path, header)
    load_exactly(encoder, Path(run_dir) / "backbone.safetensors")
    _require_weights(path, header.get("weights"), encoder)
    return encoder, header


def _require_weights(path: Path, told: Any, encoder: Encoder) -> None:
    """Refuse an encoder whose weights are not those that a file tells of.

    Files of earlier versions tell of none.

    Raises:
        CheckpointError: they are others.
    """
    if told is not None and told != tensors_digest(encoder.state_dict()):
        raise CheckpointError(
            f"{path} was not written with the weights in backbone.safetensors; use another copy "
            f"of this run"
        )


def open_task(
    run_dir: str | Path, name: str, encoder: Encoder
) -> tuple[TaskNetwork, dict[str, Any]]:
    """A saved task's network on the run's encoder, and the task's header.

    Raises:
        CheckpointError: no such task, or files damaged or not fitting the encoder.
    """
    folder = Path(run_dir) / "tasks" / name
    path = folder / "task.json"
    header = read_header(path, {"labels": list, "tuning": dict, "max_length": int})
    _require_weights(path, header.get("backbone"), encoder)
    try:
        network = tuned_network(
            encoder, Tuning.of(header["tuning"]), len(header["labels"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} describes no task of this backbone ({error})"
        ) from error
    weights = load_tensors(folder / "weights.safetensors")
    if not alike(weights, network.trained_state()):
        raise CheckpointError(
            f"{folder}: weights.safetensors does not fit its task.json"
        )
    network.load_state_dict(weights, strict=False)
    return network, header


def open_next_item(
    run_dir: str | Path, encoder: Encoder
) -> tuple[TaskNetwork, dict[str, Any]]:
    """The network of the pretraining, which scores padding (column 0) and every source item.

    Returns:
        The network and the backbone's header.

    Raises:
        CheckpointError: nothing was pretrained, or its classification layer is missing, damaged
            or does not fit.
    """
    run_dir = Path(run_dir)
    header = read_header(
        run_dir / "backbone.json", {"max_length": int, "pretrain": dict}
    )
    require_pretrained(run_dir, header["pretrain"])
    causal = encoder.architecture.causal
    pooling = "last" if causal else "tcl_end"  # GRec predicts at a mask after the end
    network = TaskNetwork(encoder, pooling, encoder.architecture.items)
    load_exactly(network.head, run_dir / NEXT_ITEM_HEAD)
    return network, header


def load_exactly(module: nn.Module, path: Path) -> None:
    """Load a whole state; names, shapes and types must be the module's own.

    Raises:
        CheckpointError: missing, damaged, or of another module.
    """
    tensors = load_tensors(path)
    if not alike(tensors, module.state_dict()):
        raise CheckpointError(
            f"{path} does not hold the weights that the backbone.json beside it describes"
        )
    module.load_state_dict(tensors)
