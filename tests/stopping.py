"""Runs that are stopped while they put a file into place."""

from __future__ import annotations

import contextlib
import os

import pytest


class Stopped(BaseException):
    """What no handler of the program catches."""


def counting(stop_at):
    """``os.replace`` that raises at a call, before or instead of replacing."""
    replace = os.replace

    def counted(source, target):
        counted.count += 1
        if counted.count == stop_at:
            raise Stopped
        replace(source, target)

    counted.count = 0
    return counted


@contextlib.contextmanager
def stopped_at(call):
    """A run inside stops before its `call`-th file is put into place."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(os, "replace", counting(call))
        yield
