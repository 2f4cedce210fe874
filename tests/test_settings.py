"""Settings that RecBole takes silently, or chokes on later: one clear line each, before anything runs."""

from __future__ import annotations

import re

import pytest

from recbole_peterrec import run
from recbole_peterrec.config import Config
from recbole_peterrec.errors import UserError
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, settings, write_toy


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eval_args", {"mode": "uni0"}, "mode must be full, uniN or popN"),
        ("eval_args", {"mode": "labeled"}, "mode must be full"),
        ("eval_args", {"mdoe": "full"}, "did you mean 'mode'"),
        ("eval_args", {"split": {"RS": [0.8, 0.2]}}, "split must be"),
        ("eval_args", {"split": {"LS": "bogus"}}, "split must be"),
        ("eval_args", {"order": "XX"}, "order must be one of RO, TO"),
        ("metrics", ["ItemCoverage"], "not a measure of one target's rank"),
        ("valid_metric", "Hit", "is not evaluated"),
        ("clip_grad_norm", 3, "clip_grad_norm must be a mapping"),
        ("load_col", 3, "load_col must be"),
        ("train_neg_sample_args", 3, "train_neg_sample_args must be"),
        ("learner", "adaam", "learner must be adam"),
        ("source_cache", -1, "source_cache must be empty or a number of MiB"),
        ("source_cache", "yes", "source_cache must be empty or a number of MiB"),
        ("pretrained", "no", "pretrained must be True or False"),
        ("task_defaults", {"profil": {}}, "did you mean 'profile'"),
        ("task_defaults", 3, "task_defaults must map"),
        (
            "task_defaults",
            {"profile": {"lerning_rate": 1}},
            "did you mean 'learning_rate'",
        ),
        ("carry_encoder", True, "needs tuning all"),
        ("joint_coefficient", 0.1, "needs tuning all"),
        (
            "tasks",
            [{"name": "g", "kind": "profile", "field": "gender", "norm": "pre"}],
            "is a key of the run",
        ),
        (
            "tasks",
            [
                {
                    "name": "g",
                    "kind": "profile",
                    "field": "gender",
                    "eval_args": {"order": "TO"},
                }
            ],
            "needs order RO",
        ),
        ("tasks", [{**TARGET, "bins": [1, 2]}], "bins is for profile tasks only"),
    ],
)
def test_what_recbole_would_take_silently_or_choke_on_is_one_clear_line(
    tmp_path, key, value, message
):
    keys = settings(write_toy(tmp_path / "data"), run_dir=str(tmp_path / "run"))
    with pytest.raises(UserError, match=re.escape(message)) as error:
        run("PeterRec", "toy", config_dict={**keys, key: value, "state": "ERROR"})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_part_of_eval_args_keeps_the_rest_of_the_protocol(tmp_path):
    keys = settings(write_toy(tmp_path / "data"))
    config = Config(
        "PeterRec", "toy", config_dict={**keys, "eval_args": {"mode": "uni5"}}
    )
    assert config["eval_args"]["split"] == {"LS": "valid_and_test"}
    assert config["eval_args"]["order"] == "TO"
    tasks = [{**TARGET, "eval_args": {"mode": "uni5"}}]
    config = Config("PeterRec", "toy", config_dict={**keys, "tasks": tasks})
    assert read_tasks(config)[0].config["eval_args"]["split"] == {
        "RS": [0.7, 0.03, 0.27]
    }
