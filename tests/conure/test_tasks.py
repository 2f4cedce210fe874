"""Which tasks are learned, with which ratio, in which order."""

from __future__ import annotations

import pytest

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import read_tasks
from tests.conure.case import learn, results


def test_a_flag_wins_over_the_tasks_of_a_property_file():
    config = Config("Conure", "ml-100k", config_dict={"prune_ratio": "auto"})
    assert {task.config["prune_ratio"] for task in read_tasks(config)} == {"auto"}
    own = [{"name": "gender", "kind": "profile", "field": "gender", "prune_ratio": 0.6}]
    config = Config("Conure", "ml-100k", config_dict={"prune_ratio": 0.5, "tasks": own})
    assert [task.config["prune_ratio"] for task in read_tasks(config)] == [0.6]


def test_an_order_leaves_out_and_moves_tasks():
    def names(order):
        keys_ = {"task_order": order}
        return [
            t.name for t in read_tasks(Config("Conure", "ml-100k", config_dict=keys_))
        ]

    assert names(None) == ["like", "love", "age", "gender", "occupation"]
    assert names(["love"]) == ["love"]  # without T2 before T3
    assert names(["age", "love", "like"]) == ["age", "love", "like"]
    assert names([]) == []  # T1 alone


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["lov"], "no task 'lov'; did you mean 'love'"),
        (["love", "love"], "once each"),
        ("love", "a list of tasks' names"),
    ],
)
def test_an_order_of_tasks_that_there_are_not_is_refused(order, message):
    with pytest.raises(ConfigError, match=message):
        read_tasks(Config("Conure", "ml-100k", config_dict={"task_order": order}))


def test_the_ablation_without_the_second_task_is_a_flag(folder, tmp_path):
    learn(folder, tmp_path / "run", task_order=["gender"])
    assert list(results(tmp_path / "run")["tasks"]) == ["gender"]
    assert list(results(tmp_path / "run")["pretrain"]["test"]) == ["mrr@5", "hit@5"]
