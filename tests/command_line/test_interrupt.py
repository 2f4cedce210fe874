"""Ctrl-C, at any moment: one line, with how to go on if the run has begun."""

from __future__ import annotations

import pytest

from recbole_peterrec.cli import main
from recbole_peterrec.data import sequence_dataset
from recbole_peterrec.runs import transfer
from tests.toy import settings, write_toy


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
