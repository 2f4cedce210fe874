"""Several threads of one process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from recbole_peterrec import run
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.suite import dispatch


def test_runs_of_several_threads_take_turns(monkeypatch):
    """Random numbers and the working directory are the process's."""
    at_work, most = [], []

    def config(*_):
        at_work.append(1)
        time.sleep(0.05)
        most.append(len(at_work))
        at_work.pop()
        raise ConfigError("so far")

    def ask(_):
        with pytest.raises(ConfigError, match="so far"):
            run("NextItNetAR")

    monkeypatch.setattr(dispatch, "Config", config)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    assert most == [1] * 4
