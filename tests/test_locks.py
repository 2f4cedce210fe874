"""Locks between processes, and where there are none."""

from __future__ import annotations

import errno
import os

import pytest

from recbole_peterrec import locks

pytestmark = pytest.mark.skipif(not locks.AVAILABLE, reason="no such locks")


@pytest.mark.parametrize(
    "code", ["ENOSYS", "ENOTSUP", "EOPNOTSUPP", "ENOLCK", "EBADF", "EINVAL"]
)
def test_a_file_system_without_locks_locks_nothing(tmp_path, monkeypatch, code):
    """Network disks answer in many ways."""

    def refuse(*_):
        raise OSError(getattr(errno, code), "refused")

    monkeypatch.setattr("fcntl.flock", refuse)
    with open(tmp_path / "x", "wb") as file:
        assert not locks.lock(file)


def test_what_else_the_system_refuses_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "refused")

    monkeypatch.setattr("fcntl.flock", refuse)
    with open(tmp_path / "x", "wb") as file, pytest.raises(OSError, match="refused"):
        locks.lock(file)


def written_by_a_child(descriptor):
    """Let a forked child write into a pipe, if it can."""
    child = os.fork()
    if not child:
        try:
            os.write(descriptor, b"x")
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def test_a_child_is_given_all_but_what_is_kept_from_it_just_then():
    """A number is soon another file's, such as the pipe of a loader's worker."""
    reading, writing = os.pipe()
    try:
        with locks.kept_from_children(writing):
            written_by_a_child(writing)
        written_by_a_child(writing)
        written_by_a_child(writing)
        os.close(writing)
        assert os.read(reading, 9) == b"xx"
    finally:
        os.close(reading)
