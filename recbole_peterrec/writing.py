"""Names of files and folders, and what the system says to a write, as one clear line."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from recbole_peterrec.errors import WriteError

UNFINISHED = ".unfinished"  # ends the names of what is being written
FOLDER_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{,99}"  # that every system takes
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """What the system refuses while a path is written, as one clear line.

    Raises:
        WriteError: the path, the reason and what to mend; whoever knows how to go on after that
            adds it.
    """
    try:
        yield
    except OSError as error:
        mend = "free space there" if error.errno in FULL else "mend that"
        raise WriteError(
            f"{path} cannot be written: {error.strerror or error}; {mend}"
        ) from error
