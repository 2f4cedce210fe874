"""A dataset to break, and a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_peterrec.cli import main
from tests.bad_input.case import GENDER, Case
from tests.toy import toy_flags, write_config, write_toy


@pytest.fixture(scope="package")
def clean(tmp_path_factory) -> Path:
    """The toy's datasets, to be copied before anything is broken."""
    return write_toy(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="package")
def pretrained(tmp_path_factory, clean) -> Path:
    """A finished run directory."""
    folder = tmp_path_factory.mktemp("pretrained")
    config = write_config(
        folder / "toy.yaml", clean, run_dir=str(folder / "run"), tasks=[GENDER]
    )
    assert main([*toy_flags(config), "--show_progress=False"]) == 0
    return folder / "run"


@pytest.fixture
def case(tmp_path, clean, capsys, monkeypatch) -> Case:
    made = Case(tmp_path, clean, capsys)
    monkeypatch.chdir(made.here)
    capsys.readouterr()
    return made
