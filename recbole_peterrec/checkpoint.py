"""Files of a run: written atomically, read without ever running code from them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError

from recbole_peterrec.distributed import group
from recbole_peterrec.errors import CheckpointError, TrainingError
from recbole_peterrec.out_of_memory import is_out_of_memory
from recbole_peterrec.writing import UNFINISHED, writing

TRAINING = "training"  # folder of what a run needs to go on, there until it has ended
BEGUN_FILE = (
    "data.json"  # in that folder, beside those of stages: of the run as a whole
)
COMPARED = 2**24  # bytes of two files at once


@contextlib.contextmanager
def _written_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its name when the block ends: at any moment there is either
    the old one or the new one, whole.

    Raises:
        WriteError: the system refuses.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # replaced already, or worse came before
                os.unlink(temporary)
            raise


def _temporary(path: Path) -> Path:
    """A name beside a file, for what is to take its name."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")


def write_atomically(
    path: str | Path, content: bytes, origin: Path | None = None
) -> None:
    """Write a file; at any moment there is either the old one or the new one, whole.

    Of several processes, the first writes; the others leave it to it.

    Args:
        path: of the file.
        content: its bytes.
        origin: a file that may hold the same bytes and is never changed in place, as none that is
            written here. Where the file system can, the new one is another name of it (a hard
            link), which takes no room.
    """
    if group.is_first() and not (origin and _linked(Path(path), origin, content)):
        with _written_atomically(path) as file:
            file.write(content)


def _linked(path: Path, origin: Path, content: bytes) -> bool:
    """Make a path another name of a file that holds these bytes; whether that was possible."""
    temporary = _temporary(path)
    try:
        # Of a symbolic link, the system would link that itself.
        os.link(os.path.realpath(origin), temporary)
        try:
            if not _is_ours(temporary) or not _holds(temporary, content):
                return False
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # it stays where both are one file already
    except OSError:  # another disk, no such links, no right to one, ...
        return False
    return True


def _is_ours(path: Path) -> bool:
    """Whether a file's owner, who may change or lock it, is this user."""
    return not hasattr(os, "geteuid") or os.stat(path).st_uid == os.geteuid()


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file has these bytes."""
    view = memoryview(content)
    if os.path.getsize(path) != len(view):
        return False
    with open(path, "rb") as file:
        return all(
            file.read(COMPARED) == view[start : start + COMPARED]
            for start in range(0, len(view), COMPARED)
        )


def remove_unfinished_writes(folder: str | Path) -> None:
    """Delete the temporary files that a killed process left below a folder."""
    for path in Path(folder).rglob(f".*{UNFINISHED}"):
        if path.is_file():
            path.unlink()


def save_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], origin: Path | None = None
) -> None:
    """Write named tensors as safetensors; of several processes, the first does.

    Args:
        path: of the file.
        tensors: by name.
        origin: as of :func:`write_atomically`.
    """
    if not group.is_first():  # the others need no copy of them
        return
    plain: dict[str, torch.Tensor] = {}
    places = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        # The format has no shared tensors, so a second one of a storage is copied.
        plain[name] = tensor.clone() if place in places else tensor
        places.add(place)
    write_atomically(path, safetensors.torch.save(plain), origin)


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read named tensors.

    Raises:
        CheckpointError: no such file, or not a whole safetensors file.
    """
    try:
        return safetensors.torch.load_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); use another saved run"
        ) from error


def save_json(path: str | Path, content: Any) -> None:
    """Write JSON, keys in the given order."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: no such file, or not a JSON object; ``NaN`` and ``Infinity``, which Python
            takes, are no JSON.
    """
    try:
        content = json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is truncated or not JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training: tensors, numbers, strings, lists and dicts of them.

    It is written as it goes, without a copy of it in memory, by the first of the processes.
    """
    if group.is_first():
        with _written_atomically(path) as file:
            try:
                torch.save(dict(state), file)
            except RuntimeError as error:  # torch's own, while it ends a file cut short
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


def alike(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether two states have the same names with the same shapes and types."""
    described = [
        {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
        for state in (one, other)
    ]
    return described[0] == described[1]


def pack(state: Mapping[str, Any]) -> bytes:
    """The bytes of a state."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, Any]:
    """The state of :func:`pack`; builds plain data only."""
    return torch.load(io.BytesIO(content), weights_only=True)


def load_state(path: str | Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote, with the reader that builds plain data only; tensors are
    on the CPU.

    Raises:
        CheckpointError: no such file, damaged, or with anything but plain data in it.
        TrainingError: memory is too short for it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of foreign pickles
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged file leads torch's reader to any of them
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if is_out_of_memory(error):  # the file is as it was
            size = os.path.getsize(path) / 2**30
            raise TrainingError(
                f"{path}: too little memory is free to read its {size:.1f} GiB ({reason}); free "
                f"some and go on"
            ) from error
        raise CheckpointError(
            f"{path} is damaged or not of this program ({reason})"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is not of this program (it holds no state)")
    return state
