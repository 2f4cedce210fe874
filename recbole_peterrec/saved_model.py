"""A run's model on disk: the backbone once, and each task's patches and head in a small file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json, load_tensors, save_json, save_tensors
from recbole_peterrec.data.vocabulary import fingerprint
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.nn.encoder import DilatedEncoder
from recbole_peterrec.version import __version__

FORMAT = 1
# What a task's network needs, beside the backbone, to be built again.
TASK_SETTINGS = (
    "tuning",
    "tune_layers",
    "tune_layernorm",
    "pooling",
    "patch_insertion",
    "patch_count",
    "patch_reduction",
    "patch_activation",
    "patch_cardinality",
    "loss_type",
    "MAX_ITEM_LIST_LENGTH",
)


def save_backbone(
    run_dir: Path, name: str, model: Backbone, source, pretrain: dict[str, Any]
) -> None:
    """Write ``backbone.safetensors``, ``backbone.json`` and the pretraining's classification layer.

    Args:
        run_dir: where.
        name: the backbone's model name.
        model: the trained model.
        source: the dataset whose items it knows.
        pretrain: the record of results.json.
    """
    save_tensors(run_dir / "backbone.safetensors", model.encoder.state_dict())
    save_tensors(run_dir / "pretraining_head.safetensors", model.output.state_dict())
    save_json(
        run_dir / "backbone.json",
        {
            "format": FORMAT,
            "version": __version__,
            "model": name,
            "architecture": model.encoder.architecture.as_dict(),
            "vocabulary": {
                "field": source.iid_field,
                "items": source.item_num - 1,
                "sha256": fingerprint(source, source.iid_field),
            },
            "pretrain": pretrain,
        },
    )


def load_backbone(run_dir: str | Path, name: str, encoder: DilatedEncoder, source) -> dict:
    """Load a saved backbone into an encoder of the same architecture.

    Args:
        run_dir: directory of the run that saved it.
        name: model name that this run's config asks for.
        encoder: receives the weights.
        source: this run's source dataset.

    Returns:
        The record of its pretraining.

    Raises:
        CheckpointError: files missing or damaged, another architecture or item vocabulary.
    """
    run_dir = Path(run_dir)
    header = load_json(run_dir / "backbone.json")
    try:
        if header["format"] != FORMAT:
            raise CheckpointError(f"{run_dir}: backbone.json has format {header['format']!r}")
        saved = {"model": header["model"], **header["architecture"]}
        vocabulary, pretrain = header["vocabulary"], header["pretrain"]
        known_items, known_hash = vocabulary["items"], vocabulary["sha256"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{run_dir}: backbone.json lacks {error}") from error
    if known_hash != fingerprint(source, source.iid_field):
        raise CheckpointError(
            f"{run_dir}: its backbone was trained on another item vocabulary ({known_items} items; "
            f"{source.dataset_name} has {source.item_num - 1} under this config); use the same "
            f"source files and filters, or pretrain anew"
        )
    wanted = {"model": name, **encoder.architecture.as_dict()}
    for key, value in wanted.items():
        if saved.get(key) != value:
            raise CheckpointError(
                f"{run_dir}: its backbone has {key} {saved.get(key)!r}, this config has {value!r}; "
                f"set the same, or pretrain anew"
            )
    _load_into(encoder, run_dir / "backbone.safetensors")
    return pretrain


def _load_into(module, path: Path) -> None:
    tensors = load_tensors(path)
    expected = {key: value.shape for key, value in module.state_dict().items()}
    if {key: value.shape for key, value in tensors.items()} != expected:
        raise CheckpointError(f"{path} does not hold the weights that its backbone.json describes")
    module.load_state_dict(tensors)


def save_task(run_dir: Path, config, model: PeterRec, dataset, record: dict[str, Any]) -> None:
    """Write ``tasks/<name>/weights.safetensors`` and ``task.json``.

    Args:
        run_dir: where.
        config: the task's config.
        model: its trained network.
        dataset: its instances; their label tokens are saved.
        record: the task's part of results.json.
    """
    folder = run_dir / "tasks" / config["task"]
    save_tensors(folder / "weights.safetensors", model.trained_state())
    save_json(
        folder / "task.json",
        {
            "format": FORMAT,
            "name": config["task"],
            "kind": record["kind"],
            "labels": dataset.labels,
            "settings": {key: config[key] for key in TASK_SETTINGS},
            "metrics": {"valid": record["valid"], "test": record["test"]},
        },
    )
