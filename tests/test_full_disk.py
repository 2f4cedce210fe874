"""A disk that fills, wherever a run meets it first: one clear line, and the run goes on later."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from recbole_peterrec import run
from recbole_peterrec.cli import main
from recbole_peterrec.errors import WriteError
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.trainer import event_file
from recbole_peterrec.writing import writing
from tests.toy import left_by, settings, write_toy

WRITES = {"files": (os, "fsync"), "events": (event_file, "RecordWriter")}
NO_SPACE = "cannot be written: No space left on device; free space there, then"


def full_from(call, function=None):
    """A function that does as it did, until a call finds the disk full."""

    def called(*arguments, **keys):
        called.count += 1
        if call is not None and called.count >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*arguments, **keys)

    called.count = 0
    return called


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts a run in a directory, on a disk that is full from a call of a writing function."""
    folder = write_toy(tmp_path_factory.mktemp("toy"))

    def make(run_dir, place=WRITES["files"], call=None):
        writes = full_from(call, getattr(*place))
        keys = settings(
            folder,
            run_dir=str(run_dir),
            tasks=[{"name": "gender", "kind": "profile", "field": "gender"}],
            show_progress=False,
            state="ERROR",
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*place, writes)
            run("PeterRec", "toy", config_dict=keys)
        return writes.count

    return make


@pytest.fixture(scope="module")
def undisturbed(start, tmp_path_factory):
    """What an undisturbed run leaves, and how often it writes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    counts = {name: start(folder / name, place) for name, place in WRITES.items()}
    return left_by(folder / "files"), counts


@pytest.mark.parametrize("share", [0.0, 0.35, 0.7, 1.0])
@pytest.mark.parametrize("kind", WRITES)
def test_a_run_on_a_full_disk_is_told_how_to_go_on_and_ends_with_the_same_bytes(
    start, undisturbed, tmp_path, kind, share
):
    expected, counts = undisturbed
    run_dir = tmp_path / "run"
    first = 2 if kind == "files" else 1  # config.yaml is there to go on from
    call = first + round(share * (counts[kind] - first))
    with pytest.raises(WriteError) as error:
        start(run_dir, WRITES[kind], call)
    assert str(error.value).startswith(f"{run_dir}/")
    assert str(error.value).endswith(f"{NO_SPACE} go on with --resume={run_dir}")
    run(config_dict={"resume": str(run_dir), "state": "ERROR"})
    assert left_by(run_dir) == expected


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (errno.ENOSPC, "free space there"),
        (errno.EDQUOT, "free space there"),
        (errno.EACCES, "mend that"),
    ],
)
def test_what_the_system_refuses_is_told_with_what_to_mend(code, mend):
    message = f"there cannot be written: {os.strerror(code)}; {mend}"
    with pytest.raises(WriteError, match=f"^{message}$"), writing("there"):
        raise OSError(code, os.strerror(code))


def test_a_run_that_could_not_write_its_configuration_starts_again(
    start, undisturbed, tmp_path
):
    run_dir = tmp_path / "run"
    with pytest.raises(WriteError) as error:
        start(run_dir, call=1)
    assert str(error.value) == f"{run_dir}/config.yaml {NO_SPACE} start again"
    start(run_dir)
    assert left_by(run_dir) == undisturbed[0]


@pytest.mark.parametrize("call", [1, 3])
def test_a_run_directory_that_cannot_be_made_is_one_clear_line(start, tmp_path, call):
    run_dir = tmp_path / "run"  # 1: itself; 3: the folder of what going on needs
    with pytest.raises(WriteError) as error:
        start(run_dir, (Path, "mkdir"), call)
    assert str(error.value) == f"run_dir {run_dir} {NO_SPACE} start again"


def test_the_command_line_tells_a_run_directory_that_cannot_be_gone_on_in(
    start, tmp_path, monkeypatch, capsys
):
    run_dir = tmp_path / "run"
    with pytest.raises(WriteError):
        start(run_dir, call=2)
    monkeypatch.setattr("recbole_peterrec.runs.log._RunFile", full_from(1))
    assert main([f"--resume={run_dir}"]) == 2
    told = capsys.readouterr().err
    assert (
        told == f"error: run_dir {run_dir} {NO_SPACE} go on with --resume={run_dir}\n"
    )


def test_a_log_that_cannot_be_written_is_given_up_with_one_warning(tmp_path, capsys):
    (tmp_path / "run.log").symlink_to("/dev/full")
    with RunLog("INFO").active() as log:
        log.open_file(tmp_path)
        log.logger.info("first")
        log.logger.info("second")
        assert log.logger.handlers == [log.console]
    told = capsys.readouterr().err
    assert told.count("No space left on device") == 1
    assert "run.log cannot be written" in told
    assert "first" in told and "second" in told
    assert "Traceback" not in told and "Logging error" not in told


def test_a_log_record_that_is_wrong_is_still_told(tmp_path, capsys):
    with RunLog("INFO").active() as log:
        log.open_file(tmp_path)
        log.logger.info("%d", "no number")
        assert len(log.logger.handlers) == 2
    assert "Logging error" in capsys.readouterr().err
