"""Locks between processes, which the kernel frees when their holder dies."""

from __future__ import annotations

import errno
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
