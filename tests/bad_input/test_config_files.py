"""Config files and flags: malformed ones, and ones that carry code."""

from __future__ import annotations

import contextlib
import json

import pytest

from recbole_peterrec.cli import main
from recbole_peterrec.config import Config
from tests.bad_input.case import holds, the_error
from tests.toy import TARGET


@pytest.mark.parametrize(
    "text",
    [
        "tasks: [",
        "a: b: c",
        "\tx: 1",
        "x: &a [*b]",
        "!!python/object:os.system x",
        "\0",
        "x: 2024-13-45",
        "a: &a [*a]",
        "!!map a: 1",
        "!!omap a: 1",
        "epochs: !!bool foo",
        "!!timestamp foo: 1",
    ],
)
def test_malformed_yaml_is_refused_with_its_file(case, text):
    path = case.folder / "broken.yaml"
    path.write_text(text)
    assert main(["--dataset=toy", f"--config_files={path}"]) == 2
    holds(the_error(2, case.capsys.readouterr().err), str(path))
    assert list(case.here.iterdir()) == []


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words", "3"])
def test_yaml_that_is_no_mapping_is_refused(case, text):
    path = case.folder / "broken.yaml"
    path.write_text(text)
    status = main(["--dataset=toy", f"--config_files={path}"])
    holds(the_error(status, case.capsys.readouterr().err), str(path), "key: value")


def test_key_that_stands_twice_is_refused_with_its_file_and_lines(case):
    path = case.folder / "mine.yaml"
    path.write_text("learning_rate: 0.01\nepochs: 3\nlearning_rate: 0.001\n")
    status = main(["--dataset=toy", f"--config_files={path}"])
    message = the_error(status, case.capsys.readouterr().err)
    holds(message, str(path), "'learning_rate'", "twice", "lines 1 and 3")
    flag = "--tasks=[{name: sex, kind: profile, field: gender, field: age}]"
    holds(case.error(flag), "'field'", "twice", flag.removeprefix("--tasks="))


def test_missing_config_file_is_named(case):
    status = main(["--dataset=toy", "--config_files=nowhere.yaml"])
    holds(the_error(status, case.capsys.readouterr().err), "nowhere.yaml")


@pytest.mark.parametrize(
    "flag", ["--epochs", "epochs=1", "-epochs=1", "1", "--", "--=3"]
)
def test_malformed_flag_is_refused_with_what_it_must_look_like(case, flag):
    holds(case.error(flag), f"{flag!r}", "--key=value")


def test_flag_given_twice_with_different_values_is_refused(case):
    holds(case.error("--epochs=1", "--epochs=2"), "--epochs", "twice")
    holds(case.error("--model=PeterRecc"), "--model", "twice")


def test_flag_given_twice_with_the_same_value_is_that_value():
    config = Config("PeterRec", "ml-100k", arguments=["--epochs=3", "--epochs=3"])
    assert config["epochs"] == 3


@pytest.mark.parametrize(
    "flag", ["resume", "pretrained_path", "continue_from", "run_dir", "data_path"]
)
def test_a_path_that_a_shell_left_empty_is_refused(case, flag):
    """``--resume=$UNSET`` would be the main job."""
    status = main(["--epochs=none", "--data_path=nowhere", f"--{flag}="])
    holds(the_error(status, case.capsys.readouterr().err), f"--{flag}", "needs a value")
    assert list(case.here.iterdir()) == []


@pytest.mark.parametrize("flag", ["-m", "-d", "--model", "--dataset", "--config_files"])
def test_flag_at_the_end_without_its_value_is_refused(case, flag):
    status = main(["--epochs=none", "--data_path=nowhere", flag])  # never a whole run
    holds(the_error(status, case.capsys.readouterr().err), flag)
    assert list(case.here.iterdir()) == []


@pytest.mark.parametrize("flag", ["-m", "-d", "--model", "--dataset", "--config_files"])
@pytest.mark.parametrize("after", ["--epochs=1", "-x"])
def test_flag_does_not_take_the_next_one_as_its_value(case, flag, after):
    status = main(["--data_path=nowhere", flag, after, "SASRec"])
    message = the_error(status, case.capsys.readouterr().err)
    assert message.startswith(
        f"flag {flag} needs a value, and {after} after it looks like a flag"
    )
    assert list(case.here.iterdir()) == []


def test_value_that_begins_like_a_flag_can_be_given(case):
    status = main(["-d=--epochs", "--model=NextItNetAR", "--data_path=nowhere"])
    holds(the_error(status, case.capsys.readouterr().err), "nowhere/--epochs")


CODE = "__import__('os').system('touch {}')"


@pytest.mark.parametrize(
    "key", ["learning_rate", "seed", "epochs", "val_interval", "device"]
)
def test_code_in_a_flag_is_not_executed(case, key):
    trace = case.folder / "executed"
    with contextlib.suppress(Exception):  # how it is refused is tested above
        case.run(f"--{key}={CODE.format(trace)}")
    assert not trace.exists()


@pytest.mark.parametrize("key", ["learning_rate", "topk", "user_inter_num_interval"])
def test_code_in_a_file_is_not_executed(case, key):
    trace = case.folder / "executed"
    with contextlib.suppress(Exception):
        case.run(**{key: CODE.format(trace)})
    assert not trace.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": CODE},
        {"user_inter_num_interval": f"[{CODE},inf)"},
        {"val_interval": {"rating": f"[{CODE},5]"}},
        {"train_neg_sample_args": CODE},
    ],
    ids=lambda change: next(iter(change)),
)
def test_code_in_a_task_is_not_executed(case, change):
    trace = case.folder / "executed"
    text = json.dumps({**TARGET, **change}).replace("{}", str(trace))
    with contextlib.suppress(Exception):
        case.run(tasks=[json.loads(text)])
    assert not trace.exists()


def test_a_misspelt_flag_of_files_is_no_main_job(case):
    message = case.error("--config_file=mine.yaml")
    holds(message, "'config_file'", "did you mean 'config_files'?")


def test_files_are_not_named_in_a_file(case):
    holds(case.error(config_files=["mine.yaml"]), "config_files", "flag")


@pytest.mark.parametrize("key", ["train_batch_size", "MAX_ITEM_LIST_LENGTH", "topk"])
def test_numbers_that_nothing_can_have_are_refused(case, key):
    holds(case.error(f"--{key}={10**20}"), key, "whole number")
