"""The learner with which a Conure run begins: a new one, or a saved one that it goes on with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.settings.checks import check_values
from recbole_peterrec.stored.header import (
    require_fit,
    require_pretrained,
    require_record,
)
from recbole_peterrec.stored.learner import open_learner, open_network


@dataclass(frozen=True)
class Beginning:
    """A learner as a run finds it.

    Attributes:
        learner: it.
        max_length: longest history that its first task is trained on, in items.
        pretrain: record of results.json of its first task; empty if that is still to be learned.
        tasks: ``task.json`` of each later task that it has learned, by name.
    """

    learner: Learner
    max_length: int
    pretrain: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)


def begin(config: Config, source: SourceStage) -> Beginning:
    """What a config asks for: ``continue_from``, or a learner without tasks.

    Args:
        config: of the run. What a saved learner was begun with is written into it.
        source: the run's.

    Raises:
        UserError: a saved learner or backbone that cannot be used for this run.
    """
    if config["continue_from"]:
        return _saved(config, source)
    return _new(config, source)


def _new(config: Config, source: SourceStage) -> Beginning:
    """On random weights, or on a backbone of this run's source."""
    if config["pretrained_path"]:
        source.tell_other_rows(source.load(config["pretrained_path"])["pretrain"])
    kinds = ("convolution", "embedding")
    learner = Learner(
        source.model.encoder,
        kinds if config["prune_embeddings"] else kinds[:1],
        bool(config["layernorm_per_task"]),
    )
    return Beginning(learner, source.config.longest_history)


def _saved(config: Config, source: SourceStage) -> Beginning:
    """Checked against this run's source."""
    if config["pretrained_path"]:
        raise ConfigError(
            "continue_from has a first task already; leave out pretrained_path, or set it to ~"
        )
    run_dir = config["continue_from"]
    learner, tasks, header = open_learner(run_dir)
    require_pretrained(Path(run_dir), header["pretrain"])
    require_fit(
        run_dir,
        header,
        source.config["model"],
        source.model.encoder.architecture,
        source.vocabulary,
    )
    for name, told in tasks.items():
        open_network(learner, name, told, Path(run_dir))
        require_record(told.get("record"), f"{run_dir}: task {name!r}")
    for key, has in (
        ("prune_embeddings", "embedding" in learner.kinds),
        ("layernorm_per_task", learner.layernorm_per_task),
    ):
        if key in config.given and config[key] != has:
            raise ConfigError(
                f"continue_from: the learner was begun with {key} {has}; leave the key out"
            )
        config[key] = has
    check_values(config.final_config_dict, ours=True)
    return Beginning(learner, header["max_length"], header["pretrain"], tasks)
