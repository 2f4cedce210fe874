"""Names to classes and property files: ours first, RecBole's as the fallback."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from recbole.utils import get_model

from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.settings.literals import parse_literal, read_yaml

MODELS = {
    "NextItNetAR": "recbole_peterrec.model.nextitnet_ar",
    "GRec": "recbole_peterrec.model.grec",
    "PeterRec": "recbole_peterrec.model.peterrec",
    "Conure": "recbole_peterrec.model.conure",
}
BACKBONES = ("NextItNetAR", "GRec")
EXTENDS = "extends"  # the key of a property file that names another, and of no run
LIST = "suite"  # what a suite is called that is given as a list
# Keys by which the variants of PeterRec differ: what a result's name stands for.
STRATEGY = ("tuning", "pretrained", "carry_encoder", "joint_coefficient")


def properties_folder() -> Path:
    """Where the property files are: inside the installed package, else beside it."""
    package = Path(__file__).resolve().parent
    installed = package / "properties"
    return installed if installed.is_dir() else package.parent / "properties"


def _names(kind: str) -> list[str]:
    """Names of our property files of a kind, which is their folder."""
    return sorted(path.stem for path in (properties_folder() / kind).glob("*.yaml"))


def model_keys(name: str) -> dict[str, Any]:
    """What the property file of a model of ours holds."""
    return read_yaml(properties_folder() / "model" / f"{name}.yaml")


def _extended(name: str) -> str | None:
    """The model that a property file is a variant of (its key ``extends``), or None."""
    if name in MODELS or name not in _names("model"):
        return None
    return model_keys(name).get(EXTENDS)


def is_ours(name: str) -> bool:
    """Whether a model is one of ours, or a property file's that extends one."""
    return (_extended(name) or name) in MODELS


def _recbole_files() -> list[Path]:
    """Property files of RecBole's models, named as their classes: modules that need extra libraries
    are not imported."""
    import recbole

    return sorted(Path(recbole.__file__).parent.glob("properties/model/*.yaml"))


def _known_models() -> list[str]:
    return [*_names("model"), *(path.stem for path in _recbole_files())]


def model_class(name: str) -> type:
    """The class of a model.

    Args:
        name: one of ours, a property file's that extends one of ours, or RecBole's.

    Raises:
        ConfigError: no such model; the message suggests the nearest name.
    """
    name = _extended(name) or name
    if name in MODELS:
        return getattr(importlib.import_module(MODELS[name]), name)
    known = _known_models()
    if name not in known:
        raise ConfigError(f"unknown model {name!r}{did_you_mean(name, known)}")
    anomalies = torch.is_anomaly_enabled()
    try:
        return get_model(name)
    except ImportError as error:
        raise ConfigError(
            f"model {name} needs a package that is missing: {error}"
        ) from error
    finally:  # importing RecBole's SINE, and so any, slows all of the process's training
        torch.autograd.set_detect_anomaly(anomalies)


def require_strategy(name: str, given: Mapping[str, Any]) -> None:
    """Refuse values that make another strategy of a named one; PeterRec itself may have any.

    Raises:
        ConfigError: such a value. The coefficient of a joint strategy may be any above 0.
    """
    extended = _extended(name)
    if extended is None:
        return
    own = model_keys(extended) | model_keys(name)
    for key in STRATEGY:
        if key not in given or key not in own or given[key] == own[key]:
            continue
        if key == "joint_coefficient" and own[key] and given[key]:
            continue
        raise ConfigError(
            f"{key}: {name} stands for {own[key]!r}, got {given[key]!r}; leave it out, or set it "
            f"with --model={extended}"
        )


def require_backbone(name: str) -> None:
    """Raise :class:`ConfigError` unless a name is a backbone of ours."""
    _require_one_of("backbone", BACKBONES, name)


def property_files(model: str, dataset: str, protocol: str | None = None) -> list[Path]:
    """Our property files for a model and a dataset, in the order in which they are loaded.

    Args:
        model: ours, a variant's, or RecBole's.
        dataset: its name.
        protocol: experiment whose own files win: ``protocol/NAME.yaml`` over the model's,
            ``dataset/DATASET.NAME.yaml`` over the dataset's.
    """
    folder = properties_folder()
    names = [f"model/{name}.yaml" for name in (_extended(model), model) if name]
    names = ["overall.yaml", *names, f"dataset/{dataset}.yaml"]
    if protocol:
        names.insert(-1, f"protocol/{protocol}.yaml")
        names.append(f"dataset/{dataset}.{protocol}.yaml")
    return [folder / name for name in names if os.path.isfile(folder / name)]


def require_protocol(name: str) -> None:
    """Raise :class:`ConfigError` unless there is a file of the protocol."""
    _require_one_of("protocol", _names("protocol"), name)


def _require_one_of(key: str, known: Sequence[str], name: str) -> None:
    if name not in known:
        raise ConfigError(
            f"{key} must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
        )


def described_suite(value: Any) -> tuple[str, Any, dict[str, Any]]:
    """What the key ``suite`` stands for: its name, its list of models, and defaults for all of them.

    Args:
        value: the name of a file in ``properties/suite``, or the list, also as a text.

    Raises:
        ConfigError: neither.
    """
    if isinstance(value, str):
        value = parse_literal(value.strip())
    if not isinstance(value, str):
        return LIST, value, {}
    known = _names("suite")
    if value not in known:
        meant = did_you_mean(value, known)
        if "," in value and not value.startswith("["):
            meant = f"; did you mean '[{', '.join(map(str.strip, value.split(',')))}]'?"
        raise ConfigError(
            f"suite must be one of {', '.join(known)}, or a list of models such as [PeterRec, "
            f"FineAll], got {value!r}{meant}"
        )
    defaults = read_yaml(properties_folder() / "suite" / f"{value}.yaml")
    return value, defaults.pop("suite"), defaults


def first_of_suite(value: Any) -> str | None:
    """The first model of the key ``suite``; None where there is no suite, or no such model."""
    if value is None:
        return None
    _, models, _ = described_suite(value)
    first = models[0] if isinstance(models, (list, tuple)) and models else None
    first = first.get("model") if isinstance(first, dict) else first
    return first if isinstance(first, str) and first in _known_models() else None


def all_property_keys() -> set[str]:
    """Every key of every model's property file, RecBole's and ours: a file may serve several."""
    return set(_keys_with(properties_folder()))


@functools.cache
def _keys_with(ours: Path) -> frozenset[str]:
    """Keys of RecBole's files and of those below a folder: a hundred files, read once."""
    keys: set[str] = set()
    for path in [*_recbole_files(), *ours.glob("*/*.yaml")]:
        keys.update(read_yaml(path))
    return frozenset(keys - {EXTENDS})


def register() -> None:
    """Make the backbones known to stock RecBole by name; call it at the top of the main script.

    Afterwards ``recbole.quick_start.run_recbole(model="GRec", ...)`` finds the model, its dataset,
    its trainer and its property file. Calling it again does nothing.

    Raises:
        ConfigError: RecBole has something else by one of our names.
    """
    import recbole.data.dataset as datasets
    import recbole.trainer as trainers

    from recbole_peterrec.data.stock_dataset import StockSequenceDataset
    from recbole_peterrec.trainer.base import BackboneTrainer

    for name in BACKBONES:
        module = importlib.import_module(MODELS[name])
        alias = f"recbole.model.sequential_recommender.{name.lower()}"
        for owner, attribute, value in (
            (datasets, f"{name}Dataset", StockSequenceDataset),
            (trainers, f"{name}Trainer", BackboneTrainer),
        ):
            if getattr(owner, attribute, value) is not value:
                raise ConfigError(
                    f"RecBole already has a {attribute}; {name} is not registered"
                )
            setattr(owner, attribute, value)
        if sys.modules.get(alias, module) is not module or (
            alias not in sys.modules and _recbole_has(name)
        ):
            raise ConfigError(
                f"RecBole already has a model {name}; ours is not registered"
            )
        sys.modules[alias] = module
    _serve_property_files()


def _recbole_has(name: str) -> bool:
    """Whether RecBole has a sequential model, by its file: importing them all, SINE among them,
    would turn torch's anomaly mode on for the process."""
    import recbole.model

    folder = Path(recbole.model.__file__).parent / "sequential_recommender"
    return (folder / f"{name.lower()}.py").exists()


def _serve_property_files() -> None:
    """Let RecBole's own ``Config`` load our property files for our models, and only for them."""
    from recbole.config import Config

    load = Config._load_internal_config_dict
    if getattr(load, "serves_peterrec", False):
        return

    def _load_internal_config_dict(self, model, model_class, dataset):
        load(self, model, model_class, dataset)
        if type(self) is Config and model in BACKBONES:
            gpu = self.internal_config_dict["gpu_id"]
            for path in property_files(model, dataset):
                self._update_internal_config_dict(path)
            # RecBole hands it to CUDA as it is; that all GPUs may be meant only ours knows.
            self.internal_config_dict["gpu_id"] = gpu

    _load_internal_config_dict.serves_peterrec = True
    Config._load_internal_config_dict = _load_internal_config_dict
