"""A converted source: mapped when it is the right one, made anew when it is not, never in parts."""

import errno
import fcntl
import hashlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import threading
import time
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from recbole_peterrec.cli import main
from recbole_peterrec.data import cache, table
from recbole_peterrec.data.cache import cached_sequences, fingerprint
from recbole_peterrec.data.selection import Selection
from recbole_peterrec.errors import DataError, WriteError
from tests.toy import INTER, inter_rows, toy_flags, write_config, write_table, write_toy

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def source(tmp_path):
    """The path of a file of interactions."""
    path = tmp_path / "toy.inter"
    write_table(path, INTER, inter_rows(60, 30, 1, 4, 12))
    return path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def readings(monkeypatch):
    """A list that grows with each time a file is read."""
    read, happened = cache.read_sequences, []

    def noted(selection, tell):
        happened.append(selection.path)
        return read(selection, tell)

    monkeypatch.setattr(cache, "read_sequences", noted)
    return happened


def selection(path, **changes):
    columns = {"user": INTER[0], "item": INTER[1], "time": INTER[3]}
    keys = dict.fromkeys(("duplicates", "user_counts", "item_counts", "recent"))
    keys |= {"separator": "\t", "encoding": "utf-8", "values": (), "normalized": False}
    return Selection(path=str(path), **columns, **{**keys, **changes})


def digest(sequences):
    """SHA-256 of all arrays."""
    arrays = [np.ascontiguousarray(getattr(sequences, name)) for name in cache.NAMES]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def folders(root):
    return sorted(path.name for path in root.iterdir() if path.name != ".lock")


def test_a_second_start_reads_nothing_and_maps_the_same(source, root, readings):
    first = digest(cached_sequences(root, selection(source)))
    again = cached_sequences(root, selection(source))
    assert len(readings) == 1
    assert (
        digest(again) == first == digest(cache.read_sequences(selection(source), print))
    )
    assert not again.items.flags.writeable
    assert isinstance(again.items.base, np.memmap)


def test_a_changed_file_is_seen_even_with_its_old_size_and_time(source, root, readings):
    cached_sequences(root, selection(source))
    before, text = source.stat(), source.read_text()
    source.write_text(text.replace("\ti7\t", "\tj7\t"))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    found = cached_sequences(root, selection(source))
    assert len(readings) == 2
    assert "j7" in found.item_tokens.tolist()


def test_another_file_in_its_place_is_seen(source, root, readings, tmp_path):
    cached_sequences(root, selection(source))
    other = tmp_path / "other"
    write_table(other, INTER, inter_rows(60, 30, 2, 4, 12))
    os.replace(other, source)
    cached_sequences(root, selection(source))
    assert len(readings) == 2


def test_what_was_made_of_a_file_before_it_changed_is_deleted(source, root, tmp_path):
    other = tmp_path / "other.inter"
    write_table(other, INTER, inter_rows(60, 30, 3, 4, 12))
    mapped = cached_sequences(root, selection(source))
    cached_sequences(root, selection(source, recent=3))
    kept = cached_sequences(root, selection(other))
    before, rows = digest(mapped), digest(kept)
    write_table(source, INTER, inter_rows(60, 30, 2, 4, 12))
    cached_sequences(root, selection(source))
    names = sorted(name.split("-")[0] for name in folders(root))
    assert names == ["other", "toy"]
    assert digest(mapped) == before  # of a run that is still at work
    assert digest(cached_sequences(root, selection(other))) == rows


@pytest.mark.parametrize(
    "changes",
    [
        {"recent": 3},
        {"duplicates": "first"},
        {"values": ((INTER[2], (("[", 4.0, 5.0, "]"),)),)},
        {"user_counts": (("[", 6.0, float("inf"), ")"),)},
        {"encoding": "ascii"},
    ],
)
def test_another_selection_is_another_cache(source, root, readings, changes):
    cached_sequences(root, selection(source))
    cached_sequences(root, selection(source, **changes))
    assert len(readings) == 2 and len(folders(root)) == 2
    cached_sequences(root, selection(source, **changes))
    assert len(readings) == 2


@pytest.mark.parametrize(("name", "value"), [("__version__", "9.9"), ("FORMAT", 99)])
def test_another_version_is_not_trusted(
    source, root, readings, monkeypatch, name, value
):
    cached_sequences(root, selection(source))
    monkeypatch.setattr(cache, name, value)
    cached_sequences(root, selection(source))
    assert len(readings) == 2


def test_what_was_made_while_its_file_changed_is_deleted_too(source, root, monkeypatch):
    read = cache.read_sequences

    def late(selection, tell):
        found = read(selection, tell)
        write_table(source, INTER, inter_rows(60, 30, 2, 4, 12))
        return found

    with monkeypatch.context() as changed:
        changed.setattr(cache, "read_sequences", late)
        cached_sequences(root, selection(source))
    (dead,) = folders(root)
    cached_sequences(root, selection(source))
    (alive,) = folders(root)
    assert alive != dead


def test_what_cannot_be_deleted_stays_and_stops_nothing(source, root, tmp_path, caplog):
    cached_sequences(root, selection(source))
    (old,) = folders(root)
    os.rename(root / old, tmp_path / "elsewhere")
    (root / old).symlink_to(tmp_path / "elsewhere")
    for name, content in (("deep", "[" * 100_000), ("list", "[]")):
        (root / name).mkdir()
        (root / name / "meta.json").write_text(content)
    (root / "folder" / "meta.json").mkdir(parents=True)
    write_table(source, INTER, inter_rows(60, 30, 2, 4, 12))
    cached_sequences(root, selection(source))
    assert {old, "deep", "list", "folder"} < set(folders(root))
    (told,) = [record.message for record in caplog.records]
    assert f"{root / old} is of no use any more; it cannot be deleted" in told


def truncate(folder):
    os.truncate(folder / "items.npy", (folder / "items.npy").stat().st_size - 4)


def forget(folder):
    (folder / "meta.json").unlink()


def garble(folder):
    (folder / "meta.json").write_text('{"fingerprint":')


def hollow(folder):
    (folder / "meta.json").write_text("[]")


def lose(folder):
    (folder / "start.npy").unlink()


def retype(folder):
    np.save(folder / "times.npy", np.load(folder / "times.npy").astype(np.int32))


def disagree(folder):
    """Arrays that are whole, but do not belong together."""
    start = np.load(folder / "start.npy")
    np.save(folder / "start.npy", start + 1)


def flip(folder):
    """One bit of one item, the size as it was."""
    file = folder / "items.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def foreign(folder):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "fingerprint": "0" * 64}))


DAMAGES = (truncate, forget, garble, hollow, lose, retype, disagree, flip, foreign)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_anew(source, root, readings, damage, caplog):
    first = digest(cached_sequences(root, selection(source)))
    (name,) = folders(root)
    damage(root / name)
    assert digest(cached_sequences(root, selection(source))) == first
    assert len(readings) == 2
    told = f"source: {root / name} is damaged; it is made anew"
    assert [record.message for record in caplog.records] == [told]
    cached_sequences(root, selection(source))
    assert len(readings) == 2


def test_nothing_that_runs_code_is_read(source, root, readings):
    cached_sequences(root, selection(source))
    (name,) = folders(root)
    np.save(root / name / "items.npy", np.array([print], dtype=object))
    cached_sequences(root, selection(source))
    assert len(readings) == 2


def test_remains_of_a_killed_writer_are_ignored_and_cleaned(source, root):
    def killed():
        write = cache._write_array

        def write_two(path, array):
            if path.name == "start.npy":
                os.kill(os.getpid(), signal.SIGKILL)
            return write(path, array)

        cache._write_array = write_two
        cached_sequences(root, selection(source))

    process = FORK.Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (remains,) = folders(root)
    assert remains.endswith(".unfinished")
    cached_sequences(root, selection(source))
    (made,) = folders(root)
    assert not made.startswith(".")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), ["Permission denied"]),
        (FileNotFoundError(errno.ENOENT, "No such file"), []),  # gone meanwhile
    ],
)
def test_remains_that_stay_are_told(source, root, monkeypatch, caplog, error, told):
    remains = root / ".one.unfinished"
    remains.mkdir(parents=True)
    rmtree = shutil.rmtree

    def refused(path, *args, **kwargs):
        if path == remains:
            raise error
        rmtree(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", refused)
    cached_sequences(root, selection(source))
    assert [record.message for record in caplog.records] == [
        f"source: {remains} is of no use; it cannot be deleted: {reason}"
        for reason in told
    ]


@pytest.mark.parametrize("full", [True, False])
def test_remarks_are_told_once_also_of_what_cannot_be_written(
    source, root, monkeypatch, caplog, full
):
    read = cache.read_sequences

    def remarking(asked, tell):
        tell("3 rows have no time")
        return read(asked, tell)

    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "read_sequences", remarking)
    if full:
        monkeypatch.setattr(cache, "_write_array", no_space)
        with pytest.raises((DataError, WriteError), match="No space left"):
            cached_sequences(root, selection(source))
    else:
        cached_sequences(root, selection(source))
    assert [record.message for record in caplog.records].count(
        "3 rows have no time"
    ) == 1


def test_two_that_start_at_once_agree_and_convert_once(source, root, readings):
    ready, answers = FORK.Barrier(3), FORK.Queue()

    def start():
        ready.wait()
        answers.put((digest(cached_sequences(root, selection(source))), len(readings)))

    processes = [FORK.Process(target=start) for _ in range(3)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert {one for one, _ in found} == {
        digest(cache.read_sequences(selection(source), print))
    }
    assert sum(number for _, number in found) == 1
    assert len(folders(root)) == 1


def test_where_nothing_is_locked_two_at_once_agree_all_the_same(
    source, root, monkeypatch
):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", no_locks)
    ready, answers = FORK.Barrier(2), FORK.Queue()
    read = cache.read_sequences

    def both_read(asked, tell):
        ready.wait(timeout=60)  # neither has written by then
        return read(asked, tell)

    monkeypatch.setattr(cache, "read_sequences", both_read)

    def start():
        answers.put(digest(cached_sequences(root, selection(source))))

    processes = [FORK.Process(target=start) for _ in range(2)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert found == {digest(read(selection(source), print))}
    assert len(folders(root)) == 1


def test_who_waits_for_another_conversion_says_so(source, root, caplog):
    caplog.set_level(logging.INFO)
    root.mkdir()
    waiting = threading.Thread(target=cached_sequences, args=(root, selection(source)))
    with open(root / ".lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting.start()
        until = time.monotonic() + 20
        while "waiting for another run's" not in caplog.text:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert folders(root) == []
    waiting.join()
    assert len(folders(root)) == 1


@pytest.mark.parametrize("at_work", [False, True])
def test_a_start_that_finds_its_source_cleans_up_unless_another_is_writing(
    source, root, at_work
):
    cached_sequences(root, selection(source))
    remains = root / ".another.unfinished"
    remains.mkdir()
    with open(root / ".lock", "wb") as file:
        if at_work:
            fcntl.flock(file, fcntl.LOCK_EX)
        cached_sequences(root, selection(source))
    assert remains.exists() == at_work


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_who_may_read_what_was_converted_is_the_user_s_to_say(
    source, root, umask, mode
):
    before = os.umask(umask)
    try:
        cached_sequences(root, selection(source))
    finally:
        os.umask(before)
    (name,) = folders(root)
    assert (root / name).stat().st_mode & 0o777 == mode


def test_a_file_larger_than_the_disk_takes_leaves_nothing(source, root):
    answers = FORK.Queue()

    def start():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
        try:
            cached_sequences(root, selection(source))
        except DataError as error:
            answers.put(str(error))

    process = FORK.Process(target=start)
    process.start()
    message = answers.get(timeout=60)
    process.join()
    assert str(root) in message and "File too large" in message
    assert folders(root) == []


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "_flush", full)
    config = write_config(
        tmp_path / "toy.yaml",
        write_toy(tmp_path / "data"),
        source_cache=0,
        checkpoint_dir=str(tmp_path / "saved"),
        run_dir=str(tmp_path / "run"),
        load_col={"inter": ["user_id", "item_id"]},
    )
    assert main([*toy_flags(config, "NextItNetAR"), "--show_progress=False"]) == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if "error:" in line
    ]
    for word in (str(tmp_path / "saved"), "No space left on device", "checkpoint_dir"):
        assert word in line
    assert folders(tmp_path / "saved" / "cache") == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "field", [f.name for f in fields(Selection) if f.name != "path"]
)
def test_all_of_a_selection_is_of_its_fingerprint(source, field):
    one = selection(source)
    assert fingerprint(replace(one, **{field: "another"})) != fingerprint(one)


def test_a_file_that_changes_while_it_is_read_is_refused(source, root, monkeypatch):
    read = pd.read_csv

    def meanwhile(*args, **kwargs):
        yield from read(*args, **kwargs)
        with open(source, "a") as file:
            file.write("late\ti1\t5\t1\n")

    monkeypatch.setattr(table.pd, "read_csv", meanwhile)
    with pytest.raises(DataError, match="was changed while it was read"):
        cached_sequences(root, selection(source))
    assert not list(root.glob("toy-*"))


def recorded(monkeypatch):
    """Names of what is written to the disk and of what is renamed, in order."""
    calls, sync, rename = [], os.fsync, os.rename

    def synced(handle):
        calls.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))))
        sync(handle)

    def renamed(source, target):
        calls.append(("rename", os.path.basename(source)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    return calls


def test_all_is_on_the_disk_before_the_folder_has_its_name(source, root, monkeypatch):
    calls = recorded(monkeypatch)
    cached_sequences(root, selection(source))
    made = next(place for place, call in enumerate(calls) if call[0] == "rename")
    synced = {name for _, name in calls[:made]}
    assert synced == {
        "meta.json",
        calls[made][1],
        *(f"{name}.npy" for name in cache.NAMES),
    }
    assert calls[made + 1 :] == [("sync", root.name)]


def test_a_file_that_is_written_over_with_as_many_bytes_is_refused(
    source, root, monkeypatch
):
    read = pd.read_csv

    def meanwhile(*args, **kwargs):
        yield from read(*args, **kwargs)
        source.write_text(source.read_text().replace("\ti7\t", "\tj7\t"))

    monkeypatch.setattr(table.pd, "read_csv", meanwhile)
    with pytest.raises(DataError, match="was changed while it was read"):
        cached_sequences(root, selection(source))
