"""Which of a run's keys its user gave: what a saved ``config.yaml`` says to another run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import read_tasks
from tests.toy import write_toy

PROFILE = {"name": "sex", "kind": "profile", "field": "gender"}


@pytest.fixture
def saved(tmp_path):
    """Writes the ``config.yaml`` of a run of a model in which a user gave some keys."""

    def write(model: str, **given) -> str:
        keys = {"data_path": str(write_toy(tmp_path / "data")), **given}
        config = Config(model, "toy", config_dict=keys)
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(config.resolved()))
        return str(file)

    return write


def test_a_saved_config_tells_what_was_given(saved):
    content = yaml.safe_load(Path(saved("PeterRec", epochs=3)).read_text())
    assert content["given"] == ["data_path", "epochs"]
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


def test_the_same_model_takes_all_that_was_saved(saved):
    file = Path(saved("PeterRec", epochs=3))
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(content | {"learning_rate": 0.25}))
    config = Config("PeterRec", "toy", [str(file)])
    assert config["learning_rate"] == 0.25
    assert "learning_rate" not in config.given


def test_new_tasks_on_a_saved_config_take_the_defaults_of_their_kind(saved):
    file = saved("PeterRec", train_batch_size=7)
    changes = {"tasks": [PROFILE]}
    (task,) = read_tasks(Config("PeterRec", "toy", [file], config_dict=changes))
    assert task.config["pooling"] == "mean"
    assert task.config["learning_rate"] == 0.003
    assert task.config["train_batch_size"] == 7


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
