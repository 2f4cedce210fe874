"""From the keys ``suite`` and ``seeds`` to models, settings and seeds."""

from __future__ import annotations

import pytest
import yaml

from recbole_peterrec import registry
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.suite.plan import SHARED, is_suite, plan
from recbole_peterrec.tasks import read_tasks
from tests.toy import ROOT

NAMES = sorted(path.stem for path in (ROOT / "properties" / "suite").glob("*.yaml"))


def planned(keys=None, model=None, files=(), arguments=()):
    config = Config(model, None, list(files), keys, list(arguments))
    return plan(config, model)


def test_a_run_is_no_suite():
    assert not is_suite(Config("FineAll"))
    assert is_suite(Config("FineAll", config_dict={"seeds": [1]}))
    assert is_suite(Config(config_dict={"suite": ["FineAll"]}))


def test_seeds_alone_run_the_model_that_is_asked_for():
    suite = planned({"seeds": [3, 1]}, "FineAll")
    assert [(seed, entry.model) for seed, entry in suite.runs()] == [
        (3, "FineAll"),
        (1, "FineAll"),
    ]
    assert suite.name == "FineAll"
    assert planned({"seeds": [1]}).entries[0].model == "PeterRec"
    assert planned({"seeds": [1], "model": "GRec"}).name == "GRec"


def test_all_models_of_a_seed_come_before_the_next_seed():
    suite = planned({"suite": ["PeterRec", "SASRec"], "seeds": [1, 2]})
    order = [(seed, entry.name) for seed, entry in suite.runs()]
    assert order == [
        (1, "PeterRec"),
        (1, "SASRec"),
        (2, "PeterRec"),
        (2, "SASRec"),
    ]


def test_without_seeds_the_seed_of_the_run_counts():
    assert planned({"suite": ["PeterRec"], "seed": 7}).seeds == (7,)
    assert planned({"suite": ["PeterRec"]}).seeds == (2020,)


def test_an_entrys_own_keys_win_over_those_of_the_suite():
    small = {"name": "small", "model": "PeterRec", "patch_reduction": 2}
    suite = planned({"suite": ["PeterRec", small], "patch_reduction": 4, "epochs": 3})
    settings = [suite.config(entry, 5, run_dir="there") for entry in suite.entries]
    assert [keys["patch_reduction"] for keys in settings] == [4, 2]
    for keys in settings:
        assert keys["epochs"] == 3
        assert keys["seed"] == 5
        assert keys["run_dir"] == "there"
        assert not {"suite", "seeds", "name", "model"} & keys.keys()
    assert [entry.name for entry in suite.entries] == ["PeterRec", "small"]


def test_flags_name_models_without_quotes():
    flag = "--suite=[PeterRec, {name: r2, model: PeterRec, patch_reduction: 2}]"
    suite = planned(arguments=[flag, "--seeds=[1, 2]"])
    assert [entry.name for entry in suite.entries] == ["PeterRec", "r2"]
    assert suite.entries[1].settings == {"patch_reduction": 2}
    assert suite.name == "suite"
    assert suite.seeds == (1, 2)
    assert planned({"suite": " [FineCLS]"}).name == "suite"


def test_given_keys_win_over_those_of_a_suites_file(monkeypatch):
    name, models, _ = registry.described_suite("conure")
    described = name, models, {"pretrain_epochs": 20}
    monkeypatch.setattr(registry, "described_suite", lambda _: described)
    assert planned({"suite": "conure"}).keys["pretrain_epochs"] == 20
    given = {"suite": "conure", "pretrain_epochs": 2}
    assert planned(given).keys["pretrain_epochs"] == 2
    # `epochs` bounds every stage; the file's own bound is no user's.
    assert "pretrain_epochs" not in planned({"suite": "conure", "epochs": 1}).keys


def test_all_of_the_protocol_s_models_have_the_same_bound_of_the_first_task():
    for entry in planned({"suite": "conure"}).entries:
        keys = {"model": entry.model, **entry.settings}
        config = Config(None, "ml-100k", config_dict=keys)
        assert (config["protocol"], config["epochs"]) == ("conure", 20)
        assert config["pretrain_epochs"] is None


def test_seeds_win_over_the_seed_of_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 5\n")
    suite = planned({"seeds": [1, 2]}, files=[str(file)])
    assert suite.seeds == (1, 2)
    assert suite.config(suite.entries[0], 2)["seed"] == 2


def test_parts_of_an_entrys_keys_lie_over_those_of_the_suite():
    own = {"profile": {"patch_reduction": 2, "eval_args": {"mode": "uni5"}}}
    kinds = {"profile": {"weight_decay": 0.5}, "recommendation": {"topk": [9]}}
    entry = {"name": "r2", "model": "PeterRec", "task_defaults": own}
    entry["eval_args"] = {"order": "RO"}
    suite = planned(
        {
            "suite": ["PeterRec", entry],
            "task_defaults": kinds,
            "eval_args": {"mode": {"valid": "full", "test": "uni9"}},
        }
    )
    plain, special = (suite.config(entry, 1) for entry in suite.entries)
    assert plain["task_defaults"] == kinds
    assert special["task_defaults"] == {
        "profile": {"weight_decay": 0.5} | own["profile"],
        "recommendation": {"topk": [9]},
    }
    assert special["eval_args"] == {**plain["eval_args"], "order": "RO"}


def test_paths_hold_wherever_a_suite_goes_on(tmp_path, monkeypatch):
    entry = {"name": "mine", "model": "FineAll", "pretrained_path": "there"}
    monkeypatch.chdir(tmp_path)
    suite = planned({"suite": [entry]})
    keys = suite.config(suite.entries[0], 1)
    for key, value in (
        ("pretrained_path", "there"),
        ("checkpoint_dir", "saved"),
        ("data_path", "dataset"),
    ):
        assert keys[key] == str(tmp_path / value)


def test_keys_of_a_suite_of_recboles_models_are_judged_as_theirs():
    keys = {"dilations": None, "enable_amp": True}
    suite = planned({"suite": ["GRU4Rec", "SASRec"], **keys})
    assert suite.keys["enable_amp"] is True
    with pytest.raises(ConfigError, match="enable_amp"):
        planned({"suite": ["PeterRec"], "enable_amp": True})


@pytest.mark.parametrize("models", [["SASRec"], ("SASRec",), "[SASRec]", "('SASRec',)"])
def test_all_ways_to_name_models_are_alike(models):
    """Defaults are those of the first model: with ours, RecBole's settings are refused."""
    suite = planned({"suite": models, "dilations": None, "enable_amp": True})
    assert [entry.model for entry in suite.entries] == ["SASRec"]


def test_a_suite_that_is_taken_back_leaves_the_usual_model(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("suite: baselines\n")
    config = Config(None, None, [str(file)], arguments=["--suite=~"])
    assert not is_suite(config)
    assert config.model == "PeterRec"


def test_a_blank_before_a_list_is_none_of_its_name():
    assert planned({"suite": " [FineCLS]"}).name == "suite"


def test_what_a_suite_writes_is_planned_again(tmp_path):
    first = planned(
        {
            "suite": [
                "PeterRec",
                {"name": "r2", "model": "PeterRec", "patch_reduction": 2},
            ],
            "seeds": [1, 2],
            "epochs": 3,
            "data_path": str(tmp_path),
            "eval_args": {"mode": "uni9"},
        }
    )
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(first.content()))
    again = planned(files=[str(file)])
    assert again == first


@pytest.mark.parametrize("name", NAMES)
def test_suites_of_the_package_name_models_and_keys_that_there_are(name):
    suite = planned({"suite": name})
    assert suite.name == name
    assert not set(SHARED) & (suite.keys.keys() - {"data_path", "checkpoint_dir"})
    assert len(suite.entries) > 1
    for entry in suite.entries:
        config = Config(entry.model, "ml-100k", config_dict=suite.config(entry, 1))
        for key, value in entry.settings.items():
            assert config[key] == value


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"suite": "strategy"}, "did you mean 'strategies'"),
        ({"suite": []}, "a list of models"),
        ({"suite": {"model": "PeterRec"}}, "a list of models"),
        ({"suite": [3]}, "entry 1 must be a model"),
        ({"suite": ["PeterRec", {"name": "x"}]}, "entry 2 must be a model"),
        ({"suite": ["PeterRek"]}, "did you mean 'PeterRec'"),
        ({"suite": ["PeterRec", "PeterRec"]}, "'PeterRec' is there twice"),
        (
            {"suite": ["PeterRec", {"name": "peterrec", "model": "GRec"}]},
            "'peterrec' is there twice",
        ),
        (
            {"suite": [{"name": "-x", "model": "PeterRec"}]},
            "of which the first is a letter or a digit, got '-x'",
        ),
        ({"suite": [{"name": "../x", "model": "PeterRec"}]}, "a name is up to"),
        ({"suite": [{"name": 3, "model": "PeterRec"}]}, "a name is up to"),
        (
            {"suite": [{"model": "PeterRec", "config_files": "x.yaml"}]},
            "entry 1: config_files has no effect there; give its keys in the entry",
        ),
        (
            {"suite": [{"model": "PeterRec", "extends": "GRec"}]},
            "extends has no effect there; take model",
        ),
        ({"suite": "[PeterRec"}, r"a list of models such as .*, got '\[PeterRec'$"),
        ({"suite": ["PeterRec"], "model": "FineAll"}, "leave out model FineAll"),
        ({"suite": "[PeterRec, 2024-13-45]"}, "unknown model '2024-13-45'"),
        ({"suite": "PeterRec,FineAll"}, r"did you mean '\[PeterRec, FineAll\]'\?"),
        ({"seeds": ""}, r"such as \[1, 2, 3\], or left out, got ''"),
        ({"seeds": 1}, "seeds must be"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": [1, 1]}, "seeds must be"),
        ({"seeds": [True]}, "seeds must be"),
        ({"seeds": [-1]}, "seeds must be"),
    ],
)
def test_a_suite_that_cannot_be_is_refused(keys, message):
    with pytest.raises(ConfigError, match=message):
        planned(keys)


@pytest.mark.parametrize(
    "name",
    ["LabelCS", "config.yaml", "results.md", "run.log", "suite.json", "Suite.JSON"],
)
def test_names_of_what_a_suite_writes_are_taken(name):
    with pytest.raises(ConfigError, match=f"{name} stands for something else; take an"):
        planned({"suite": [{"name": name, "model": "PeterRec"}]})


@pytest.mark.parametrize(
    "key",
    ["suite", "seeds", "run_dir", "resume", "seed"]
    + ["checkpoint_dir", "data_path", "dataset"],
)
def test_what_all_models_share_is_no_key_of_one(key):
    with pytest.raises(ConfigError, match=f"entry 1: {key} is the same for all models"):
        planned({"suite": [{"model": "PeterRec", key: "x"}]})


def test_a_task_has_no_suite_of_its_own():
    tasks = [{"name": "g", "kind": "profile", "field": "gender", "seeds": [1]}]
    with pytest.raises(ConfigError, match="seeds is a key of the run"):
        read_tasks(Config(config_dict={"tasks": tasks}))
