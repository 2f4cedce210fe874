"""Keys that a kind of run does not read: what a user gave of them is refused, or told."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError

# Which weights a run starts from: without them its results mean something else.
ORIGINS = {
    "continue_from": "goes on with a saved learner: take --model=Conure, or leave it out",
    "pretrained": "is not of this model, which learns its first task itself; leave it out",
    "pretrained_path": "is not of this model, which starts from random weights; leave it out",
}
TUNING = (
    "carry_encoder",
    "joint_coefficient",
    "patch_activation",
    "patch_cardinality",
    "patch_count",
    "patch_insertion",
    "patch_reduction",
    "patch_weight_decay",
    "tune_layernorm",
    "tune_layers",
    "tuning",
)
PRUNING = (
    "embedding_prune_ratio",
    "layernorm_per_task",
    "prune_embeddings",
    "prune_ratio",
    "prune_tolerance",
    "retrain_epochs",
)


def tell_unread(config: Config, keys: Iterable[str]) -> None:
    """Warn of given keys that this run does not read; refuse those of :data:`ORIGINS`.

    A value that is the default of the model's files, or False where these have none, is no wish: a
    saved ``config.yaml`` has it.

    Args:
        config: of the run.
        keys: that it does not read.

    Raises:
        ConfigError: the weights that a user names would not be used.
    """
    given, defaults = config.external_config_dict, config.internal_config_dict
    unread = [
        key
        for key in sorted(keys)
        if given.get(key) is not None
        and (given[key] != defaults[key] if key in defaults else given[key])
    ]
    for key in unread:
        if key in ORIGINS:
            raise ConfigError(f"{key} {ORIGINS[key]} ({config['model']})")
    if unread:
        logging.getLogger().warning(
            f"{config['model']} does not read {', '.join(unread)}"
        )
