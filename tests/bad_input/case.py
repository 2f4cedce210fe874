"""What a user can get wrong ends with status 2, one line that helps, and nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from recbole_peterrec.cli import main
from tests.toy import TASKS, toy_flags, write_config

GENDER = TASKS[0]


class Case:
    """One command line in an empty directory, on a dataset that a test may break."""

    def __init__(self, folder: Path, clean: Path, capsys) -> None:
        self.data = folder / "data"
        self.here = folder / "here"
        self.folder = folder
        self.capsys = capsys
        shutil.copytree(clean, self.data)
        self.here.mkdir()
        self.stderr = ""

    @property
    def inter(self) -> Path:
        return self.data / "toy" / "toy.inter"

    @property
    def user(self) -> Path:
        return self.data / "toy" / "toy.user"

    def run(
        self, *flags: str, model: str = "PeterRec", dataset: str = "toy", **keys
    ) -> int:
        """Exit status of a run with other keys and more flags."""
        config = write_config(self.folder / "toy.yaml", self.data, **keys)
        own = toy_flags(config, model, dataset)
        status = main([*own, "--show_progress=False", *flags])
        self.stderr = self.capsys.readouterr().err
        return status

    def error(self, *flags: str, model: str = "PeterRec", **keys) -> str:
        """The message of a run that is refused before it writes anything."""
        status = self.run(*flags, model=model, **keys)
        message = the_error(status, self.stderr)
        assert list(self.here.iterdir()) == []
        return message


def the_error(status: int, stderr: str) -> str:
    """The one line for the error; fails if there is a traceback, or more or less than a line."""
    assert status == 2
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert stderr.splitlines()[-1] == lines[0]
    message = lines[0].removeprefix("error: ")
    assert len(message) < 500
    return message


def holds(message: str, *words: str) -> None:
    for word in words:
        assert word in message
