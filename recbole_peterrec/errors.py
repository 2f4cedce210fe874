"""Errors that a user can cause: each is one line that says what, where and what to do."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator

INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it


class UserError(Exception):
    """Base of the errors that end the command line with exit status 2 and no traceback."""


class ConfigError(UserError):
    """A key, value or combination in yaml files, flags or dicts that cannot work."""


class DataError(UserError):
    """A dataset, file, column or task that cannot be used."""


class CheckpointError(UserError):
    """A saved file that is missing, damaged, foreign or does not fit."""


class WriteError(UserError):
    """A file that the system refuses to write, say because the disk is full."""


class RefusedError(UserError):
    """A file or folder that the system does not let be looked at."""


class TrainingError(UserError):
    """Training that cannot go on, such as a NaN loss."""


class PeerError(UserError):
    """What another process of the run met first, and tells."""


def told_of(interrupt: KeyboardInterrupt) -> str:
    """The one line for Ctrl-C, with what it says of how to go on."""
    return "; ".join(["interrupted", *map(str, interrupt.args)])


@contextlib.contextmanager
def permitted() -> Iterator[None]:
    """What the system refuses, wherever that is met, as one clear line.

    Raises:
        RefusedError: the path and the reason.
    """
    try:
        yield
    except PermissionError as error:
        if error.filename is None:  # not of a file
            raise
        raise RefusedError(f"{error.filename}: {error.strerror}; mend that") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known name, in any case, else an empty string."""
    by_folded = {str(other).lower(): other for other in known}
    near = difflib.get_close_matches(str(name).lower(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else ""
