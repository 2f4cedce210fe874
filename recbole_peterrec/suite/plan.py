"""What a suite runs: its models, their settings and seeds, from the keys ``suite`` and ``seeds``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from recbole_peterrec import registry
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.settings.given import GIVEN, KEYS
from recbole_peterrec.settings.literals import Loader, read_yaml
from recbole_peterrec.writing import FOLDER_NAME

# What tells a suite from a run, and what it sets for each of its runs.
OF_SUITE = ("suite", "seeds")
PLACES = ("run_dir", "resume", "seed")
# What all models of a suite share.
SHARED = (*OF_SUITE, *PLACES, "checkpoint_dir", "data_path", "dataset")


@dataclass(frozen=True)
class Entry:
    """One model of a suite.

    Attributes:
        name: what its rows and its folder are called.
        model: its model.
        settings: keys by which it differs from the rest of the suite.
    """

    name: str
    model: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Suite:
    """Models that are run with the same seeds on the same data.

    Attributes:
        name: of its property file; of a list of models ``suite``, of one model its name.
        dataset: of all runs.
        entries: the models; differences are of the first to each other one.
        seeds: of data splits, negatives, weights and training.
        keys: of all runs, below each entry's own.
    """

    name: str
    dataset: str
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...]
    keys: Mapping[str, Any]

    def content(self) -> dict[str, Any]:
        """Of its ``config.yaml``, from which it is planned again."""
        entries = [
            {"name": entry.name, "model": entry.model, **entry.settings}
            for entry in self.entries
        ]
        own = {"suite": entries, "seeds": list(self.seeds), "dataset": self.dataset}
        return {**self.keys, **own}

    def runs(self) -> Iterator[tuple[int, Entry]]:
        """Seeds and models in the order in which they are run: all models of a seed, then the next
        seed, so that what is there at any time can be compared."""
        for seed in self.seeds:
            for entry in self.entries:
                yield seed, entry

    def config(self, entry: Entry, seed: int, **places: Any) -> dict[str, Any]:
        """Keys of one run, for a ``config_dict`` beside its model and dataset.

        Args:
            entry: of the suite.
            seed: of the suite.
            places: keys of this run alone; they win.
        """
        return {**self.keys, **entry.settings, "seed": seed, **places}


def is_suite(config: Config) -> bool:
    """Whether a config asks for more than one run."""
    return any(config[key] is not None for key in OF_SUITE)


def plan(config: Config, model: str | None) -> Suite:
    """The suite that a config asks for.

    Args:
        config: with ``suite``, ``seeds`` or both; of any model.
        model: that was asked for beside it.

    Raises:
        ConfigError: no such suite, an entry that cannot be, two of one name, seeds that are no
            seeds, or a key that the suite sets for its runs.
    """
    model = model or config.given.get("model")
    value = config["suite"]
    if value is None:
        value, name = [model or config["model"]], model or config["model"]
    elif model:
        raise ConfigError(f"suite names its models; leave out model {model}")
    else:
        name = value if isinstance(value, str) else "suite"
    value, defaults = _described(value)
    if name.startswith("["):
        name = "suite"
    resolved = config.resolved()
    given = resolved[GIVEN][KEYS]
    keys = {**defaults, **given, "data_path": resolved["data_path"]}
    seeds = keys.pop("seeds", None)
    if seeds is None:
        seeds = [config["seed"]]
    elif "seed" in given:
        raise ConfigError("seeds and seed are both given; leave one out")
    for key in (*OF_SUITE, *PLACES):
        keys.pop(key, None)
    return Suite(name, config.dataset, _entries(value), tuple(seeds), keys)


def _described(value: Any) -> tuple[Any, dict[str, Any]]:
    """The list of a suite's models, and keys of all of them: from its file, or a list itself."""
    if not isinstance(value, str):
        return value, {}
    if value.lstrip().startswith("["):  # a flag's, with names that have no quotes
        try:
            return yaml.load(value, Loader=Loader), {}
        except yaml.YAMLError as error:
            raise ConfigError(f"suite: {value!r} is no list") from error
    folder = registry.properties_folder() / "suite"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if value not in known:
        raise ConfigError(
            f"suite must be one of {', '.join(known)}, or a list of models, got {value!r}"
            f"{did_you_mean(value, known)}"
        )
    defaults = read_yaml(folder / f"{value}.yaml")
    return defaults.pop("suite"), defaults


def _entries(value: Any) -> tuple[Entry, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"suite must be the name of one or a list of models such as [PeterRec, FineAll], "
            f"got {value!r}"
        )
    entries: list[Entry] = []
    for number, part in enumerate(value, 1):
        entry = _entry(part, f"suite: entry {number}")
        if entry.name in [other.name for other in entries]:
            raise ConfigError(
                f"suite: {entry.name!r} is there twice; give entries names of their own, such as "
                f"{{name: {entry.name}-2, model: {entry.model}, ...}}"
            )
        entries.append(entry)
    return tuple(entries)


def _entry(part: Any, where: str) -> Entry:
    if isinstance(part, str):
        part = {"model": part}
    if not isinstance(part, dict) or not isinstance(part.get("model"), str):
        raise ConfigError(
            f"{where} must be a model, or {{name: NAME, model: MODEL, KEY: VALUE}}, got {part!r}"
        )
    settings = dict(part)
    model = settings.pop("model")
    name = settings.pop("name", model)
    if not isinstance(name, str) or not re.fullmatch(FOLDER_NAME, name):
        raise ConfigError(
            f"{where}: a name is up to 100 letters, digits, '_', '-' and '.', got {name!r}"
        )
    for key in SHARED:
        if key in settings:
            raise ConfigError(
                f"{where}: {key} is the same for all models of a suite; set it outside of the list"
            )
    registry.model_class(model)
    return Entry(name, model, settings)
