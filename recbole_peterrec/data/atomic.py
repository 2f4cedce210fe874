"""Looking at RecBole's atomic files before RecBole reads them, to fail early and clearly."""

from __future__ import annotations

import contextlib
import csv
import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TextIO

import pandas as pd
from recbole.utils import FeatureType

from recbole_peterrec.errors import ConfigError, DataError, did_you_mean

BYTE_ORDER_MARK = "\ufeff"
KINDS = tuple(kind.value for kind in FeatureType)
OTHER_ENCODING = "set encoding to the file's, such as latin-1"
# How pandas' engines say that a column of numbers holds something else.
NO_NUMBERS = ("Unable to convert column", "could not convert string to float")
LARGEST_COUNTED = 64 * 2**20  # bytes of a file whose every row's values are counted


def path_of(config, suffix: str = "inter") -> str:
    """Path of one of a dataset's files."""
    return os.path.join(config["data_path"], f"{config['dataset']}.{suffix}")


def require_folder(config, suffix: str, where: str) -> None:
    """Check that a dataset has a folder; arguments as of :func:`require_columns`.

    Raises:
        DataError: it has none.
    """
    folder, dataset = config["data_path"], config["dataset"]
    if not os.path.isdir(folder):
        raise DataError(
            f"{where}: dataset {dataset!r} not found: no folder {folder}; "
            f"put {dataset}.{suffix} there or set data_path"
        )


def require_columns(
    config,
    suffix: str,
    fields: Iterable[str],
    where: str,
    tokens: Collection[str],
    times: Collection[str],
    intervals: Mapping[str, Any] | None = None,
) -> None:
    """Check that a dataset's file exists and has the fields, each with one value a row.

    Args:
        config: of the dataset.
        suffix: of the file, ``inter`` or ``user``.
        fields: names of columns that must be there.
        where: who asks, for the message, such as ``task 'gender'``.
        tokens: those of the fields that must be tokens.
        times: columns that must be numbers, if they are there: RecBole orders tokens as texts.
        intervals: RecBole's ``val_interval``; its columns must be there too, and fit.

    Raises:
        DataError: folder, file or column missing, of another type, a header that is not RecBole's,
            or rows with more values than it names (of a large file only the first are looked at).
        ConfigError: an interval of a token column, or a list of values of a number's.
    """
    require_folder(config, suffix, where)
    path = path_of(config, suffix)
    if not os.path.isfile(path):
        raise DataError(f"{where}: file {path} not found")
    kinds = dict(read_header(config, suffix, where))
    require_aligned(config, suffix, where)
    intervals = intervals or {}
    for field in (*fields, *intervals, *kinds.keys() & set(times)):
        if field not in kinds:
            raise DataError(
                f"{where}: {path} has no column {field!r}{did_you_mean(field, kinds)} "
                f"(it has {', '.join(kinds)})"
            )
        usable = ("token", "float")
        if field in tokens or field in times:
            usable = ("token",) if field in tokens else ("float",)
        if kinds[field] not in usable:
            raise DataError(
                f"{where}: {path}: column {field!r} has type {kinds[field]}; here it must be "
                f"{' or '.join(usable)}"
            )
    for field, interval in intervals.items():
        check_interval(where, field, kinds[field], interval)


def check_interval(where: str, field: str, kind: str, interval: Any) -> None:
    """Refuse what does not fit a column: RecBole skips it, or takes other rows.

    Args:
        where: who asks, for the message.
        field: name of the column.
        kind: its type, one of RecBole's.
        interval: of RecBole's ``val_interval``.

    Raises:
        ConfigError: an interval of a token column, a list of values of a number's, or a column that
            holds lists, by which RecBole cannot filter.
    """
    if kind not in ("token", "float"):
        raise ConfigError(
            f"{where}: val_interval of {field}, a {kind} column: only columns of single values can "
            f"tell which rows are kept"
        )
    if kind == "token":
        wanted = "a list of tokens in quotes, such as ['a', '7']"
        fits = isinstance(interval, list) and all(isinstance(t, str) for t in interval)
    else:
        wanted = "an interval such as '[4,5]'"
        fits = not isinstance(interval, list)
    if fits:
        return
    raise ConfigError(
        f"{where}: val_interval of {field}, a {kind} column, must be {wanted}, got {interval!r}"
    )


def read_header(config, suffix: str, where: str) -> list[tuple[str, str]]:
    """Names and types of the columns of an atomic file, in their order; arguments as of
    :func:`require_columns`.

    Raises:
        DataError: not text, or a first line that is not RecBole's.
    """
    path, separator = path_of(config, suffix), config["field_separator"]
    try:
        with open(path, encoding=config["encoding"] or "utf-8") as file:
            header = file.readline().rstrip("\r\n")
        if header.startswith(BYTE_ORDER_MARK):
            raise DataError(
                f"{where}: {path} begins with a byte order mark; set encoding: utf-8-sig, or utf-16"
            )
    except UnicodeError as error:  # no narrower where UTF-16's mark is missing
        raise DataError(
            f"{where}: {path} cannot be read as text: {error}; {OTHER_ENCODING}"
        ) from error
    except (OSError, LookupError) as error:
        raise DataError(f"{where}: {path} cannot be read as text: {error}") from error
    columns = []
    for column in header.split(separator):
        name, colon, kind = column.partition(":")
        if not colon or not kind:
            raise DataError(
                f"{where}: {path} is not an atomic file: its first line must name columns as "
                f"name:type, found {column!r}"
            )
        if kind not in KINDS:
            raise DataError(
                f"{where}: {path}: column {name!r} has type {kind!r}, which is none of "
                f"{', '.join(KINDS)}; columns are apart by field_separator {separator!r}: set it "
                f"to the file's"
            )
        if name in dict(columns):
            raise DataError(f"{where}: {path} names the column {name!r} twice")
        columns.append((name, kind))
    return columns


def require_aligned(config, suffix: str, where: str) -> None:
    """Refuse a file with rows of more values than its header. RecBole's reader takes what is too
    much in the first rows for an index, and shifts every column by it; in others it drops it.
    Arguments as of :func:`require_columns`.

    Raises:
        DataError: it is such a file.
    """
    path, separator = path_of(config, suffix), config["field_separator"]
    found = os.stat(path)
    state = found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns
    fault = _misaligned(path, separator, config["encoding"] or "utf-8", state)
    if fault:
        raise DataError(f"{where}: {path} {fault}")


@functools.lru_cache(maxsize=16)
def _misaligned(path: str, separator: str, encoding: str, state: tuple) -> str | None:
    """What :func:`require_aligned` finds wrong in a file, which a hundred tasks may have columns
    of; in another state it is another file."""
    try:
        table = pd.read_csv(
            path,
            delimiter=separator,
            encoding=encoding,
            engine="python",
            dtype=str,
            nrows=2,
        )
    except (ValueError, csv.Error):
        return None  # what reads it all says so
    if not isinstance(table.index, pd.RangeIndex):
        return (
            f"names {len(table.columns)} columns in its first line, and its rows begin with more "
            f"values; remove what is too much, such as a separator at the end of each row"
        )
    if os.path.getsize(path) > LARGEST_COUNTED:
        return None
    names = len(table.columns)
    with (
        contextlib.suppress(UnicodeError),  # an encoding that can replace nothing
        open(path, encoding=encoding, errors="replace", newline="") as file,
    ):
        for number, values in _rows(file, separator):
            if any(value.strip() for value in values[names:]):
                return (
                    f"names {names} columns in its first line, and line {number} has more values; "
                    f"remove what is too much"
                )
    return None


def _rows(file: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows' values, each with the number of the line in which it ends. Quoted values may hold
    separators and line breaks; none are read where the separator has several characters."""
    quoted = any('"' in line for line in file)
    file.seek(0)
    if not quoted:
        for number, line in enumerate(file, 1):
            yield number, line.split(separator)
    elif len(separator) == 1:
        reader = csv.reader(file, delimiter=separator)
        with contextlib.suppress(csv.Error):  # what reads it all says so
            for values in reader:
                yield reader.line_num, values


def tell_gaps(
    path: str,
    without_user: int,
    without_item: int,
    tell: Callable[[str], None],
    where: str = "source",
    what: str = "item",
) -> None:
    """Warn how many rows are left out, for want of a user or of an item (or of the column `what`,
    which stands for it). A file with rows of both kinds is refused: having dropped the former,
    RecBole takes the labels of the latter for positions, and drops other rows.

    Raises:
        DataError: both numbers are above 0.
    """
    if without_user and without_item:
        raise DataError(
            f"{where}: {path} has {without_user} rows without user and {without_item} without "
            f"{what}, which RecBole cannot drop together; remove them"
        )
    if without_user or without_item:
        absent = "user" if without_user else what
        tell(
            f"{where}: {without_user or without_item} rows of {path} without {absent} left out"
        )


def drop_gaps(
    dataset, suffix: str = "inter", where: str = "source", what: str = "item"
) -> None:
    """Drop the rows that :func:`tell_gaps` tells of from a dataset of RecBole's whose
    ``inter_feat`` is a table yet; `suffix` is its file's."""
    rows = dataset.inter_feat
    user, item = (rows[f].isnull() for f in (dataset.uid_field, dataset.iid_field))
    missing = user.sum(), (item & ~user).sum()
    path = path_of(dataset.config, suffix)
    tell_gaps(path, *missing, dataset.logger.warning, where, what)
    rows.drop(rows.index[user | item], inplace=True)


@contextlib.contextmanager
def reading(where: str, config, suffix: str = "inter") -> Iterator[None]:
    """Turn what RecBole raises while it reads and filters a dataset into one clear line; arguments
    as of :func:`require_columns`.

    Raises:
        DataError: instead of RecBole's and pandas' errors.
        MemoryError: instead of pandas' own error of it.
    """
    try:
        yield
    except PermissionError as error:  # RecBole may read other files, such as .user
        raise DataError(
            f"{where}: {error.filename} cannot be read: {error.strerror}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        if "out of memory" in reason:  # pandas' C parser
            raise MemoryError(reason) from error
        if "feat is empty" in reason:
            reason = (
                "no interaction is left; check the file, val_interval, "
                "user_inter_num_interval and item_inter_num_interval"
            )
        elif isinstance(error, UnicodeDecodeError):
            reason += f"; {OTHER_ENCODING}"
        elif reason.startswith(NO_NUMBERS):
            if error.__cause__:
                reason += f": {error.__cause__}"  # which value
            reason += (
                "; a float column holds numbers, such as seconds since 1970: correct it, or leave "
                "it empty"
            )
        raise DataError(f"{where}: {path_of(config, suffix)}: {reason}") from error
