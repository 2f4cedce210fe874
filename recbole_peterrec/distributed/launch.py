"""Starting the processes of a run on this machine, by RecBole's flags."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from recbole_peterrec import errors
from recbole_peterrec.distributed.group import Member, leave, taking_part
from recbole_peterrec.errors import (
    INTERRUPTED,
    ConfigError,
    PeerError,
    TrainingError,
    UserError,
    permitted,
)

PORT = 5678  # RecBole's, for runs of several machines
GRACE = 5.0  # seconds in which processes may end by themselves after one has failed
FAILED = 2  # exit status of a process that has told its error


@dataclass(frozen=True)
class Plan:
    """The processes that a config asks for.

    Attributes:
        local_size: processes on this machine (``nproc``).
        size: on all machines (``world_size``).
        offset: number of this machine's first one (``group_offset``).
        host: where they meet: the machine of process 0 (``ip``).
        port: of the host; 0 takes a free one, which needs all on one machine.
    """

    local_size: int
    size: int
    offset: int
    host: str
    port: int


def plan_of(config) -> Plan | None:
    """What RecBole's flags ask for; None for one process.

    Raises:
        ConfigError: more processes on this machine than in all.
    """
    local_size, offset = config["nproc"], config["group_offset"]
    given = config["world_size"]
    size = local_size if given in (None, -1) else given
    if offset + local_size > size:
        raise ConfigError(
            f"world_size {size} is less than group_offset {offset} and nproc {local_size} "
            f"together; it counts the processes of all machines"
        )
    if size == 1:
        return None
    port = config["port"] or (0 if size == local_size else PORT)
    return Plan(local_size, size, offset, str(config["ip"]), port)


def launch(plan: Plan, function: Callable[..., Any], arguments: tuple) -> Any:
    """Call a function in each of several new processes, as members of one run.

    Args:
        plan: how many, and where they meet.
        function: of a module's top level; gives plain data (as JSON has it).
        arguments: its own, which can be pickled.

    Returns:
        What it gave in this machine's first process.

    Raises:
        UserError: that of the process that failed first, or that one was killed.
        ChildProcessError: a process has ended by an error that is no user's.
        KeyboardInterrupt: by Ctrl-C, here or in one of them.
    """
    store = _store(plan, plan.offset == 0, plan.port)
    spawn = get_context("spawn")
    pipes = [spawn.Pipe(duplex=False) for _ in range(plan.local_size)]
    processes = [
        spawn.Process(
            target=_work, args=(number, plan, store.port, pipe, function, arguments)
        )
        for number, (_, pipe) in enumerate(pipes)
    ]
    for process, (_, pipe) in zip(processes, pipes, strict=True):
        process.start()
        pipe.close()
    readers = [reader for reader, _ in pipes]
    try:
        told = _listen(processes, readers)
        statuses = [process.exitcode for process in processes]
    except KeyboardInterrupt:
        for process in processes:
            if process.is_alive():
                os.kill(process.pid, signal.SIGINT)
        told = _listen(processes, readers, time.monotonic() + GRACE)
        told.append({"interrupted": []})  # if none can tell how to go on
        statuses = []
    finally:
        _end(processes)
    return _outcome(told, statuses)


def _store(plan: Plan, hosts: bool, port: int) -> dist.TCPStore:
    try:
        return dist.TCPStore(plan.host, port, is_master=hosts, wait_for_workers=False)
    except RuntimeError as error:
        raise ConfigError(
            f"ip {plan.host}, port {port}: processes cannot meet there "
            f"({' '.join(str(error).split())}); give another port"
        ) from error


def _work(
    number: int,
    plan: Plan,
    port: int,
    pipe: connection.Connection,
    function: Callable[..., Any],
    arguments: tuple,
) -> None:
    """What a new process does."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if (
        signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    ):  # as of a job in the background
        signal.signal(signal.SIGINT, _Interrupt())
    # One process shows bars: no semaphore between processes, which its end would leave behind.
    tqdm.set_lock(threading.RLock())
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // plan.local_size))
    try:
        store = _store(plan, False, port)
        new = Member(plan.offset + number, plan.size, number, plan.local_size, store)
        with taking_part(new), permitted():
            value = function(*arguments)
    except UserError as error:
        message = {"error": type(error).__name__, "message": str(error)}
        pipe.send_bytes(json.dumps(message).encode())
        leave(FAILED)
    except KeyboardInterrupt as interrupt:
        message = {"interrupted": [str(advice) for advice in interrupt.args]}
        pipe.send_bytes(json.dumps(message).encode())
        leave(INTERRUPTED)
    if number == 0:
        pipe.send_bytes(json.dumps({"value": value}).encode())
    leave(0)


class _Interrupt:
    """Ctrl-C, which reaches all processes and which their parent passes on: one for both."""

    def __init__(self) -> None:
        self.last = -GRACE

    def __call__(self, *_: object) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before > GRACE / 2:
            raise KeyboardInterrupt


def _leave_with_parent() -> None:
    """End at once where the process that started this one has gone, however it went."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def _listen(
    processes: list[BaseProcess],
    readers: list[connection.Connection],
    until: float | None = None,
) -> list[dict[str, Any]]:
    """What processes tell, until all have ended, or a moment after one has failed.

    Args:
        processes: all of them.
        readers: of each one's pipe.
        until: a time, of ``time.monotonic``, at which it is enough.
    """
    told: list[dict[str, Any]] = []
    talking = dict(zip(readers, processes, strict=True))
    while talking:
        left = None if until is None else max(0.0, until - time.monotonic())
        ready = connection.wait(list(talking), left)
        if not ready:
            break
        for reader in ready:
            try:
                told.append(json.loads(reader.recv_bytes()))
            except EOFError:  # the process has closed its end, with its life
                process = talking.pop(reader)
                process.join()
                if process.exitcode and until is None:
                    until = time.monotonic() + GRACE
    return told


def _end(processes: list[BaseProcess]) -> None:
    for end in (BaseProcess.terminate, BaseProcess.kill):
        for process in processes:
            if process.is_alive():
                end(process)
                process.join(GRACE)


def _outcome(told: list[dict[str, Any]], statuses: list[int | None]) -> Any:
    """The value that was told, or the error that says most about why there is none.

    Raises:
        KeyboardInterrupt: a process was interrupted; with what the first one told of going on.
    """
    advice = [message["interrupted"] for message in told if "interrupted" in message]
    if advice:
        raise KeyboardInterrupt(*max(advice, key=len))
    failures = [message for message in told if "error" in message]
    for message in failures:
        if message["error"] != PeerError.__name__:
            raise getattr(errors, message["error"])(message["message"])
    for number, status in enumerate(statuses):
        process = f"process {number} of {len(statuses)} on this machine"
        if status is not None and status < 0:
            raise TrainingError(
                f"{process} was killed (signal {-status}), which may be for want of memory; use "
                f"fewer processes, or resume the run"
            )
        if status not in (0, FAILED, None):
            raise ChildProcessError(f"{process} failed; its error is above")
    if failures:  # the error is of another machine
        raise PeerError(failures[0]["message"])
    return next(message["value"] for message in told if "value" in message)
