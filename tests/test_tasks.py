"""Which value of a key a task has."""

import pytest

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.runs.unread import tell_kept_by_tasks, tell_outweighed
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, TASKS, settings, write_toy


def test_a_task_s_own_bound_of_epochs_wins(toy_config):
    tasks = [{**TASKS[0], "finetune_epochs": 3}, TASKS[1]]
    config = toy_config("PeterRec", tasks=tasks, finetune_epochs=2)
    assert [task.config["epochs"] for task in read_tasks(config)] == [3, 2]


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ({}, [10, 15]),
        ({"epochs": 1}, [1, 1]),
        ({"finetune_epochs": 12}, [10, 12]),
        ({"epochs": 1, "retrain_epochs": 7}, [7, 7]),
        (
            {"epochs": 1, "task_defaults": {"profile": {"retrain_epochs": 3}}},
            [3, 1],
        ),
        (
            {"epochs": 4, "tasks": [TASKS[0], {**TARGET, "retrain_epochs": 9}]},
            [4, 9],
        ),
    ],
    ids=str,
)
def test_retraining_is_bounded_by_the_training_before_unless_a_user_says_otherwise(
    tmp_path, given, epochs
):
    keys = settings(write_toy(tmp_path), tasks=[TASKS[0], TARGET])
    del keys["epochs"]
    config = Config("Conure", "toy", config_dict=keys | given)
    assert [task.config["retrain_epochs"] for task in read_tasks(config)] == epochs


def test_retraining_that_an_edited_config_asks_for_is_not_bounded(tmp_path):
    keys = settings(write_toy(tmp_path), tasks=[TARGET])
    edited = Config("Conure", "toy", config_dict=keys).resolved()
    edited["task_defaults"]["recommendation"]["retrain_epochs"] = 60
    (task,) = read_tasks(Config("Conure", "toy", config_dict=edited))
    assert task.config["retrain_epochs"] == 60


@pytest.mark.parametrize("run_s", [{}, {"epochs": 4}, {"finetune_epochs": 4}], ids=str)
@pytest.mark.parametrize("kind_s", [{}, {"epochs": 3}], ids=str)
@pytest.mark.parametrize("own", [{}, {"epochs": 2}], ids=str)
def test_epochs_are_the_task_s_then_the_run_s_then_its_kind_s(
    tmp_path, caplog, run_s, kind_s, own
):
    """And a value for a kind that the run's takes the place of is told."""
    keys = settings(write_toy(tmp_path), tasks=[{**TASKS[0], **own}])
    del keys["epochs"]
    default = Config("PeterRec", "toy", config_dict=keys)["task_defaults"]["profile"]
    given = {**keys, **run_s, "task_defaults": {"profile": kind_s}}
    config = Config("PeterRec", "toy", config_dict=given)
    (task,) = read_tasks(config)
    nearest = {**default, **kind_s, **run_s, **own}["epochs"]
    assert task.config["epochs"] == run_s.get("finetune_epochs", nearest)
    tell_outweighed(config, [task])
    told = [r.message for r in caplog.records if "the run has a value" in r.message]
    outweighed = "finetune_epochs" in run_s or ("epochs" in run_s and not own)
    assert len(told) == (outweighed and "epochs" in kind_s)
    line = "epochs of task_defaults: profile does not count for gender, since the run"
    assert all(message.startswith(line) for message in told)


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 3, "task_defaults": {"profile": {"epochs": 3}}},
        {"epochs": 3, "task_defaults": {"profile": {"epochs": 15}}},  # the default
        # Never the run's:
        {
            "metrics": ["MRR"],
            "task_defaults": {"profile": {"metrics": ["Hit", "MRR"]}},
        },
        {"epochs": 3, "task_defaults": {"recommendation": {"train_share": 0.5}}},
    ],
    ids=str,
)
def test_what_counts_for_a_kind_of_task_is_not_told_as_lost(tmp_path, caplog, given):
    keys = settings(write_toy(tmp_path))
    config = Config("PeterRec", "toy", config_dict=keys | given)
    tell_outweighed(config, read_tasks(config))
    assert "does not count" not in caplog.text


def test_the_source_s_longest_history_is_not_the_tasks(toy_config):
    config = toy_config("PeterRec", MAX_ITEM_LIST_LENGTH=4)
    default = config["task_defaults"]["profile"]["MAX_ITEM_LIST_LENGTH"]
    assert [task.config["MAX_ITEM_LIST_LENGTH"] for task in read_tasks(config)] == [
        default
    ] * 2


@pytest.mark.parametrize(
    "key",
    [
        *("embedding_size", "dilations", "softmax_samples", "softmax_popularity"),
        *("nproc", "mask_ratio", "recent_interactions", "window_overlap"),
        *("source_cache", "table_updates", "kernel_size", "embedding_init"),
    ],
)
def test_keys_of_the_network_are_no_task_s(toy_config, key):
    config = toy_config("PeterRec", tasks=[{**TASKS[0], key: toy_config()[key]}])
    with pytest.raises(ConfigError, match=f"task 'gender': {key} is a key of the run"):
        read_tasks(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("topk", [3, 5]),
        ("metrics", ["MRR", "NDCG"]),
        ("user_inter_num_interval", "[2,inf)"),
        ("item_inter_num_interval", "[2,inf)"),
        ("val_interval", {"rating": "[2,5]"}),
        ("train_neg_sample_args", None),
        ("rm_dup_inter", "last"),
        ("loss_type", "CE"),
        ("eval_args", {"mode": "uni5"}),
    ],
)
def test_what_a_source_is_measured_by_and_made_of_is_not_its_tasks(
    toy_config, key, value
):
    plain = toy_config("PeterRec", tasks=[TARGET])
    changed = toy_config("PeterRec", tasks=[TARGET], **{key: value})
    assert key in changed.given
    (expected,), (task,) = read_tasks(plain), read_tasks(changed)
    assert task.config[key] == expected.config[key]
    assert task.config["repeatable"] is False


def test_a_task_that_is_not_learned_does_not_refuse_a_value_of_the_run(toy_config):
    drawn = {"distribution": "uniform", "sample_num": 1}
    drawn |= {"dynamic": True, "candidate_num": 2}
    tasks = [TASKS[0], {**TARGET, "train_neg_sample_args": drawn}]
    for order in (None, ["buy"]):
        with pytest.raises(ConfigError, match="task 'buy': worker must be 0"):
            read_tasks(toy_config("PeterRec", tasks=tasks, worker=1, task_order=order))
    config = toy_config("PeterRec", tasks=tasks, worker=1, task_order=["gender"])
    assert [task.name for task in read_tasks(config)] == ["gender"]


def test_tasks_of_a_datasets_file_that_keep_their_own_are_told(caplog):
    keys = {"task_defaults": {"profile": {"prune_ratio": 0.5, "epochs": 4}}}
    config = Config("Conure", "ml-100k", config_dict=keys)
    tasks = read_tasks(config)
    tell_outweighed(config, tasks)
    ratios = {task.name: task.config["prune_ratio"] for task in tasks}
    assert ratios["age"] == 0.5
    assert ratios["gender"] == ratios["occupation"] == 0.9
    (told,) = (record.message for record in caplog.records)
    assert told.startswith("prune_ratio of task_defaults: profile does not count for")
    assert "gender and occupation" in told or "gender, occupation" in told
    assert told.endswith("give a list of tasks, or give it for the run")


def test_what_no_task_takes_from_the_run_is_not_advised_for_it(caplog):
    wished = {"val_interval": {"rating": "[2,5]"}, "eval_args": {"mode": "uni9"}}
    keys = {"task_defaults": {"recommendation": wished}}
    tell_outweighed(
        config := Config("Conure", "ml-100k", config_dict=keys), read_tasks(config)
    )
    (told,) = (record.message for record in caplog.records)  # a mode is merged
    assert told.startswith("val_interval of task_defaults: recommendation does not")
    assert told.endswith("give a list of tasks")


def test_how_a_source_s_repetitions_are_dropped_is_told_to_be_its_own(
    toy_config, caplog
):
    config = toy_config("PeterRec", tasks=[TARGET], rm_dup_inter="last")
    tell_kept_by_tasks(config, read_tasks(config))
    assert "rm_dup_inter of the run is for its source, not for buy" in caplog.text


def test_tasks_of_a_user_s_list_that_have_their_own_are_no_surprise(caplog):
    task = {**TASKS[0], "prune_ratio": 0.8}
    keys = {"tasks": [task], "task_defaults": {"profile": {"prune_ratio": 0.5}}}
    config = Config("Conure", "ml-100k", config_dict=keys)
    tasks = read_tasks(config)
    assert tasks[0].config["prune_ratio"] == 0.8
    tell_outweighed(config, tasks)
    assert caplog.records == []


@pytest.mark.parametrize(
    "name", ["pretraining", "Pretraining", "pretrained_path", "continue_from"]
)
def test_names_that_stand_for_something_else_are_refused(name):
    tasks = [{"name": name, "kind": "profile", "field": "gender"}]
    with pytest.raises(ConfigError, match="take another"):
        read_tasks(Config("PeterRec", "ml-100k", config_dict={"tasks": tasks}))
