"""Which runs of a suite pretrain the same backbone, so that one of them does it for all."""

from __future__ import annotations

import hashlib
import pprint

from recbole_peterrec.config import Config
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.runs.unread import TUNING_KEYS
from recbole_peterrec.settings.given import GIVEN

# What only tasks read, or tells of a run and not of its training. Any other key makes runs differ.
NOT_OF_PRETRAINING = frozenset(
    (
        *(GIVEN, "model", "pretrained", *TUNING_KEYS),
        *("tasks", "task_defaults", "task_order", "train_share", "finetune_epochs"),
        *("pooling", "head_dropout", "head_learning_rate", "head_weight_decay"),
    )
)


def pretraining_of(config: Config) -> str | None:
    """A digest of all settings that make a run's backbone; None of a run that makes none which
    another could take: what it pretrains is then the same, bit for bit.

    A learner (Conure) prunes what it pretrains, and a model without tasks is a result itself.
    """
    takes = issubclass(config.model_class, PeterRec) and config["pretrained"]
    if not takes or config["pretrained_path"]:
        return None
    settings = {
        key: value
        for key, value in config.resolved().items()
        if key not in NOT_OF_PRETRAINING
    }
    return hashlib.sha256(pprint.saferepr(settings).encode()).hexdigest()
