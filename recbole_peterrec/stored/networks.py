"""A run's model on disk: the backbone once, and each task's patches and head in a small file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from recbole_peterrec.checkpoint import (
    alike,
    load_tensors,
    save_json,
    save_tensors,
)
from recbole_peterrec.errors import CheckpointError, ConfigError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.model.task_network import TaskNetwork, tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.digest import tensors_digest
from recbole_peterrec.nn.encoder import Encoder
from recbole_peterrec.registry import model_class
from recbole_peterrec.stored.header import (
    FORMAT,
    read_header,
    require_fit,
    require_pretrained,
)
from recbole_peterrec.version import __version__

PRETRAINING = "pretraining"  # name of the source among tasks: the first thing learned
BACKBONE = "backbone.safetensors"
NEXT_ITEM_HEAD = "pretraining_head.safetensors"
OWNERSHIP = "ownership.safetensors"  # there is one where the network is a learner


def is_learner(run_dir: str | Path) -> bool:
    """Whether a run directory holds a learner of Conure's."""
    return os.path.isfile(Path(run_dir) / OWNERSHIP)


def save_backbone(
    run_dir: Path,
    name: str,
    model: Backbone,
    vocabulary: dict[str, Any],
    pretrain: dict[str, Any],
    max_length: int,
    origin: Path | None = None,
) -> str:
    """Write ``backbone.safetensors``, ``backbone.json`` and the pretraining's classification layer.

    Args:
        run_dir: where.
        name: the backbone's model name.
        model: the trained model.
        vocabulary: :func:`recbole_peterrec.data.vocabulary.describe` of the source's items.
        pretrain: the record of results.json.
        max_length: longest history that it was trained on, in items.
        origin: run directory from which it was loaded, whose files of weights need not be copied.

    Returns:
        Digest of the encoder's weights.
    """
    weights = tensors_digest(model.encoder.state_dict())
    for file, module in ((BACKBONE, model.encoder), (NEXT_ITEM_HEAD, model.output)):
        save_tensors(run_dir / file, module.state_dict(), origin and origin / file)
    header = backbone_header(name, model.encoder, vocabulary, pretrain, max_length)
    header |= {"weights": weights, "head": tensors_digest(model.output.state_dict())}
    save_json(run_dir / "backbone.json", header)
    return weights


def backbone_header(
    name: str,
    encoder: Encoder,
    vocabulary: dict[str, Any],
    pretrain: dict[str, Any],
    max_length: int,
) -> dict[str, Any]:
    """What every ``backbone.json`` tells; arguments as of :func:`save_backbone`."""
    return {
        "format": FORMAT,
        "version": __version__,
        "model": name,
        "architecture": encoder.architecture.as_dict(),
        "vocabulary": vocabulary,
        "pretrain": pretrain,
        "max_length": max_length,
    }


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
    folder, trained = run_dir / "tasks" / name, network.trained_state()
    save_tensors(folder / "weights.safetensors", trained)
    content = {"format": FORMAT, "name": name, "tuning": tuning.as_dict(), **record}
    content["weights"] = tensors_digest(trained)
    save_json(folder / "task.json", content)


def load_backbone(
    run_dir: str | Path,
    name: str,
    encoder: Encoder,
    vocabulary: dict[str, Any],
    output: nn.Module,
) -> dict[str, Any]:
    """Load a saved backbone into an encoder of the same architecture and vocabulary.

    Args:
        run_dir: directory of the run that saved it.
        name: model name that this run's config asks for.
        encoder: receives the weights.
        vocabulary: description of this run's source items.
        output: receives the pretraining's classification layer.

    Returns:
        Its header, with the record of its pretraining.

    Raises:
        CheckpointError: files missing or damaged, another architecture or item vocabulary.
    """
    run_dir = Path(run_dir)
    if is_learner(run_dir):
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
    _load_told(run_dir, header, "weights", encoder)
    _load_told(run_dir, header, "head", output)
    return header


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
    run_dir = Path(run_dir)
    path = run_dir / "backbone.json"
    needed = {"model": str, "architecture": dict, "vocabulary": dict}
    header = read_header(path, needed)
    encoder = described_encoder(path, header)
    _load_told(run_dir, header, "weights", encoder)
    return encoder, header


def _load_told(
    run_dir: Path, header: dict[str, Any], part: str, module: nn.Module
) -> None:
    """Load the encoder (``weights``) or the pretraining's classification layer (``head``), which
    must be what the ``backbone.json`` was written with. One of earlier versions does not tell.

    Raises:
        CheckpointError: missing, damaged, of another module or another run.
    """
    path = run_dir / {"weights": BACKBONE, "head": NEXT_ITEM_HEAD}[part]
    load_exactly(module, path)
    if header.get(part) not in (None, tensors_digest(module.state_dict())):
        raise CheckpointError(
            f"{run_dir / 'backbone.json'} was not written with the weights in {path.name}; use "
            f"another copy of this run"
        )


def open_task(
    run_dir: str | Path, name: str, encoder: Encoder, backbone: dict[str, Any]
) -> tuple[TaskNetwork, dict[str, Any]]:
    """A saved task's network on the run's encoder, and the task's header.

    Args:
        run_dir: of the run.
        name: of the task.
        encoder: of :func:`open_backbone`.
        backbone: the header that came with it. What is on disk now may be another run's.

    Raises:
        CheckpointError: no such task, or files damaged, another task's or not fitting the encoder.
    """
    folder = Path(run_dir) / "tasks" / name
    path = folder / "task.json"
    needed = {"name": str, "labels": list, "tuning": dict, "max_length": int}
    header = read_header(path, needed)
    if header["name"] != name:
        raise CheckpointError(
            f"{path} is that of task {header['name']!r}; put that of {name!r} back, or name the "
            f"folder {header['name']}"
        )
    learned_on = header.get("backbone")  # files of earlier versions do not tell
    if learned_on is not None and learned_on != backbone.get("weights"):
        raise CheckpointError(
            f"{path} was not written with the weights that were in {BACKBONE} when the model was "
            f"opened; open it anew, or use another copy of this run"
        )
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
    if header.get("weights") not in (None, tensors_digest(weights)):
        raise CheckpointError(
            f"{path} was not written with the weights in weights.safetensors, which are damaged or "
            f"another task's; use another copy of this run"
        )
    network.load_state_dict(weights, strict=False)
    return network, header


def open_next_item(
    run_dir: str | Path, encoder: Encoder, backbone: dict[str, Any]
) -> tuple[TaskNetwork, dict[str, Any]]:
    """The network of the pretraining, which scores padding (column 0) and every source item.

    Args:
        run_dir: of the run.
        encoder: of :func:`open_backbone`.
        backbone: the header that came with it.

    Returns:
        The network and the backbone's header.

    Raises:
        CheckpointError: nothing was pretrained, the run was written anew meanwhile, or its
            classification layer is missing, damaged or does not fit.
    """
    run_dir = Path(run_dir)
    header = read_header(
        run_dir / "backbone.json", {"max_length": int, "pretrain": dict}
    )
    if header != backbone:
        raise CheckpointError(
            f"{run_dir} was written anew since the model was opened; open it anew"
        )
    require_pretrained(run_dir, header["pretrain"])
    network = next_item_network(encoder, header)
    _load_told(run_dir, header, "head", network.head)
    return network, header


def next_item_network(encoder: Encoder, header: dict[str, Any]) -> TaskNetwork:
    """What predicts the next item of the source by the encoder that a ``backbone.json`` describes,
    on a head of random weights."""
    reads = model_class(header["model"]).reads
    return TaskNetwork(encoder, reads, encoder.architecture.items)


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
