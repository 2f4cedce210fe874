"""What each strategy of the continual comparison learns with: chosen on seed 11, never reported.

Early stopping is patient: with three bad epochs instead of six, seeds stopped long before their
best. Dropout is that of strategies that train the network itself.
"""

from __future__ import annotations

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
# Steps of what is trained beside the head, by task or by its kind.
STEPS = {
    "PeterRec": {"recommendation": 0.003, "few_likes": 0.001, "profile": 0.003},
    "Conure": {"recommendation": 0.001, "profile": 0.0005},
    "STL": {"recommendation": 0.0003, "profile": 0.0003},
    "SinMo": {"recommendation": 0.001, "profile": 0.001},
    "MTL": {"recommendation": 0.001, "profile": 0.001},
    "FineSmax": {"recommendation": 0.001, "profile": 0.003},
}
STEPS["Unprotected"] = STEPS["STL"]
OWN = {
    ("SinMo", "profile"): {"epochs": 8},  # from scratch, more of them overfit
    ("STL", "click"): {"learning_rate": 0.0001, "dropout_prob": 0.0},
}
DROPOUT = {"PeterRec": 0.0, "FineSmax": 0.0}  # of recommendation tasks
DROPOUT_OF_OTHERS = 0.2


def task_settings(strategy: str, name: str) -> dict[str, Any]:
    """The entry of a run's list of tasks."""
    task = TASKS[name]
    kind, steps = task["kind"], STEPS[strategy]
    step = steps.get(name, steps[kind])
    recipe = KINDS[kind] | {"name": name, "learning_rate": step}
    if kind == "recommendation":
        recipe["dropout_prob"] = DROPOUT.get(strategy, DROPOUT_OF_OTHERS)
    for key in (kind, name):
        recipe |= OWN.get((strategy, key), {})
    return recipe | task
