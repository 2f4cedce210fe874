"""What a suite runs: its models, their settings and seeds, from the keys ``suite`` and ``seeds``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recbole_peterrec import registry
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.defaults import merged_keys
from recbole_peterrec.settings.given import GIVEN, KEYS
from recbole_peterrec.settings.keys import PATHS
from recbole_peterrec.writing import FOLDER_NAME

# What tells a suite from a run, and what it sets for each of its runs.
OF_SUITE = ("suite", "seeds")
PLACES = ("run_dir", "resume", "seed")
# What all models of a suite share.
SHARED = (*OF_SUITE, *PLACES, "checkpoint_dir", "data_path", "dataset")
MAJORITY = "LabelCS"
# Names of what stands beside the models: in the tables, and in the suite's directory.
TAKEN = (MAJORITY, "config.yaml", "results.md", "run.log", "suite.json")
# Keys of files that an entry is not, and what to do instead.
OF_FILES = {
    "config_files": "give its keys in the entry, or files for all models outside of the list",
    "extends": "take model, and give the keys by which the entry differs",
}
# Bounds of a stage of its own, which in a suite's file give way to a user's bound of all.
BOUNDS = ("pretrain_epochs", "finetune_epochs", "retrain_epochs")


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
        return {**merged_keys(self.keys, entry.settings), "seed": seed, **places}


def is_suite(config: Config) -> bool:
    """Whether a config asks for more than one run."""
    return any(config[key] is not None for key in OF_SUITE)


def plan(config: Config, model: str | None) -> Suite:
    """The suite that a config asks for.

    Args:
        config: with ``suite``, ``seeds`` or both; of any model.
        model: that was asked for beside it.

    Raises:
        ConfigError: no such suite, an entry that cannot be, or two of one name.
    """
    model = model or config.given.get("model")
    if config["suite"] is None:
        name, models, defaults = config["model"], [config["model"]], {}
    elif model:
        raise ConfigError(f"suite names its models; leave out model {model}")
    else:
        name, models, defaults = registry.described_suite(config["suite"])
    resolved = config.resolved()
    given = resolved[GIVEN][KEYS]
    if "epochs" in given:
        defaults = {key: v for key, v in defaults.items() if key not in BOUNDS}
    keys = merged_keys(defaults, given)
    keys |= {key: resolved[key] for key in ("data_path", "checkpoint_dir")}
    seeds = tuple(config["seeds"] or [config["seed"]])
    for key in (*OF_SUITE, *PLACES):
        keys.pop(key, None)
    return Suite(name, config.dataset, _entries(models), seeds, keys)


def _entries(models: Any) -> tuple[Entry, ...]:
    if not isinstance(models, list) or not models:
        raise ConfigError(
            f"suite must be the name of one or a list of models such as [PeterRec, FineAll], "
            f"got {models!r}"
        )
    entries: list[Entry] = []
    for number, part in enumerate(models, 1):
        entry = _entry(part, f"suite: entry {number}")
        # Some systems take names that differ only in case for one folder.
        if entry.name.lower() in [other.name.lower() for other in entries]:
            raise ConfigError(
                f"suite: {entry.name!r} is there twice (upper and lower case are alike); give "
                f"entries names of their own, such as "
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
            f"{where}: a name is up to 100 letters, digits, '_', '-' and '.', of which the first "
            f"is a letter or a digit, got {name!r}"
        )
    if name.lower() in map(str.lower, TAKEN):
        raise ConfigError(
            f"{where}: {name} stands for something else; take another name"
        )
    for key in SHARED:
        if key in settings:
            raise ConfigError(
                f"{where}: {key} is the same for all models of a suite; set it outside of the list"
            )
    for key, instead in OF_FILES.items():
        if key in settings:
            raise ConfigError(f"{where}: {key} has no effect there; {instead}")
    for key in PATHS:  # they hold wherever the suite goes on
        if isinstance(settings.get(key), str) and settings[key]:
            settings[key] = os.path.abspath(settings[key])
    try:
        registry.model_class(model)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return Entry(name, model, settings)
