"""Locks between processes, which the kernel frees when their holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

AVAILABLE = fcntl is not None
# What a system or a file system without locks, or without locks of folders (NFS), answers.
NO_LOCKS = (
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.EBADF,
    errno.EINVAL,
)


def lock(file: BinaryIO | int, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed.

    A network's file system may lock it for one machine only.

    Args:
        file: or its descriptor.
        wait: until its holder lets go.

    Returns:
        Whether it is locked; False where there are no such locks.

    Raises:
        BlockingIOError: another process holds it, and nobody waits.
        OSError: anything else that the system refuses.
    """
    if not AVAILABLE:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


_kept: set[int] = set()  # descriptors that forked children are not given


@contextlib.contextmanager
def kept_from_children(descriptor: int) -> Iterator[None]:
    """Keep an open file or folder from processes that are forked meanwhile, as DataLoader's are.

    They would hold its lock when their parent has been killed, until they end themselves.
    """
    _kept.add(descriptor)
    try:
        yield
    finally:
        _kept.discard(descriptor)


def _let_go() -> None:
    # Their numbers stay in use: frames of the parent's may close them.
    for descriptor in _kept:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, descriptor, inheritable=False)
        os.close(null)
    _kept.clear()


if AVAILABLE:
    os.register_at_fork(after_in_child=_let_go)
