"""Files are whole or absent, and reading one runs nothing."""

import contextlib
import errno
import io
import os
import pickle

import hypothesis
import pytest
import safetensors.torch
import torch
from hypothesis import strategies

from recbole_peterrec import checkpoint
from recbole_peterrec.errors import CheckpointError, TrainingError, WriteError


class Trap:
    """Makes a folder if it is ever unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_tensors_come_back_bit_for_bit(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5)}
    checkpoint.save_tensors(tmp_path / "x.safetensors", tensors)
    loaded = checkpoint.load_tensors(tmp_path / "x.safetensors")
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_tensors_of_one_storage_are_written_as_copies_are(tmp_path):
    whole = torch.randn(6, 4)
    tensors = {
        "whole": whole,
        "again": whole,
        "part": whole[2:],
        "turned": whole.T,
        "empty": torch.empty(0, 3),
        "other": torch.arange(5),
        "none": torch.empty(0),
    }
    checkpoint.save_tensors(tmp_path / "x.safetensors", tensors)
    copies = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    expected = safetensors.torch.save(copies)
    assert (tmp_path / "x.safetensors").read_bytes() == expected


@pytest.fixture
def held(tmp_path):
    """A file, its bytes, and a place for another."""
    origin, path = tmp_path / "one" / "x", tmp_path / "other" / "x"
    path.parent.mkdir()
    checkpoint.write_atomically(origin, b"weights")
    return origin, b"weights", path


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_whose_bytes_are_there_already_is_another_name_of_them(held, times):
    origin, content, path = held
    for _ in range(times):
        checkpoint.write_atomically(path, content, origin)
    assert os.path.samefile(origin, path)
    assert os.listdir(path.parent) == ["x"]


def test_of_two_names_of_a_file_each_is_written_and_deleted_alone(held):
    origin, content, path = held
    checkpoint.write_atomically(path, content, origin)
    checkpoint.write_atomically(path, b"others")
    assert (origin.read_bytes(), path.read_bytes()) == (content, b"others")
    checkpoint.write_atomically(path, content, origin)
    checkpoint.write_atomically(origin, b"newer")
    assert (origin.read_bytes(), path.read_bytes()) == (b"newer", content)
    origin.unlink()
    assert path.read_bytes() == content


def test_the_file_of_another_user_is_not_shared(held, monkeypatch):
    """Who owns it may change it."""
    origin, content, path = held
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(origin).st_uid + 1)
    checkpoint.write_atomically(path, content, origin)
    assert not os.path.samefile(origin, path)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == [path.name]


def test_a_symbolic_link_to_the_bytes_is_followed(held, tmp_path):
    origin, content, path = held
    (tmp_path / "name").symlink_to(origin)
    checkpoint.write_atomically(path, content, tmp_path / "name")
    assert os.path.samefile(origin, path) and not path.is_symlink()


@pytest.mark.parametrize("why", ["no links", "other bytes", "longer", "missing"])
def test_a_file_that_cannot_be_shared_is_written(held, monkeypatch, why):
    origin, content, path = held

    def refuse(*_, **__):
        raise OSError(errno.EXDEV, "another disk")

    if why == "no links":
        monkeypatch.setattr(os, "link", refuse)
    elif why == "missing":
        origin.unlink()
    else:
        origin.write_bytes(b"Weights" if why == "other bytes" else b"weights!")
    checkpoint.write_atomically(path, content, origin)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["x"]
    assert path.stat().st_nlink == 1


def test_a_file_that_begins_with_the_bytes_is_not_shared(held, monkeypatch):
    """Wherever its pieces that are compared end."""
    origin, content, path = held
    monkeypatch.setattr(checkpoint, "COMPARED", len(content))
    origin.write_bytes(content + b" and more")
    checkpoint.write_atomically(path, content, origin)
    assert path.read_bytes() == content


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_no_number_for_leaves_the_old_file(tmp_path, number):
    """Other readers would refuse the whole of it."""
    path = tmp_path / "x.json"
    checkpoint.save_json(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON"):
        checkpoint.save_json(path, {"new": number})
    assert checkpoint.load_json(path) == {"old": 1}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    checkpoint.save_json(path, {"old": 1})

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="no space"):
        checkpoint.save_json(path, {"new": 2})
    assert checkpoint.load_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize(
    "load", [checkpoint.load_tensors, checkpoint.load_json, checkpoint.load_state]
)
@pytest.mark.parametrize(
    "content",
    [None, b"", b"no such format", b"\x80\x02N.", b"\x80\x04N.", b"[" * 100_000],
)
def test_a_missing_or_foreign_file_is_one_clear_line(tmp_path, load, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="file") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_an_interrupt_after_the_file_is_in_place_stays_an_interrupt(
    tmp_path, monkeypatch
):
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_told_apart_from_a_full_disk(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"File exists; mend that$"):
        checkpoint.save_json(tmp_path / "file" / "x.json", {})


def test_states_are_alike_in_names_shapes_and_types():
    one = {"w": torch.zeros(2, 3)}
    assert checkpoint.alike(one, {"w": torch.ones(2, 3)})
    for other in ({"v": one["w"]}, {"w": torch.zeros(3, 2)}, {"w": one["w"].half()}):
        assert not checkpoint.alike(one, other)


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_truncated_state_is_refused(tmp_path, cut):
    path = tmp_path / "state.pt"
    checkpoint.save_state(path, {"w": torch.randn(100, 10)})
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CheckpointError):
        checkpoint.load_state(path)


def saved(new_format: bool) -> bytes:
    buffer = io.BytesIO()
    state = {"w": torch.ones(5), "steps": [1, 2]}
    torch.save(state, buffer, _use_new_zipfile_serialization=new_format)
    return buffer.getvalue()


SAVED = [
    saved(False),
    saved(True),
]  # once: the old format's length changes from time to time


@hypothesis.given(strategies.sampled_from(SAVED), strategies.data())
@hypothesis.settings(
    max_examples=200,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_a_damaged_state_is_refused_whatever_became_of_its_bytes(tmp_path, state, data):
    content = bytearray(state)
    places = strategies.integers(0, len(content) - 1)
    for place in data.draw(strategies.lists(places, min_size=1, max_size=20)):
        content[place] = data.draw(strategies.integers(0, 255))
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        assert isinstance(checkpoint.load_state(path), dict)


def test_code_in_a_state_is_refused_and_never_run(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"trap": Trap(tmp_path / "made")}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load_state(path)
    path.write_bytes(pickle.dumps(Trap(tmp_path / "made")))
    with pytest.raises(CheckpointError):
        checkpoint.load_state(path)
    assert not (tmp_path / "made").exists()


class Full(io.BytesIO):
    """A file on a disk with room for ten thousand bytes."""

    def write(self, content):
        if self.tell() + len(content) > 10_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content)


def test_a_disk_that_fills_while_a_state_is_written_is_told_and_leaves_the_old_one(
    tmp_path, monkeypatch
):
    path = tmp_path / "state.pt"
    checkpoint.save_state(path, {"w": torch.zeros(3)})

    @contextlib.contextmanager
    def opened(temporary, mode):
        temporary.touch()
        yield Full()

    monkeypatch.setattr(checkpoint, "open", opened, raising=False)
    with pytest.raises(WriteError, match="state.pt.*No space left.*; free space"):
        checkpoint.save_state(path, {"w": torch.zeros(300, 100)})
    monkeypatch.undo()
    assert torch.equal(checkpoint.load_state(path)["w"], torch.zeros(3))
    assert os.listdir(tmp_path) == ["state.pt"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_what_is_written_is_the_user_s_to_say(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        checkpoint.write_atomically(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_file_that_memory_is_too_short_for_is_not_called_damaged(
    tmp_path, monkeypatch, error
):
    def short(*args, **kwargs):
        raise error

    checkpoint.save_state(tmp_path / "s.pt", {"weights": torch.ones(2)})
    monkeypatch.setattr(torch, "load", short)
    with pytest.raises(TrainingError, match="s.pt: too little memory is free to read"):
        checkpoint.load_state(tmp_path / "s.pt")
