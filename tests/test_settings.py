"""Settings that RecBole takes silently, or chokes on later: one clear line each, before anything runs."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from recbole_peterrec import run
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.runs.sequential import SequentialRun
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.runs.unread import (
    PRUNING_KEYS,
    TUNING_KEYS,
    refuse_origins,
    tell_kept_by_tasks,
    tell_unread,
)
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, TASKS, settings, write_toy


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
        ("clip_grad_norm", 3, "clip_grad_norm must be empty or a mapping"),
        ("clip_grad_norm", {"max_nrom": 5}, "clip_grad_norm must be"),
        ("clip_grad_norm", {"max_norm": "x"}, "clip_grad_norm must be"),
        ("load_col", 3, "load_col must be"),
        ("eval_args", {"mode": {"tset": "full"}}, "mode is one for both"),
        ("stage", "../../elsewhere", "stage is set by the program"),
        ("worker", -1, "worker must be"),
        ("enable_scaler", True, "enable_scaler must be False; amp: bf16"),
        ("pretrained_path", "\ud800", "pretrained_path"),
        ("worker", "two", "worker must be"),
        ("transform", "crop_itemseq", "transform must be empty"),
        ("field_separator", "", "field_separator must be"),
        ("field_separator", "**", "field_separator must be one character"),
        ("field_separator", "||", "mean themselves, got '||'"),
        ("field_separator", r"\t", "is a tab"),
        ("metric_decimal_place", "x", "metric_decimal_place must be"),
        ("learner", "sparse_adam", "learner must be adam"),
        ("seed", datetime.date(2020, 1, 1), "is a date; a config holds text"),
        ("seed", np.datetime64("2020-01-01"), "is a date; a config holds text"),
        ("load_col", {("inter",): []}, "is a dict; a config holds text"),
        ("continue_from", "nowhere", "take --model=Conure"),
        ("tasks", [{**TARGET, "eval_args": None}], "eval_args must map"),
        ("tasks", [{**TARGET, "name": "n" * 300}], "a name is up to 100"),
        ("train_neg_sample_args", 3, "train_neg_sample_args must be"),
        (
            "tasks",
            [{**TARGET, "train_neg_sample_args": {"sample_nm": 3}}],
            "train_neg_sample_args must be",
        ),
        (
            "tasks",
            [{**TARGET, "train_neg_sample_args": {"sample_num": 0}}],
            "train_neg_sample_args must be",
        ),
        (
            "train_neg_sample_args",
            {"distribution": "uniform", "sample_num": 1, "dynamic": True},
            "with dynamic, candidate_num too",
        ),
        ("learner", "adaam", "learner must be adam"),
        ("source_cache", -1, "source_cache must be empty or a number of MiB"),
        ("source_cache", "yes", "source_cache must be empty or a number of MiB"),
        ("pretrained", "no", "pretrained must be True or False"),
        ("reproducibility", "maybe", "reproducibility must be True or False"),
        ("shuffle", "no", "shuffle must be True or False, got 'no'"),
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


def test_a_key_that_is_a_number_is_as_unknown_as_a_word():
    with pytest.raises(ConfigError, match="unknown key 1"):
        Config("PeterRec", "toy", config_dict={1: 2, "patch_reducton": 4})


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
    target = {key: value for key, value in TARGET.items() if key != "eval_args"}
    of_kind = {"recommendation": {"eval_args": {"mode": "uni5"}}}
    keys |= {"task_defaults": of_kind, "tasks": [target]}
    (task,) = read_tasks(Config("PeterRec", "toy", config_dict=keys))
    assert task.config["eval_args"]["mode"] == {"valid": "uni5", "test": "uni5"}
    assert task.config["eval_args"]["split"] == {"RS": [0.7, 0.03, 0.27]}


@pytest.mark.parametrize(
    ("given", "valid", "test"),
    [
        ({"valid": "uni5"}, "uni5", "full"),
        ({"test": "uni5"}, "full", "uni5"),
        ("uni5", "uni5", "uni5"),
    ],
    ids=str,
)
def test_a_mode_of_one_split_leaves_the_other_its_own(tmp_path, given, valid, test):
    keys = settings(write_toy(tmp_path / "data"), eval_args={"mode": given})
    config = Config("PeterRec", "toy", config_dict=keys)
    assert config["eval_args"]["mode"] == {"valid": valid, "test": test}


def test_paths_and_numpy_s_numbers_are_kept_as_text_and_numbers(tmp_path):
    keys = settings(
        write_toy(tmp_path / "data"),
        pretrained_path=Path("saved", "one"),
        learning_rate=np.float64(0.01),
        seed=np.int64(3),
        dilations=(1, 2),
    )
    resolved = Config("PeterRec", "toy", config_dict=keys).resolved()
    assert resolved["pretrained_path"] == str(Path("saved", "one").absolute())
    kept = yaml.safe_load(yaml.safe_dump(resolved))
    assert (kept["learning_rate"], kept["seed"]) == (0.01, 3)
    assert kept["dilations"] == [1, 2]


def test_model_and_dataset_may_stand_in_a_file_and_a_flag_wins(tmp_path):
    file = tmp_path / "mine.yaml"
    keys = settings(write_toy(tmp_path / "data"), model="NextItNetAR", dataset="toy")
    file.write_text(yaml.safe_dump(keys))
    config = Config(config_file_list=[str(file)])
    assert (config["model"], config["dataset"]) == ("NextItNetAR", "toy")
    assert Config("GRec", config_file_list=[str(file)])["model"] == "GRec"
    flags = ["--model=GRec"]
    assert Config(config_dict=keys, arguments=flags)["model"] == "GRec"
    assert Config()["dataset"] == "ml-100k"


def test_lists_need_no_quotes_where_a_shell_eats_them():
    flags = ["--task_order=[gender, age]", "--metrics=[MRR,Hit]", "--topk=[5, 10]"]
    flags += ["--numerical_features=[a]", "--user_inter_num_interval=[3,inf]"]
    flags += ["--item_inter_num_interval=[.5,1e3)"]
    flags += ["--seq_separator=[SEP]", "--USER_ID_FIELD=[user]"]
    config = Config("PeterRec", arguments=flags)
    assert config["task_order"] == ["gender", "age"]
    assert config["metrics"] == ["MRR", "Hit"]
    assert config["numerical_features"] == ["a"]
    assert config["user_inter_num_interval"] == "[3,inf]"
    assert config["item_inter_num_interval"] == "[.5,1e3)"
    assert config["seq_separator"] == "[SEP]"
    assert config["USER_ID_FIELD"] == "[user]"


def test_a_level_of_the_log_that_there_is_not_is_refused():
    for level in (None, "debug", "INFO", "Warning", "error", "CRITICAL"):
        Config("PeterRec", config_dict={"state": level})
    with pytest.raises(ConfigError, match="state must be empty, or debug, info"):
        Config("PeterRec", config_dict={"state": "FOO"})


def test_a_folder_of_one_s_own_goes_before_recbole_s_ml_100k(tmp_path):
    recbole_s = Config("NextItNetAR", "ml-100k")["data_path"]
    own = {"data_path": str(tmp_path)}
    assert Config("NextItNetAR", "ml-100k", config_dict=own)["data_path"] == recbole_s
    (tmp_path / "ml-100k").mkdir()
    config = Config("NextItNetAR", "ml-100k", config_dict=own)
    assert config["data_path"] == str(tmp_path / "ml-100k")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"enable_scaler": True, "clip_grad_norm": {"max_norm": 1}},
            "RecBole clips the scaled",
        ),
        (
            {
                "worker": 1,
                "loss_type": "BPR",
                "train_neg_sample_args": {
                    "distribution": "uniform",
                    "sample_num": 1,
                    "dynamic": True,
                    "candidate_num": 3,
                },
            },
            "worker must be 0 with dynamic negatives",
        ),
    ],
    ids=["scaler", "dynamic"],
)
def test_settings_of_recbole_s_models_that_do_not_go_together(tmp_path, keys, told):
    given = {"data_path": str(write_toy(tmp_path)), **keys}
    with pytest.raises(UserError, match=told):
        Config("GRU4Rec", "toy", config_dict=given)


@pytest.mark.parametrize(
    ("model", "loss", "known"),
    [
        ("SASRec", "XX", "CE or BPR"),
        ("SASRec", None, "CE or BPR"),
        ("SASRec", "NLL", "CE or BPR"),
        ("SINE", "XX", "CE or BPR or NLL"),
        ("CORE", "BPR", "CE"),
        ("FPMC", "CE", "BPR"),
    ],
)
def test_a_loss_that_a_model_does_not_know_is_refused(tmp_path, model, loss, known):
    given = {"data_path": str(write_toy(tmp_path)), "loss_type": loss}
    with pytest.raises(ConfigError, match=f"loss_type of {model} must be {known}, got"):
        Config(model, "toy", config_dict=given)


@pytest.mark.parametrize(
    ("model", "loss"),
    [("SINE", "NLL"), ("SASRec", "BPR"), ("TransRec", None), ("CDAE", "MSE")],
)
def test_a_loss_that_a_model_knows_is_taken(tmp_path, model, loss):
    """And what does not read one may be without; what is not sequential is refused as such."""
    negatives = {"distribution": "uniform", "sample_num": 1}
    given = {"data_path": str(write_toy(tmp_path)), "loss_type": loss}
    config = Config(
        model, "toy", config_dict={**given, "train_neg_sample_args": negatives}
    )
    assert config["loss_type"] == loss


def test_one_file_instead_of_a_list_is_refused():
    with pytest.raises(ConfigError, match=r"a list of files, got 'mine.yaml'"):
        Config("PeterRec", config_file_list="mine.yaml")


def test_what_learns_without_negatives_may_be_derived_from(tmp_path):
    """As a suite does, or a bound of epochs."""
    given = {"data_path": str(write_toy(tmp_path)), "loss_type": "NLL"}
    config = Config("SINE", "toy", config_dict=given | {"train_neg_sample_args": None})
    assert config.derive(epochs=3)["epochs"] == 3


def test_the_item_column_of_a_target_is_kept_for_going_on(tmp_path):
    task = {**TARGET, "ITEM_ID_FIELD": "product"}
    keys = settings(write_toy(tmp_path / "data"), tasks=[task])
    config = Config("PeterRec", "toy", config_dict=keys)
    (read,) = read_tasks(Config("PeterRec", "toy", config_dict=config.resolved()))
    assert read.config["ITEM_ID_FIELD"] == "product"


@pytest.mark.parametrize(
    ("model", "keys", "unread", "told"),
    [
        ("PeterRec", {"prune_ratio": 0.5}, PRUNING_KEYS, "prune_ratio"),
        ("Conure", {"tuning": "head"}, TUNING_KEYS, "patch_reduction, tuning"),
        (
            "PeterRec",
            {"tasks": [TARGET | {"prune_ratio": 0.5}]},
            PRUNING_KEYS,
            "prune_ratio of task 'buy'",
        ),
        (
            "PeterRec",
            {"task_defaults": {"profile": {"prune_ratio": 0.5, "epochs": 3}}},
            PRUNING_KEYS,
            "prune_ratio of task_defaults: profile",
        ),
    ],
    ids=str,
)
def test_keys_of_another_kind_of_run_are_told(
    tmp_path, caplog, model, keys, unread, told
):
    config = settings(write_toy(tmp_path / "data"), **keys)
    tell_unread(Config(model, "toy", config_dict=config), unread)
    messages = [record.message for record in caplog.records]
    assert messages == [f"{model} does not read {told}"]


@pytest.mark.parametrize(
    ("model", "keys", "told"),
    [
        ("FineAll", {"patch_count": 1, "tune_layers": 2}, "patch_count, tune_layers"),
        ("PeterRec", {"tune_layers": 2}, "tune_layers"),
        ("FineLast", {"tune_layers": 2}, None),
        ("Conure", {"prune_tolerance": 0.2}, "prune_tolerance"),
        ("Conure", {"prune_tolerance": 0.2, "prune_ratio": "auto"}, None),
        ("Conure", {"embedding_prune_ratio": 0.4}, "embedding_prune_ratio"),
        ("Conure", {"embedding_prune_ratio": 0.4, "prune_embeddings": True}, None),
    ],
    ids=str,
)
def test_keys_that_other_settings_leave_unread_are_told(
    tmp_path, caplog, model, keys, told
):
    given = settings(write_toy(tmp_path / "data"), **keys)
    del given["patch_reduction"]
    config = Config(model, "toy", config_dict=given)
    (ContinualRun if model == "Conure" else TransferRun)(config)
    messages = [r.message for r in caplog.records if "does not read" in r.message]
    assert messages == ([f"{model} does not read {told}"] if told else [])


@pytest.mark.parametrize(
    ("model", "keys", "told"),
    [
        ("SASRec", {"dropout_prob": 0}, ["dropout_prob"]),
        (
            "SASRec",
            {"finetune_epochs": 3, "source_cache": 0, "pretrain_epochs": 2},
            ["finetune_epochs, source_cache"],
        ),
        (
            "NextItNetAR",
            {"weight_average": 0.9, "rank_rho": 0.2},
            ["rank_rho, weight_average"],
        ),
        ("NextItNetAR", {"dropout": 0.0, "n_layers": 2}, ["dropout, n_layers"]),
        ("GRec", {"dropout": None, "pretrained": False}, []),
        ("PeterRec", {"hidden_size": 32}, ["hidden_size"]),
        ("PeterRec", {"tasks": [TARGET | {"beta": 1}]}, ["beta of task 'buy'"]),
        (
            "Conure",
            {"task_defaults": {"recommendation": {"hidden_size": 8}}},
            ["hidden_size of task_defaults: recommendation"],
        ),
    ],
    ids=str,
)
def test_keys_that_only_other_models_have_are_told(tmp_path, caplog, model, keys, told):
    given = {"data_path": str(write_toy(tmp_path / "data")), "tasks": [TARGET]}
    if model in ("SASRec", "NextItNetAR", "GRec"):
        del given["tasks"]
    run_class = {"PeterRec": TransferRun, "Conure": ContinualRun}
    run_class.get(model, SequentialRun)(
        Config(model, "toy", config_dict={**given, **keys})
    )
    messages = [r.message for r in caplog.records if "does not read" in r.message]
    assert messages == [f"{model} does not read {each}" for each in told]


@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_keys_of_the_run_that_its_tasks_do_not_take_are_told(tmp_path, caplog, model):
    split = {key: TARGET["eval_args"][key] for key in ("split", "order", "group_by")}
    own = {**TARGET, "topk": [5], "eval_args": split}  # no mode
    given = settings(write_toy(tmp_path), tasks=[own, *TASKS])
    del given["MAX_ITEM_LIST_LENGTH"]
    given.update(topk=[5, 10], metrics=["MRR", "Hit", "NDCG"], seed=3)
    given.update(eval_args={"mode": "uni5"}, val_interval={"rating": "[1,5]"})
    given["task_defaults"] = {"profile": {"metrics": ["Hit"], "topk": [1]}}
    config = Config(model, "toy", config_dict=given)
    tell_kept_by_tasks(config, read_tasks(config))
    (told,) = (r.message for r in caplog.records if "its source" in r.message)
    assert told == (
        "metrics of the run is for its source, not for buy; "
        "mode of eval_args of the run is for its source, not for buy, gender, age; "
        "see task_defaults"
    )


def test_of_many_tasks_that_do_not_take_a_key_a_few_are_named(tmp_path, caplog):
    tasks = [{**TASKS[0], "name": f"gender{number}"} for number in range(100)]
    given = settings(write_toy(tmp_path), tasks=tasks, topk=[5, 7])
    config = Config("PeterRec", "toy", config_dict=given)
    tell_kept_by_tasks(config, read_tasks(config))
    named = ", ".join(f"gender{number}" for number in range(5))
    assert f"not for {named} and 95 more; see task_defaults" in caplog.text


@pytest.mark.parametrize("whose", ["task", "kind"])
def test_a_ranking_mode_of_a_task_s_own_is_no_surprise(tmp_path, caplog, whose):
    """The toy's target has one; profiles have it by their kind, or still the default."""
    given = settings(write_toy(tmp_path), tasks=[TARGET, TASKS[0]])
    given.update(eval_args={"mode": "uni9"})
    if whose == "kind":
        given["task_defaults"] = {"profile": {"eval_args": {"mode": "full"}}}
    del given["MAX_ITEM_LIST_LENGTH"]
    config = Config("PeterRec", "toy", config_dict=given)
    tell_kept_by_tasks(config, read_tasks(config))
    told = [r.message for r in caplog.records if "its source" in r.message]
    mode = "mode of eval_args of the run is for its source, not for gender"
    assert told == ([f"{mode}; see task_defaults"] if whose == "task" else [])


@pytest.mark.parametrize("run_class", [TransferRun, ContinualRun])
def test_what_tasks_do_not_take_is_told_before_anything_is_trained(
    tmp_path, caplog, run_class
):
    model = "PeterRec" if run_class is TransferRun else "Conure"
    run_class(
        Config(model, "toy", config_dict=settings(write_toy(tmp_path), topk=[5, 7]))
    )
    assert "topk of the run is for its source, not for gender, age" in caplog.text


def test_a_task_s_value_that_is_the_default_of_its_kind_is_not_told(tmp_path, caplog):
    keys = settings(write_toy(tmp_path), protocol="conure")
    kinds = Config("PeterRec", "toy", config_dict=keys)["task_defaults"]
    same = {"prune_ratio": kinds["recommendation"]["prune_ratio"]}
    for ratio, told in ((same, []), ({"prune_ratio": 0.45}, ["prune_ratio"])):
        caplog.clear()
        given = {**keys, "tasks": [TARGET | ratio]}
        tell_unread(Config("PeterRec", "toy", config_dict=given), PRUNING_KEYS)
        assert [record.message for record in caplog.records] == [
            f"PeterRec does not read {key} of task 'buy'" for key in told
        ]


def test_a_task_s_value_that_its_dataset_s_file_has_is_not_told(caplog):
    keys = {"protocol": "conure"}
    shipped = Config("PeterRec", "ml-100k", config_dict=keys)["tasks"]
    (love,) = [task for task in shipped if task["name"] == "love"]
    keys["tasks"] = [dict(love)]
    tell_unread(Config("PeterRec", "ml-100k", config_dict=keys), PRUNING_KEYS)
    assert "prune_ratio" in love and caplog.records == []


def test_a_backbone_that_a_run_does_not_start_from_is_told(tmp_path, caplog):
    keys = settings(write_toy(tmp_path), pretrained_path="nowhere")
    TransferRun(Config("PeterZero", "toy", config_dict=keys))
    told = "PeterZero starts from random weights: pretrained_path is not read"
    assert told in [record.message for record in caplog.records]


def test_defaults_of_a_saved_config_are_not_told(tmp_path, caplog):
    keys = settings(write_toy(tmp_path), protocol="conure", tasks=[TARGET])
    saved = Config("PeterRec", "toy", config_dict=keys).resolved()
    again = Config("PeterRec", "toy", config_dict=saved)
    assert "prune_ratio" in saved["task_defaults"]["recommendation"]
    tell_unread(again, (*PRUNING_KEYS, "pretrained", "pretrained_path"))
    other = Config("PeterRec", "toy", config_dict=saved | {"protocol": None})
    tell_unread(other, PRUNING_KEYS)
    assert caplog.records == []


@pytest.mark.parametrize("model", ["NextItNetAR", "SASRec"])
def test_a_model_without_tasks_takes_no_weights_of_another_run(tmp_path, model):
    keys = settings(write_toy(tmp_path), pretrained_path="nowhere", state="ERROR")
    with pytest.raises(UserError, match="starts from random weights"):
        run(model, "toy", config_dict=keys)


def test_a_learner_that_is_told_not_to_pretrain_is_refused(tmp_path):
    keys = settings(write_toy(tmp_path), pretrained=False)
    with pytest.raises(UserError, match="learns its first task itself"):
        ContinualRun(Config("Conure", "toy", config_dict=keys))


def test_weights_that_are_named_in_an_edited_config_are_refused_too(tmp_path):
    keys = settings(write_toy(tmp_path), state="ERROR")
    edited = Config("NextItNetAR", "toy", config_dict=keys).resolved()
    edited["pretrained_path"] = "nowhere"
    with pytest.raises(UserError, match="starts from random weights"):
        SequentialRun(Config("NextItNetAR", "toy", config_dict=edited))


def test_a_path_that_no_config_can_hold_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch
):
    folder = tmp_path / os.fsdecode(b"dat\xe9")  # not UTF-8
    write_toy(folder)
    with pytest.raises(UserError, match="data_path: .* is no text in UTF-8"):
        run("NextItNetAR", "toy", config_dict=settings(folder))
    monkeypatch.chdir(folder)  # so that the path becomes one, once it is absolute
    keys = settings(Path("."), run_dir=str(tmp_path / "run"), state="ERROR")
    with pytest.raises(UserError, match="is no text in UTF-8"):
        run("NextItNetAR", "toy", config_dict=keys)
    assert not list((tmp_path / "run").iterdir())


def test_a_flag_and_python_give_the_same_values(tmp_path):
    keys = settings(write_toy(tmp_path))
    flagged = Config("PeterRec", "toy", config_dict=keys, arguments=["--topk=(5,10)"])
    given = Config("PeterRec", "toy", config_dict={**keys, "topk": (5, 10)})
    assert flagged["topk"] == given["topk"] == [5, 10]
    with pytest.raises(UserError, match="additional_feat_suffix: Ellipsis"):
        Config(
            "PeterRec",
            "toy",
            config_dict=keys,
            arguments=["--additional_feat_suffix=..."],
        )


@pytest.mark.parametrize(
    ("key", "text"), [("reranker_CAN_NUM", "20,5"), ("wandb_project", "2024")]
)
def test_a_text_that_looks_like_numbers_stays_a_text_where_the_key_wants_one(key, text):
    config = Config("GRU4RecCPR", "ml-100k", arguments=[f"--{key}={text}"])
    assert config[key] == text


def test_what_a_model_notes_in_its_config_is_no_key_of_the_saved_one(toy_config):
    """Another run would refuse it."""
    config = toy_config("SASRec", dilations=None)
    config["made_up_by_the_model"] = 3
    assert "made_up_by_the_model" not in config.resolved()


def test_columns_that_order_and_filters_read_are_loaded(tmp_path):
    keys = settings(
        write_toy(tmp_path / "data"),
        load_col={"inter": ["user_id", "item_id"]},
        val_interval={"rating": "[2,5]"},
    )
    loaded = Config("NextItNetAR", "toy", config_dict=keys)["load_col"]["inter"]
    assert loaded == ["user_id", "item_id", "timestamp", "rating"]


@pytest.mark.parametrize("key", ["pretrained_path", "continue_from"])
def test_an_empty_path_is_no_wish_for_weights(key):
    config = Config("SASRec", "ml-100k", config_dict={key: ""})
    refuse_origins(config, [key])
    with pytest.raises(ConfigError, match=key):
        refuse_origins(Config("SASRec", "ml-100k", config_dict={key: "x"}), [key])
