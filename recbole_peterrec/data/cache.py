"""Converted sources on disk: arrays that are mapped, not read, keyed by what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_peterrec.data.atomic import path_of
from recbole_peterrec.data.columnar import read_sequences
from recbole_peterrec.data.selection import Selection
from recbole_peterrec.data.sequences import Sequences
from recbole_peterrec.errors import DataError
from recbole_peterrec.locks import lock
from recbole_peterrec.version import __version__
from recbole_peterrec.writing import UNFINISHED

AT_WORK = 24 * 3600  # seconds, in which a writer that nothing locks may go on
FORMAT = 5  # of the files; raised when they, or what they hold, change
META = "meta.json"
MIB = 2**20
NAMES = tuple(field.name for field in fields(Sequences))


def is_large(config) -> bool:
    """Whether a source's file is as large as ``source_cache`` says."""
    least = config["source_cache"]
    if least is None:
        return False
    file = path_of(config)
    return os.path.isfile(file) and os.path.getsize(file) >= least * MIB


def cached_sequences(root: str | Path, selection: Selection) -> Sequences:
    """The sequences of a selection, mapped from disk; converted first where they are not there.

    Conversions below one root wait for each other: the second of two that start at once finds
    what the first has made. A folder appears whole or not at all. What was converted from the same
    path before its file changed is deleted; runs that have mapped it keep it until they end.

    Args:
        root: folder of all converted sources; made if it is missing.
        selection: of an existing file.

    Raises:
        DataError: it cannot be written, or what :func:`read_sequences` raises.
    """
    key = fingerprint(selection)
    folder = Path(root, f"{Path(selection.path).stem}-{key[:16]}")
    found = _open(folder, key)
    if found is not None:
        _tidy(root)
        return found
    with _written_below(root), _alone(root) as alone:
        _delete_remains(root, AT_WORK if not alone else 0)
        found = _open(folder, key)  # another run may have made it by now
        if found is None:
            _convert(folder, key, selection)
            found = _open(folder, key)
    if found is None:
        raise DataError(f"source: {folder} is not what was written; check the disk")
    return found


def _tidy(root: str | Path) -> None:
    """Delete what killed writers left, unless another run is writing, or nothing may be written."""
    if any(Path(root).glob(f".*{UNFINISHED}")):
        with contextlib.suppress(OSError), open(Path(root, ".lock"), "wb") as file:
            _delete_remains(root, 0 if lock(file) else AT_WORK)


def _delete_remains(root: str | Path, age: float) -> None:
    """Delete what killed writers left at least so many seconds ago."""
    for remains in Path(root).glob(f".*{UNFINISHED}"):
        try:
            if time.time() - remains.stat().st_mtime >= age:
                shutil.rmtree(remains)
        except FileNotFoundError:  # gone meanwhile, where nothing is locked
            continue
        except OSError as error:
            logging.getLogger().warning(
                f"source: {remains} is of no use; it cannot be deleted: "
                f"{error.strerror or error}"
            )


def _convert(folder: Path, key: str, selection: Selection) -> None:
    log = logging.getLogger()
    if folder.exists():
        log.warning(f"source: {folder} is damaged; it is made anew")
        shutil.rmtree(folder)
    # Before it is read: a file that changes meanwhile leaves a folder that is outdated.
    origin = _identity(selection.path)
    _forget_outdated(folder.parent, origin)
    log.info(f"source: {selection.path} is converted once, to {folder}")
    remarks: list[str] = []
    try:
        sequences = read_sequences(selection, remarks.append)
        _write(folder, key, origin, sequences, remarks)
    except (DataError, OSError, MemoryError):
        _tell(remarks)  # they may say why
        raise


def fingerprint(selection: Selection) -> str:
    """SHA-256 of everything that the arrays depend on.

    The file is told by its path, inode, size and times of modification and change, not by its
    content, so that a second start reads nothing. The time of change is the kernel's and cannot be
    set: whatever writes to a file, or puts another in its place, also with the old size and the
    old time of modification, is seen. A copied or touched file is converted again, which costs
    time and is never wrong.
    """
    parts = {
        "format": FORMAT,
        "versions": [__version__, pd.__version__, np.__version__],
        "selection": asdict(selection),
        "file": _identity(selection.path),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _identity(path: str) -> list[str | int]:
    """Where a file is, and what differs when it is another or was written to."""
    status = os.stat(path)
    told = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return [os.path.realpath(path), *told]


def _forget_outdated(root: str | Path, now: list[str | int]) -> None:
    """Delete what was made of a file before it was as it is now; what cannot be deleted stays."""
    path, log = now[0], logging.getLogger()
    for meta in Path(root).glob(f"*/{META}"):
        try:
            then = json.loads(meta.read_bytes())["file"]
            outdated = then[0] == path and then != now
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue  # damaged, or another program's
        if outdated:
            try:
                shutil.rmtree(meta.parent)
            except OSError as error:  # a link, say, to another disk
                log.warning(
                    f"source: {path} has changed, and {meta.parent} is of no use any more; it "
                    f"cannot be deleted: {error.strerror or error}"
                )
            else:
                log.info(f"source: {path} has changed; {meta.parent} is deleted")


def _open(folder: Path, key: str) -> Sequences | None:
    """The arrays of a folder, or None if it is not whole and of this fingerprint. What was to be
    told of the file is told again."""
    try:
        meta = json.loads((folder / META).read_bytes())
        if meta["fingerprint"] != key:
            return None
        arrays = {name: _map(folder, name, meta["arrays"][name]) for name in NAMES}
        found = Sequences(**arrays)
        remarks = [str(remark) for remark in meta["remarks"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    users, number = len(found.user_tokens), len(found.items)
    fitting = len(found.start) == users + 1 and len(found.times) == number
    if not fitting or found.start[-1] != number or found.lengths.min() < 0:
        return None
    _tell(remarks)
    return found


def _tell(remarks: list[str]) -> None:
    for remark in remarks:
        logging.getLogger().warning(remark)


def _map(folder: Path, name: str, told: dict[str, Any]) -> np.ndarray:
    """One array as it was written; ValueError if its file is another."""
    path = folder / f"{name}.npy"
    if path.stat().st_size != told["bytes"]:
        raise ValueError(f"{path} has another size")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if [array.dtype.str, list(array.shape)] != [told["dtype"], told["shape"]]:
        raise ValueError(f"{path} holds another array")
    array = array.view(np.ndarray)
    if checksum(array) != told["crc32"]:
        raise ValueError(f"{path} is damaged")
    return array


def checksum(array: np.ndarray) -> int:
    """CRC-32 of a contiguous array's bytes: a gigabyte in about a second."""
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def _write(
    folder: Path,
    key: str,
    origin: list[str | int],
    sequences: Sequences,
    remarks: list[str],
) -> None:
    """Write the arrays, made of a file of this identity, beside `folder`; then move them into
    place."""
    name = f".{folder.name}.{secrets.token_hex(4)}{UNFINISHED}"
    making = folder.with_name(name)
    making.mkdir()
    try:
        arrays = {name: getattr(sequences, name) for name in NAMES}
        meta = {
            "fingerprint": key,
            "file": origin,
            "remarks": remarks,
            "arrays": {
                name: _write_array(making / f"{name}.npy", array)
                for name, array in arrays.items()
            },
        }
        with open(making / META, "wb") as file:
            _flush(file, json.dumps(meta, indent=2).encode())
        _sync_folder(making)
        try:
            os.rename(making, folder)
        except OSError:
            if not folder.is_dir():
                raise
            shutil.rmtree(making)  # where nothing is locked, another run was faster
        _sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _write_array(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Write an ``.npy`` file to the disk; what :func:`_map` checks it by.

    Not with ``np.save``, whose error on a full disk does not say so.
    """
    array = np.ascontiguousarray(array)
    with open(path, "wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        _flush(file, array.view(np.uint8).data)
    return {
        "bytes": path.stat().st_size,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "crc32": checksum(array),
    }


def _flush(file, content: bytes | memoryview) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _alone(root: str | Path) -> Iterator[bool]:
    """Hold the root's lock; whether there is one. Without, two may convert the same at once."""
    with open(Path(root, ".lock"), "wb") as file:
        try:
            alone = lock(file)
        except BlockingIOError:
            logging.getLogger().info("source: waiting for another run's conversion")
            alone = lock(file, wait=True)
        yield alone


@contextlib.contextmanager
def _written_below(root: str | Path) -> Iterator[None]:
    """Make the root; what the disk refuses there, as one clear line."""
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"source: {root} cannot be written: {error.strerror or error}; free space there, or "
            f"set checkpoint_dir to a folder on another disk"
        ) from error
