"""What a user gave of a run's keys, and what a saved ``config.yaml`` says to another run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.given import edited_keys, told_with, what_counts
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, write_toy

PROFILE = {"name": "sex", "kind": "profile", "field": "gender"}


@pytest.fixture
def saved(tmp_path):
    """Writes the ``config.yaml`` of a run of a model in which a user gave some keys."""

    return writer(tmp_path)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """As `saved`, for many examples of one test."""
    return writer(tmp_path_factory.mktemp("given"))


def writer(folder: Path) -> Callable[..., str]:
    data = str(write_toy(folder / "data"))

    def write(model: str, **given) -> str:
        config = Config(model, "toy", config_dict={"data_path": data, **given})
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config.resolved()))
        return str(file)

    write.data = data
    return write


def test_a_saved_config_tells_what_was_given(saved):
    content = yaml.safe_load(Path(saved("PeterRec", epochs=3)).read_text())
    assert content["given"]["keys"].keys() == {"data_path", "epochs"}
    assert content["tuning"] == "patch"


@pytest.mark.parametrize("way", ["file", "dict"])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("PeterRec", "FineAll", {"tuning": "all", "pretrained": True}),
        ("PeterRec", "PeterZero", {"tuning": "patch", "pretrained": False}),
        ("Conure", "SinMo", {"tuning": "all", "pretrained": False}),
        ("Conure", "MTL", {"pretrained": False, "joint_coefficient": 0.1}),
    ],
)
def test_another_model_takes_what_was_given_and_its_own_defaults(
    saved, way, first, second, expected
):
    file = saved(first, epochs=3)
    if way == "file":
        config = Config(second, None, [file])
    else:
        content = yaml.safe_load(Path(file).read_text())
        config = Config(second, None, config_dict=content)
    assert {key: config[key] for key in expected} == expected
    assert config["epochs"] == 3
    assert config["dataset"] == "toy"


@pytest.mark.parametrize(
    "given",
    [
        {"tasks": [PROFILE]},
        {"tasks": [PROFILE], "task_defaults": {"profile": {"epochs": 3}}},
        {"tasks": [PROFILE], "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}},
    ],
    ids=["tasks", "defaults", "split"],
)
@pytest.mark.parametrize(
    ("first", "second"), [("PeterRec", "FineAll"), ("Conure", "PeterRec")]
)
def test_another_model_has_the_recipe_that_it_has_without_the_file(
    saved, tmp_path, first, second, given
):
    """Also where the user gave a part of what the first model's defaults were merged with."""
    by_file = Config(second, None, [saved(first, **given)])
    keys = {"data_path": str(tmp_path / "data"), **given}
    alone = Config(second, "toy", config_dict=keys)
    assert everything(by_file) == everything(alone)


def everything(config: Config) -> list[dict]:
    """All values of a config and of its tasks."""
    configs = [config, *(task.config for task in read_tasks(config))]
    return [values(each) for each in configs]


def values(config: Config) -> dict:
    """All values of a config but defaults of tasks, which tasks show in one form."""
    left_out = ("given", "task_defaults")
    return {k: v for k, v in config.resolved().items() if k not in left_out}


OF_RUNS = {
    "MAX_ITEM_LIST_LENGTH": 20,
    "dropout_prob": 0.3,
    "epochs": 3,
    "eval_args": {"mode": "uni9"},
    "finetune_epochs": 2,
    "head_learning_rate": 0.02,
    "learning_rate": 0.01,
    "normalize_all": True,
    "pooling": "sum",
    "protocol": "conure",
    "rank_rho": 0.2,
    "rm_dup_inter": "last",
    "task_defaults": {"profile": {"epochs": 4}},
    "task_order": ["buy", "sex"],
    "threshold": {"rating": 3},
    "train_share": 0.5,
    "val_interval": {"rating": "[2,5]"},
}
OF_TASKS = {
    "MAX_ITEM_LIST_LENGTH": None,
    "epochs": 9,
    "eval_args": {"mode": "full"},
    "finetune_epochs": 5,
    "head_learning_rate": None,
    "pooling": "last",
    "rank_rho": None,
}
MODELS = ("PeterRec", "FineAll", "FineLast", "PeterZero", "MTL", "STL", "Conure")


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    models=st.tuples(st.sampled_from(MODELS), st.sampled_from(MODELS)),
    of_run=st.sets(st.sampled_from(sorted(OF_RUNS)), max_size=4),
    of_task=st.sets(st.sampled_from(sorted(OF_TASKS)), max_size=2),
)
def test_whatever_was_given_a_saved_config_gives_any_model_the_same(
    write, models, of_run, of_task
):
    """To its own model all values, to another those that it has where they are given to it."""
    keys = {key: OF_RUNS[key] for key in of_run}
    own = {key: OF_TASKS[key] for key in of_task}
    keys["tasks"] = [PROFILE | own, TARGET | own]
    file = write(models[0], **keys)
    for model in models:
        alone = Config(model, "toy", config_dict=keys | {"data_path": write.data})
        assert everything(Config(model, None, [file])) == everything(alone)


@pytest.mark.parametrize("protocol", [None, "conure"])
@pytest.mark.parametrize(
    "flags",
    [(), ("--epochs=1", "--learning_rate=0.5", "--pooling=sum", "--dropout_prob=0.4")],
    ids=["", "flags"],
)
def test_flags_on_a_saved_config_reach_the_tasks_as_they_do_without_it(
    saved, tmp_path, protocol, flags
):
    tasks = [PROFILE, {**PROFILE, "name": "own", "epochs": 4}]
    given = {"tasks": tasks, "protocol": protocol}
    by_file = Config(None, None, [saved("PeterRec", **given)], arguments=list(flags))
    keys = {"data_path": str(tmp_path / "data"), **given}
    alone = Config("PeterRec", "toy", config_dict=keys, arguments=list(flags))
    assert everything(by_file) == everything(alone)


def test_a_task_s_empty_length_is_still_the_source_s_in_the_saved_config(saved):
    task = {**PROFILE, "MAX_ITEM_LIST_LENGTH": None}
    file = saved("PeterRec", tasks=[task], MAX_ITEM_LIST_LENGTH=3)
    (read,) = read_tasks(Config("PeterRec", "toy", [file]))
    assert read.config["MAX_ITEM_LIST_LENGTH"] == 3


@pytest.mark.parametrize(
    ("first", "own"),
    [("PeterRec", {"model": "Conure"}), ("Conure", {"dataset": "other"})],
)
def test_a_later_file_names_another_model_or_dataset(saved, tmp_path, first, own):
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(own))
    config = Config(None, None, [saved(first, epochs=3), str(mine)])
    names = {"model": first, "dataset": "toy"} | own
    keys = {"data_path": str(tmp_path / "data"), "epochs": 3}
    alone = Config(names["model"], names["dataset"], config_dict=keys)
    assert values(config) == values(alone)


@pytest.mark.parametrize("key", ["model", "dataset"])
def test_an_empty_name_beside_a_saved_config_is_that_of_the_file(saved, tmp_path, key):
    file = saved("GRec", epochs=3)
    empty = tmp_path / "empty.yaml"
    empty.write_text(f"{key}:\n")
    for config in (
        Config(None, None, [file], {key: None}),
        Config(None, None, [file, str(empty)]),
        Config(None, None, [file], arguments=[f"--{key}="]),
    ):
        assert (config["model"], config["dataset"]) == ("GRec", "toy")
        assert values(config) == values(Config(None, None, [file]))


@pytest.mark.parametrize("way", ["file", "dict"])
def test_a_saved_config_that_was_changed_is_refused_for_another_model(saved, way):
    file = Path(saved("PeterRec"))
    content = yaml.safe_load(file.read_text()) | {"learning_rate": 0.25}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="a PeterRec run on toy was changed since"):
        if way == "file":
            Config("FineAll", None, [str(file)])
        else:
            Config("FineAll", None, config_dict=content)


@pytest.mark.parametrize("given", [5, None, "epochs", ["epochs"], {"keys": 1}])
def test_a_key_that_only_a_run_writes_is_refused(given):
    with pytest.raises(ConfigError, match="given is what this version of a run writes"):
        Config("PeterRec", "ml-100k", config_dict={"given": given, "epochs": 7})


def test_the_same_model_takes_all_that_was_saved(saved):
    file = Path(saved("PeterRec", epochs=3))
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(content | {"learning_rate": 0.25}))
    config = Config("PeterRec", "toy", [str(file)])
    assert config["learning_rate"] == 0.25


@pytest.mark.parametrize("way", ["file", "dict"])
@pytest.mark.parametrize(
    ("key", "value"), [("head_learning_rate", 0.5), ("prune_ratio", 0.4), ("epochs", 9)]
)
def test_what_is_edited_in_a_saved_config_counts_as_given(saved, way, key, value):
    """Changed, new, or given before: tasks have it as they have a flag, and it is told of."""
    file = Path(saved("PeterRec", epochs=3, tasks=[PROFILE]))
    content = yaml.safe_load(file.read_text()) | {key: value}
    if way == "file":
        file.write_text(yaml.safe_dump(content))
        edited = Config("PeterRec", "toy", [str(file)])
    else:
        edited = Config("PeterRec", "toy", config_dict=content)
    given = {"data_path": saved.data, "epochs": 3, "tasks": [PROFILE], key: value}
    assert edited.given == given
    assert values(edited) == values(Config("PeterRec", "toy", config_dict=given))


def test_flags_win_over_what_is_edited(saved):
    file = Path(saved("PeterRec"))
    content = yaml.safe_load(file.read_text()) | {"head_learning_rate": 0.5}
    file.write_text(yaml.safe_dump(content))
    flags = ["--head_learning_rate=0.25"]
    config = Config("PeterRec", "toy", [str(file)], arguments=flags)
    assert config.given["head_learning_rate"] == 0.25


@pytest.mark.parametrize("model", ["PeterRec", "Conure", "GRec", "SASRec"])
@pytest.mark.parametrize("dataset", ["ml-100k", "synthetic"])
def test_a_saved_config_differs_from_the_defaults_where_it_is_known_to(model, dataset):
    """Else an edited one would count as given what nobody gave."""
    config = Config(model, dataset)
    saved = config.resolved()
    saved["another"] = 1  # an edit
    choice = [saved.get(key) for key in ("model", "dataset", "protocol", "backbone")]
    assert edited_keys(saved, config.internal_config_dict, choice) == {"another": 1}


def test_where_other_defaults_are_chosen_no_default_counts_as_given(saved):
    file = Path(saved("PeterRec", tasks=[PROFILE]))
    content = yaml.safe_load(file.read_text())
    content |= {"stopping_step": 3, "protocol": "conure"}
    file.write_text(yaml.safe_dump(content))
    config = Config("PeterRec", "toy", [str(file)])
    assert config.given.keys() == {"data_path", "tasks"}
    assert read_tasks(config)[0].config["pooling"] == "mean"


def test_under_another_protocol_only_what_was_given_counts(saved):
    """A run named by one protocol would have the network and the recipe of another."""
    file = Path(saved("PeterRec", tasks=[PROFILE], seed=7))
    there = Config("PeterRec", "toy", [str(file)], arguments=["--protocol=conure"])
    assert there["embedding_size"] == 128
    assert there["seed"] == 7
    assert read_tasks(there)[0].name == PROFILE["name"]
    content = yaml.safe_load(file.read_text()) | {"stopping_step": 3}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="model, dataset or protocol"):
        Config("PeterRec", "toy", [str(file)], arguments=["--protocol=conure"])


def test_a_path_that_was_given_holds_wherever_another_model_takes_the_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    keys = {"pretrained_path": "there"}
    saved = Config("PeterRec", "ml-100k", config_dict=keys).resolved()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    taken = Config("FineAll", "ml-100k", config_dict=saved)
    assert taken["pretrained_path"] == str(tmp_path / "there")


def test_a_protocol_can_be_taken_away(saved, tmp_path):
    plain = Path(saved("PeterRec", tasks=[PROFILE])).rename(tmp_path / "plain.yaml")
    by_protocol = Path(saved("PeterRec", tasks=[PROFILE], protocol="conure"))
    alone = Config("PeterRec", "toy", [str(by_protocol)])
    assert (alone["protocol"], alone["embedding_size"]) == ("conure", 128)
    flags = ["--protocol=~"]
    without = Config("PeterRec", "toy", [str(by_protocol)], arguments=flags)
    for config in (without, Config("PeterRec", "toy", [str(by_protocol), str(plain)])):
        assert (config["protocol"], config["embedding_size"]) == (None, 256)


@pytest.mark.parametrize("model", ["Conure", "STL"])
def test_a_protocol_that_a_model_brings_is_kept_and_told(model):
    config = Config(model, "ml-100k", arguments=["--protocol=~"])
    assert (config["protocol"], config["embedding_size"]) == ("conure", 128)
    assert config.resolved()["protocol"] == "conure"


@pytest.mark.parametrize("model", ["Conure", "STL"])
def test_a_protocol_that_a_model_brings_is_its_own_files(saved, model):
    file = saved(model, tasks=[PROFILE], seed=7)
    config = Config(model, "toy", [file])
    assert config["protocol"] == "conure"
    assert (
        config.given.keys()
        == Config(model, "toy", config_dict=config.given).given.keys()
    )
    other = Config("PeterRec", "toy", [file])
    assert (other["protocol"], other["embedding_size"]) == (None, 256)
    assert other["seed"] == 7


def test_new_tasks_on_a_saved_config_take_the_defaults_of_their_kind(saved):
    file = saved("PeterRec", train_batch_size=7)
    changes = {"tasks": [PROFILE]}
    (task,) = read_tasks(Config("PeterRec", "toy", [file], config_dict=changes))
    assert task.config["pooling"] == "mean"
    assert task.config["learning_rate"] == 0.003
    assert task.config["train_batch_size"] == 7


def test_a_later_saved_config_takes_the_place_of_what_was_given_before(saved, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("weight_average: 0.5\nepochs: 2\nLIST_SUFFIX: '5'\n")
    config = Config(None, None, [str(mine), saved("PeterRec", epochs=3)])
    assert config["weight_average"] == 0.0
    assert config.given.keys() == {"data_path", "epochs"}
    assert config.given["epochs"] == 3
    assert Config("PeterRec", "toy", [str(mine)]).given["LIST_SUFFIX"] == "5"


def test_a_task_keeps_the_strategy_that_the_run_is_named_by():
    other = {"tasks": [{**PROFILE, "tuning": "patch"}]}
    with pytest.raises(ConfigError, match="task 'sex': tuning: FineAll stands for"):
        read_tasks(Config("FineAll", "ml-100k", config_dict=other))
    by_kind = {"task_defaults": {"profile": {"tuning": "all"}}, "tasks": [PROFILE]}
    with pytest.raises(ConfigError, match="task 'sex': tuning: FineCLS stands for"):
        read_tasks(Config("FineCLS", "ml-100k", config_dict=by_kind))


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("FineAll", "tuning", "patch"),
        ("FineAll", "pretrained", False),
        ("PeterZero", "pretrained", True),
        ("STL", "carry_encoder", True),
        ("Unprotected", "carry_encoder", False),
        ("MTL", "joint_coefficient", 0),
        ("SinMo", "joint_coefficient", 0.1),
    ],
)
def test_a_named_strategy_is_what_its_name_says(model, key, value):
    with pytest.raises(ConfigError, match=f"{key}: {model} stands for"):
        Config(model, "ml-100k", config_dict={key: value})


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("PeterRec", "tuning", "all"),
        ("PeterRec", "pretrained", False),
        ("MTL", "joint_coefficient", 0.5),
        ("FineLast", "tune_layers", 2),
        ("FineAll", "tuning", "all"),
    ],
)
def test_what_a_name_leaves_open_may_be_set(model, key, value):
    assert Config(model, "ml-100k", config_dict={key: value})[key] == value


def test_a_value_that_was_changed_by_hand_is_the_one_that_was_given():
    names = {"model": "PeterRec", "dataset": "toy"}
    content = told_with({**names, "seed": 1, "epochs": 3}, {"seed": 1})
    content["seed"] = 2
    told, own = what_counts(content, names)
    assert told == {**names, "seed": 2, "epochs": 3}
    assert own == {"seed": 2}
