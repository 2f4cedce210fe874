"""What each strategy of the continual comparison learns with: chosen on the seeds 11 and 12, which
are never reported.

Early stopping is patient: with three bad epochs instead of six, seeds stopped long before their
best. Dropout is that of strategies that train the network itself, and of PeterRec with all likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NETWORK = {"embedding_size": 64, "softmax_samples": 0.2, "learning_rate": 0.002}
SOURCE_EPOCHS = 20
SOURCE_RETRAINED = 4  # epochs of Conure, after pruning
LIKE = {"kind": "recommendation", "dataset": "synthetic_like"}
TASKS: dict[str, dict[str, Any]] = {
    "click": {"kind": "recommendation", "dataset": "synthetic_click"},
    "like": LIKE,
    # A tenth of T2's instances, as in TTL (Conure, Table 1), and about Table 3's 20 %.
    "few_likes": LIKE | {"train_share": 0.25, "train_batch_size": 128},
    "gender": {"kind": "profile", "field": "gender"},
    "life_status": {"kind": "profile", "field": "life_status"},
}
KINDS = {
    "recommendation": {
        "head_weight_decay": 0.001,
        "head_learning_rate": 0.001,
        "epochs": 60,
        "retrain_epochs": 15,
        "stopping_step": 6,
    },
    "profile": {
        "head_weight_decay": 0.001,
        "patch_weight_decay": 0.0001,  # of 16,000 users, less than of ml-100k's 755
        "head_learning_rate": 0.003,
        "train_batch_size": 256,
        "epochs": 16,
        "retrain_epochs": 8,
    },
}
DROPOUT = {"dropout_prob": 0.2}
TRAINS_ALL = {
    "recommendation": DROPOUT | {"learning_rate": 0.0003},
    "profile": {"learning_rate": 0.0003},
}
PATCHES = {"patch_reduction": 4}  # 16 channels of 64; the authors' code has 4 as well
# As in that code; clicks lose by it, and profiles gain nothing.
LAYERNORMS = {"tune_layernorm": True}
# What a strategy sets for a kind of task, or for a task: steps of what is trained beside the head.
STRATEGIES: dict[str, dict[str, dict[str, Any]]] = {
    "PeterRec": {
        "recommendation": PATCHES | {"learning_rate": 0.003, "dropout_prob": 0.0},
        "like": DROPOUT | {"learning_rate": 0.001} | LAYERNORMS,
        "few_likes": {"learning_rate": 0.001} | LAYERNORMS,
        "profile": PATCHES | {"learning_rate": 0.003},
    },
    "Conure": {
        "recommendation": DROPOUT | {"learning_rate": 0.001},
        "like": {"prune_ratio": 0.5},
        "profile": {"learning_rate": 0.0005},
    },
    "STL": TRAINS_ALL | {"click": {"learning_rate": 0.0001, "dropout_prob": 0.0}},
    "Unprotected": TRAINS_ALL,
    "SinMo": {
        "recommendation": DROPOUT | {"learning_rate": 0.001},
        "profile": {"learning_rate": 0.001, "epochs": 8},  # more of them overfit
    },
    "MTL": {
        "recommendation": DROPOUT | {"learning_rate": 0.001},
        "profile": {"learning_rate": 0.001},
    },
    "FineSmax": {
        "recommendation": {"learning_rate": 0.001, "dropout_prob": 0.0},
        "profile": {"learning_rate": 0.003},
    },
}
# Over these where recommendation tasks read the mean of all states, chosen on seed 11.
BY_POOLING: dict[str | None, dict[str, dict[str, dict[str, Any]]]] = {
    "mean": {
        "Conure": {
            "click": {"learning_rate": 0.0001},
            "like": {"learning_rate": 0.0001, "dropout_prob": 0.5},
            "few_likes": {"learning_rate": 0.0001, "dropout_prob": 0.5},
        }
    }
}


def task_settings(
    strategy: str, name: str, recommendation: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The entry of a run's list of tasks.

    Args:
        strategy: a key of :data:`STRATEGIES`.
        name: a key of :data:`TASKS`.
        recommendation: keys of all recommendation tasks, alike for all strategies.
    """
    task, own = TASKS[name], STRATEGIES[strategy]
    kind = task["kind"]
    settings = {"name": name} | KINDS[kind] | own[kind] | own.get(name, {}) | task
    if recommendation and kind == "recommendation":
        by_strategy = BY_POOLING.get(recommendation.get("pooling"), {})
        settings |= by_strategy.get(strategy, {}).get(name, {}) | recommendation
    return settings
