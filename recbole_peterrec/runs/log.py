"""What a run logs: RecBole's format, one file a run."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import colorlog

from recbole_peterrec.distributed import group

COLOUR = re.compile(r"\033\[[0-9;]*m")


class _Plain(logging.Formatter):
    """Without RecBole's colour codes."""

    def format(self, record: logging.LogRecord) -> str:
        return COLOUR.sub("", super().format(record))


class _RunFile(logging.FileHandler):
    """A log that no run stops for: a file that cannot be written is given up with a warning."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logger = logging.getLogger()
        logger.removeHandler(self)
        with contextlib.suppress(OSError):  # it would write what it still has
            self.close()
        logger.warning(
            f"{self.baseFilename} cannot be written: {error.strerror or error}; the log goes on "
            f"here alone"
        )


class _Once(logging.Filter):
    """Lets each warning through once: stages that have the same to say say it again."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text = f"{record.msg} {record.args}"
        new = text not in self._said
        self._said.add(text)
        return new


class RunLog:
    """RecBole's root logger for one run: console, and a file once there is a directory.

    A second run in one process gets handlers of its own (RecBole's ``init_logger`` would go on
    writing into the first one's file). Of several processes, the first logs; the others tell
    errors only.
    """

    def __init__(self, level: str) -> None:
        self.logger = logging.getLogger()
        self.level = getattr(logging, str(level).upper(), logging.INFO)
        if not group.is_first():
            self.level = logging.ERROR
        self.console = logging.StreamHandler()
        self.console.setFormatter(
            colorlog.ColoredFormatter(
                "%(log_color)s%(asctime)-15s %(levelname)s  %(message)s", "%d %b %H:%M"
            )
        )

    @contextlib.contextmanager
    def active(self) -> Iterator[RunLog]:
        """Install the handlers; put the old ones back at the end."""
        old_handlers, old_level = self.logger.handlers[:], self.logger.level
        old_filters = self.logger.filters[:]
        self.logger.handlers[:] = [self.console]
        self.logger.filters[:] = [_Once()]
        self.logger.setLevel(self.level)
        try:
            with warnings.catch_warnings():
                # RecBole 1.2.1 calls what torch and pandas have announced to change.
                warnings.filterwarnings(
                    "ignore", category=FutureWarning, module=r"recbole\."
                )
                yield self
        finally:
            for handler in self.logger.handlers:
                if handler is not self.console:
                    handler.close()
            self.logger.handlers[:] = old_handlers
            self.logger.filters[:] = old_filters
            self.logger.setLevel(old_level)

    def open_file(self, run_dir: Path) -> None:
        """Log into ``run_dir/run.log`` from here on."""
        if not group.is_first():
            return
        file = _RunFile(run_dir / "run.log", encoding="utf-8")
        file.setFormatter(
            _Plain("%(asctime)-15s %(levelname)s  %(message)s", "%d %b %Y %H:%M:%S")
        )
        self.logger.addHandler(file)

    @contextlib.contextmanager
    def quiet_console(self) -> Iterator[None]:
        """Leave the console to a progress bar; the file still gets everything."""
        self.console.setLevel(logging.WARNING)
        try:
            yield
        finally:
            self.console.setLevel(logging.NOTSET)
