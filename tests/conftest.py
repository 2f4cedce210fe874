"""Toy data and configs for tests that need no run."""

from __future__ import annotations

import os

import pytest
import torch

from recbole_peterrec.config import Config
from tests.toy import INTER, settings, write_table, write_toy

HERE = os.path.dirname(os.path.realpath(__file__))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run all the tests in a process a CPU, up to four, unless the command says otherwise.

    Each takes whole files, whose tests share their runs; a few are sooner done in one process. Not
    in ``addopts``, which nothing could read where pytest-xdist is missing.
    """
    option = config.option
    unsaid = getattr(option, "numprocesses", 0) is None and not option.tx
    unsaid = unsaid and option.dist == "no" and option.capture != "no"
    is_worker = hasattr(config, "workerinput")
    everything = [os.path.realpath(path) for path in config.args] == [HERE]
    if unsaid and everything and not is_worker:
        option.numprocesses, option.maxprocesses = "logical", 4
        option.dist = "loadfile"


def pytest_configure() -> None:
    """One thread: as many processes as CPUs test at the same time."""
    torch.set_num_threads(1)


@pytest.fixture
def toy_config(tmp_path):
    """Makes a config on the toy dataset: ``toy_config("GRec", key=value)``."""
    write_toy(tmp_path / "data")

    def make(model="NextItNetAR", dataset="toy", **changes):
        changes.setdefault("run_dir", str(tmp_path / "run"))
        values = settings(tmp_path / "data", **changes)
        values.pop("dataset", None)
        return Config(model, dataset, config_dict=values)

    return make


@pytest.fixture
def uneven_config(toy_config, tmp_path):
    """Like ``toy_config``, on users with 1, 2, 3, 4 and 25 interactions."""
    rows = [
        (f"u{length}", f"i{position}", 5, position)
        for length in (1, 2, 3, 4, 25)
        for position in range(length)
    ]
    write_table(tmp_path / "data" / "uneven" / "uneven.inter", INTER, rows)
    return lambda model="NextItNetAR", **changes: toy_config(model, "uneven", **changes)
