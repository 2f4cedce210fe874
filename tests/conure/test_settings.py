"""Settings that a learner cannot be used with, and weights that run short."""

from __future__ import annotations

import pytest

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import read_tasks
from tests.conure.case import AGE, BUY, GENDER, learn


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"prune_ratio": 1.0},
            "prune_ratio must be above 0 and below 1, or auto, got 1.0",
        ),
        ({"prune_ratio": "most"}, "prune_ratio must be above 0"),
        (
            {"prune_ratio": 0.5, "embedding_size": 1, "patch_reduction": 1},
            "weights keeps none|no free",
        ),
        ({"tasks": [{**GENDER, "prune_ratio": 2}]}, "task 'gender'.*prune_ratio"),
        (
            {"tasks": [{**GENDER, "name": "pretraining"}]},
            "stands for something else of a run",
        ),
        ({"prune_tolerance": 2}, "prune_tolerance"),
        ({"protocol": "conur"}, "did you mean 'conure'"),
    ],
)
def test_settings_that_cannot_be_used_are_one_clear_line(
    folder, tmp_path, changes, message
):
    if changes.get("prune_ratio") == 0.5:
        tasks = [{**GENDER, "name": f"g{i}", "prune_ratio": 0.01} for i in range(9)]
        changes = {**changes, "tasks": tasks}
    with pytest.raises(ConfigError, match=message) as error:
        learn(folder, tmp_path / "run", **changes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prune_ratio": "auto", "eval_step": 0}, "prune_ratio auto compares"),
        (
            {"tasks": [{**GENDER, "eval_step": 2, "retrain_epochs": 3}]},
            "task 'gender': retrain_epochs: select_epoch last",
        ),
        ({"tasks": [{**GENDER, "layernorm_per_task": True}]}, "a key of the run"),
        ({"tasks": [{**BUY, "rank_rho": 0.001}]}, "rank_rho 0.001 draws"),
        ({"tasks": [{**BUY, "rank_rho": 1e-9}]}, "rank_rho 1e-09 draws"),
    ],
)
def test_what_would_stop_a_run_later_stops_it_before_it_writes(
    folder, tmp_path, changes, message
):
    with pytest.raises(ConfigError, match=message):
        learn(folder, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_the_ratio_that_keeps_a_metric_needs_rows_to_measure_it_on(folder, tmp_path):
    whole = {"order": "RO", "split": {"RS": [0.9, 0, 0.1]}}
    with pytest.raises(ConfigError, match="it needs validation rows"):
        learn(folder, tmp_path / "run", prune_ratio="auto", eval_args=whole)
    assert not (tmp_path / "run").exists()


def test_few_free_weights_are_told_before_training(folder, tmp_path):
    tasks = [{**GENDER, "prune_ratio": 0.04}, AGE]
    learn(folder, tmp_path / "run", tasks=tasks, state="WARNING")
    log = (tmp_path / "run/run.log").read_text()
    assert (
        "task 'age' will find 2.6% of blocks.0.branch.0.conv free"
        in log.splitlines()[0]
    )


def test_the_fullest_weight_is_the_one_that_is_told(folder, tmp_path):
    changes = {"prune_embeddings": True, "embedding_prune_ratio": 0.9}
    ratios = {"prune_ratio": 0.1, "embedding_prune_ratio": 0.9}
    tasks = [{**GENDER, **ratios}, {**AGE, **ratios}]
    settings_ = {**changes, "prune_ratio": 0.1, "tasks": tasks, "state": "WARNING"}
    learn(folder, tmp_path / "run", **settings_)
    log = (tmp_path / "run/run.log").read_text()
    assert "task 'age' will find 0.5% of blocks.0.branch.0.conv free" in log


@pytest.mark.parametrize("kind", ["profile", "recommendation"])
@pytest.mark.parametrize("model", ["STL", "SinMo", "FineSmax", "MTL", "Unprotected"])
def test_the_comparisons_learn_as_conure_does(model, kind):
    keys = ("learning_rate", "head_learning_rate", "MAX_ITEM_LIST_LENGTH", "epochs")
    keys += ("train_batch_size", "weight_average", "pooling", "dropout_prob")

    def recipe(name):
        (*_, task) = [t for t in read_tasks(Config(name, "ml-100k")) if t.kind == kind]
        return {key: task.config[key] for key in keys}

    assert recipe(model) == recipe("Conure")
