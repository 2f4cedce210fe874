"""The whole job, typed once in an empty directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import (
    TARGET,
    TASKS,
    Finished,
    command_line,
    toy_flags,
    write_config,
    write_toy,
)


@pytest.fixture(scope="package")
def data(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="package")
def config(tmp_path_factory, data) -> Path:
    """PeterRec with two profile tasks and a recommendation task."""
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    return write_config(path, data, tasks=[*TASKS, TARGET])


@pytest.fixture(scope="package")
def typed(tmp_path_factory, config) -> tuple[Finished, Path]:
    """The whole job, typed in an empty directory, and that directory."""
    here = tmp_path_factory.mktemp("typed")
    return command_line(toy_flags(config), here), here


@pytest.fixture(scope="package")
def run_dir(typed) -> Path:
    (found,) = (typed[1] / "saved").iterdir()
    return found


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
