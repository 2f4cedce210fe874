"""The processes of a run: which of them this one is, and how an error of one ends all."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from recbole_peterrec.errors import ConfigError, PeerError, TrainingError, UserError
from recbole_peterrec.out_of_memory import is_out_of_memory
from recbole_peterrec.process import started_by_launcher

PATIENCE = timedelta(seconds=10)  # for the message of a process that has gone
COURTESY = 3.0  # seconds, for the process that tells an error to end first
LONGEST_WAIT = timedelta(minutes=30)  # in an exchange, for the slowest process
LOOK_AGAIN = 0.05  # seconds, for a process that is still to come
DEVICES = {"cpu": "the CPU", "cuda": "a GPU"}  # by torch's type of them


class ConnectionLost(RuntimeError):
    """An exchange failed, mostly because another process has gone."""


@dataclass(frozen=True)
class Member:
    """One process of a run.

    Attributes:
        rank: its number, ``0 .. size - 1``.
        size: how many there are.
        local_rank: its number on its machine.
        local_size: how many there are on its machine.
        store: what all processes can write to before, and after, they are connected.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    store: dist.Store


_member: Member | None = None  # a process has one rank at a time
_runs, _turns = itertools.count(), itertools.count()


def rank() -> int:
    """Number of this process; 0 of one on its own."""
    return _member.rank if _member else 0


def size() -> int:
    """How many processes share the run."""
    return _member.size if _member else 1


def is_first() -> bool:
    """Whether this is the process that writes and tells."""
    return rank() == 0


def member() -> Member | None:
    """This process's place; None for one on its own."""
    return _member


def leave(status: int) -> NoReturn:
    """End this process at once, now that all is told and written: the threads of gloo, and after a
    failure of nccl, would meet an interpreter that ends, and abort it."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # what was told cannot be read
            status = status or 1
    os._exit(status)


def let_others_end_first() -> None:
    """Wait, in a process that only heard of another's error: torchrun blames the first process to
    end and kills the rest, of which one may still be printing that error."""
    if started_by_launcher():
        time.sleep(COURTESY)


@contextlib.contextmanager
def joined_from_environment() -> Iterator[None]:
    """Take part in the run that torchrun has started this process for, if it has."""
    if _member is not None or not started_by_launcher():
        yield
        return
    store, own_rank, processes = next(iter(rendezvous("env://")))
    local = int(os.environ.get("LOCAL_RANK", own_rank))
    on_machine = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    store = dist.PrefixStore(f"run{next(_runs)}", store)
    with taking_part(Member(own_rank, processes, local, on_machine, store)):
        yield


@contextlib.contextmanager
def taking_part(new: Member) -> Iterator[None]:
    """Be a process of a run until the end of the block, or until any of them fails.

    The first error is put where all see it, so it is told once: in the others, which
    stop at their next exchange, it becomes a :class:`PeerError`.

    Raises:
        PeerError: another process failed first, and tells it.
        TrainingError: an exchange failed, and no other process tells why.
    """
    global _member
    _member = new
    failed = True
    try:
        yield
        with exchanging():
            if dist.is_initialized():  # nobody leaves while another still exchanges
                dist.all_reduce(torch.zeros(1))
        failed = False
    except ConnectionLost as error:
        raise _what_happened(new.store, error) from error
    except BaseException as error:
        first = _tell(new.store, str(error) or type(error).__name__)
        if not first and isinstance(error, UserError):
            raise PeerError(str(error)) from error
        raise
    finally:
        _member = None
        # After a failure nccl would wait for the others; the process's end is enough.
        if dist.is_initialized() and not (failed and torch.cuda.is_initialized()):
            dist.destroy_process_group()


def _what_happened(store: dist.Store, error: ConnectionLost) -> UserError:
    """The error that another process tells, or that this one has to."""
    # Suppressed: that nobody tells in time, or that the store has gone with its process.
    with contextlib.suppress(RuntimeError):
        store.wait(["failure"], PATIENCE)
        return PeerError(store.get("failure").decode())
    lost = (
        f"processes cannot reach each other ({error}); see that all are there and what the "
        f"network allows, then start or resume the run, or use one process"
    )
    return TrainingError(lost) if _tell(store, lost) else PeerError(lost)


def _tell(store: dist.Store, failure: str) -> bool:
    """Put an error where all processes see it; whether it is for this one to tell the user.

    It is where no other process has failed before, or none can be heard of: the store goes with
    the process that keeps it.
    """
    try:
        first = store.add("failures", 1) == 1
        if first:
            store.set("failure", failure)
        return first
    except RuntimeError:
        return True


def connect(device: torch.device) -> None:
    """Connect the processes, for tensors of the CPU by gloo and for those of GPUs by nccl.

    Args:
        device: this process's own.

    Raises:
        ConfigError: they are of two kinds, and would wait for each other; all processes find that.
    """
    if _member is None:
        return
    kinds = _kinds_of_devices(_member, device.type)
    for number, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ConfigError(
                f"process {number} works on {DEVICES[kind]}, process 0 on {DEVICES[kinds[0]]}; "
                f"give every process a GPU, or none (--use_gpu=False)"
            )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with exchanging():
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("group", _member.store),
            rank=_member.rank,
            world_size=_member.size,
            timeout=LONGEST_WAIT,
        )


def _kinds_of_devices(own: Member, kind: str) -> list[str]:
    """Of all processes, once the last has come.

    Raises:
        ConnectionLost: one does not come, or another has failed.
    """
    store = own.store
    names = [f"device{number}" for number in range(own.size)]
    late = time.monotonic() + LONGEST_WAIT.total_seconds()
    with exchanging():
        store.set(names[own.rank], kind)
        while not _told(store, names):
            if time.monotonic() > late:
                missing = [not store.check([name]) for name in names].index(True)
                raise ConnectionLost(
                    f"process {missing} of {own.size} has not come within {LONGEST_WAIT}"
                )
            time.sleep(LOOK_AGAIN)
        return [store.get(name).decode() for name in names]


def _told(store: dist.Store, names: list[str]) -> bool:
    """Whether all of these have been written.

    Raises:
        ConnectionLost: a process has failed.
    """
    if store.check(names):
        return True
    if store.check(["failure"]):
        raise ConnectionLost("another process has failed")
    return False


def first_ahead(work: Callable[[], None]) -> None:
    """Let every process work once the first has, which may take longer than an exchange.

    Args:
        work: of this process. All must come here.

    Raises:
        ConnectionLost: in the others, if the first fails.
    """
    if _member is None:
        work()
        return
    name = f"first{next(_turns)}"
    if is_first():
        work()
        with exchanging():
            _member.store.set(name, "")
        return
    with exchanging():
        while not _told(_member.store, [name]):
            time.sleep(LOOK_AGAIN)
    work()


@contextlib.contextmanager
def exchanging() -> Iterator[None]:
    """Mark what fails within as a lost connection.

    Raises:
        ConnectionLost: torch's error of an exchange.
    """
    try:
        yield
    except ConnectionLost:
        raise
    except RuntimeError as error:
        # This process's own: an exchange is where a GPU's earlier work is first waited for.
        if is_out_of_memory(error) or str(error).startswith("CUDA error"):
            raise
        raise ConnectionLost(" ".join(str(error).split())) from error
