"""A suite that nothing has disturbed, and runs that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_peterrec import quick_start, run
from tests.suite.case import MODELS, keys
from tests.toy import write_toy


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="package")
def undisturbed(folder, tmp_path_factory):
    """A suite of four models and two seeds: its outcome and its directory."""
    run_dir = tmp_path_factory.mktemp("suite") / "run"
    given = keys(folder, run_dir, suite=MODELS, seeds=[1, 2])
    return run(dataset="toy", config_dict=given), run_dir


@pytest.fixture
def failing(monkeypatch):
    """Runs of a suite that fail, by model and seed, until the block ends."""
    run_one, errors = quick_start.run, {}

    def maybe(model=None, *args, config_dict, **kwargs):
        run_dir = Path(config_dict.get("resume") or config_dict["run_dir"])
        error = errors.get((run_dir.parent.name, run_dir.name))
        if error is not None:
            raise error
        return run_one(model, *args, config_dict=config_dict, **kwargs)

    monkeypatch.setattr(quick_start, "run", maybe)
    return errors
