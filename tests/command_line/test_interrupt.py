"""Ctrl-C: one line, with how to go on if the run has begun."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from recbole_peterrec.cli import main
from recbole_peterrec.data import sequence_dataset
from recbole_peterrec.runs import transfer
from tests.toy import ROOT, TASKS, python, settings, write_toy


@pytest.fixture
def flags(tmp_path):
    keys = settings(write_toy(tmp_path), run_dir=str(tmp_path / "run"), state="ERROR")
    return ["--dataset=toy", *(f"--{key}={value}" for key, value in keys.items())]


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_run_that_has_begun_says_how_to_go_on(flags, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "write_results", interrupt)
        assert main([*flags, "--model=PeterRec"]) == 130
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == f"interrupted; go on with --resume={tmp_path / 'run'}"
    assert main([f"--resume={tmp_path / 'run'}"]) == 0


def test_a_suite_says_how_to_go_on_with_all_of_it(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "write_results", interrupt)
    assert main([*flags, "--suite=[PeterRec]", "--seeds=[1, 2]"]) == 130
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == f"interrupted; go on with --resume={tmp_path / 'run'}"


def test_before_there_is_a_run_nothing_is_to_be_gone_on_with(
    flags, monkeypatch, capsys
):
    monkeypatch.setattr(sequence_dataset, "require_columns", interrupt)
    assert main([*flags, "--model=PeterRec"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"


EARLY = """
import importlib.abc, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from recbole_peterrec.cli import command
command()
"""


def test_while_torch_is_imported_there_is_no_traceback_either(tmp_path):
    done = python(["-c", EARLY], tmp_path)
    assert (done.status, done.stderr) == (130, "interrupted\n")


# What a shell starts in the background ignores Ctrl-C, and so do its own processes.
AS_IN_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from recbole_peterrec.cli import command
command()
"""


@contextlib.contextmanager
def _ended(started):
    try:
        yield
    finally:  # whatever a test has found
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def processes_of(pid: int) -> list[int]:
    children = psutil.Process(pid).children()
    return [c.pid for c in children if any("spawn_main" in a for a in c.cmdline())]


@pytest.mark.parametrize("to", ["all", "the parent", "the second"])
def test_several_processes_tell_it_once(tmp_path, to):
    """A terminal's reaches all, a notebook's the parent; and one of them may get it alone."""
    run_dir, file = tmp_path / "run", tmp_path / "keys.yaml"
    keys = settings(write_toy(tmp_path), tasks=TASKS, epochs=5000, nproc=2)
    keys["stopping_step"] = 5000  # it is still at work
    keys |= {"run_dir": str(run_dir), "state": "ERROR", "show_progress": False}
    file.write_text(yaml.safe_dump(keys))
    command = [sys.executable, "-c", AS_IN_A_TERMINAL, "--dataset=toy"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (
        subprocess.Popen(
            [*command, f"--config_files={file}"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as started,
        _ended(started),
    ):
        until = time.monotonic() + 100
        while not list(run_dir.glob("training/*/*")) and time.monotonic() < until:
            assert started.poll() is None
            time.sleep(0.05)
        children = processes_of(started.pid)
        assert len(children) == 2
        if to == "all":
            os.killpg(started.pid, signal.SIGINT)
        else:
            pid = started.pid if to == "the parent" else children[1]
            os.kill(pid, signal.SIGINT)
        told = started.communicate(timeout=60)[1].splitlines()
    assert told == [f"interrupted; go on with --resume={run_dir}"]
    assert started.returncode == 130
