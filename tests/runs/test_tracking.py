"""What Weights and Biases, which is not installed here, is asked for."""

import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import pytest

from recbole_peterrec import run
from recbole_peterrec.errors import ConfigError
from tests.toy import (
    ROOT,
    TASKS,
    python,
    settings,
    toy_flags,
    write_config,
    write_toy,
)


class Refused(Exception):
    """As the package's own errors."""


@pytest.fixture
def wandb(monkeypatch):
    """The package's functions that RecBole and we call."""
    module = ModuleType("wandb")
    module.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    module.errors = SimpleNamespace(Error=Refused)
    module.run = None

    def init(**keys):
        module.run = MagicMock()

    module.init = MagicMock(side_effect=init)
    for name in ("log", "define_metric", "finish"):
        setattr(module, name, MagicMock())
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def start(folder, **keys):
    values = settings(
        write_toy(folder / "data"),
        run_dir=str(folder / "run"),
        state="ERROR",
        tasks=[TASKS[0]],
        log_wandb=True,
    )
    return run("PeterRec", "toy", config_dict=values | keys)


def test_all_stages_of_a_run_log_to_one_in_its_directory(tmp_path, wandb):
    start(tmp_path, wandb_project="ours")
    (call,) = wandb.init.call_args_list
    assert call.kwargs["dir"] == str(tmp_path / "run")
    assert call.kwargs["project"] == "ours"
    assert call.kwargs["config"]["embedding_size"] == 8
    assert wandb.log.called
    wandb.finish.assert_called_once_with()


def test_a_run_that_is_broken_off_is_not_told_as_one_that_ended(tmp_path, wandb):
    wandb.log.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path)
    wandb.finish.assert_called_once_with(exit_code=1)


PRETENDED = """
from types import SimpleNamespace

errors, run = SimpleNamespace(Error=OSError), None

def init(**keys):
    global run
    run = SimpleNamespace(summary={})
    with open("begun", "a") as file:
        print("a run", file=file)

def log(*values, **keys):
    assert run

define_metric = finish = log
"""


def test_several_processes_log_to_one_run(tmp_path):
    (tmp_path / "wandb.py").write_text(PRETENDED)
    data = write_toy(tmp_path / "data")
    config = write_config(
        tmp_path / "toy.yaml", data, tasks=None, log_wandb=True, pretrain_epochs=1
    )
    flags = [*toy_flags(config, "NextItNetAR"), "--nproc=2", "--state=ERROR"]
    command = [ROOT / "run_recbole_peterrec.py", *flags]
    done = python(command, tmp_path, path=tmp_path)
    assert done.status == 0, done.stderr
    assert (tmp_path / "begun").read_text() == "a run\n"


@pytest.mark.parametrize("kind", [Refused, OSError])
def test_what_it_refuses_is_told(tmp_path, wandb, kind):
    wandb.init.side_effect = kind("No API key configured.")
    with pytest.raises(ConfigError, match="log_wandb: No API key.*WANDB_MODE=offline"):
        start(tmp_path)


def test_without_it_nothing_is_asked(tmp_path, wandb):
    start(tmp_path, log_wandb=False)
    assert not wandb.init.called
