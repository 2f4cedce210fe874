"""Several threads of one process, and processes that are forked beside them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from recbole_peterrec import quick_start, run
from recbole_peterrec.suite import dispatch


def test_runs_of_several_threads_take_turns(monkeypatch):
    """Random numbers and the working directory are the process's."""
    at_work, most = [], []

    def carried_out(*_):
        at_work.append(1)
        time.sleep(0.05)
        most.append(len(at_work))
        at_work.pop()

    monkeypatch.setattr(quick_start, "carry_out", carried_out)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: run("NextItNetAR"), range(4)))
    assert most == [1] * 4


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no forks here"
)
def test_a_process_that_is_forked_during_a_run_does_not_wait_for_its_end():
    begun, ended = threading.Event(), threading.Event()

    def running():
        with dispatch._alone:
            begun.set()
            ended.wait()

    thread = threading.Thread(target=running)
    thread.start()
    begun.wait()
    child = multiprocessing.get_context("fork").Process(target=_take_a_turn)
    child.start()
    child.join(20)
    status = child.exitcode
    child.kill()
    ended.set()
    thread.join()
    assert status == 0


def _take_a_turn():
    with dispatch._alone:
        pass
