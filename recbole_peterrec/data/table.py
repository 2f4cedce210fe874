"""Columns of an atomic file: what RecBole's reading gives, sooner where nothing is quoted."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from typing import BinaryIO

import numpy as np
import pandas as pd
from tqdm import tqdm

from recbole_peterrec.data.numeric import Undecided, Way, settled, telling, way_of
from recbole_peterrec.errors import DataError

PIECE = 2**18  # rows parsed at once
SCANNED = 2**24  # characters looked through at once
# RecBole's engine, slow; where nothing is quoted, a fast one reads the same, but for some numbers.
# It takes no separator of several bytes.
QUOTED = {"engine": "python"}
PLAIN = {"engine": "c", "float_precision": "high", "low_memory": False}

# Lines of these alone are empty to the slow engine, and not to the fast one.
BLANKS = [c for c in map(chr, range(2**16)) if c.isspace() and c not in " \t\r\n"]
BLANK_LINE = re.compile(r"^[^\S\r\n]+\r?$", re.MULTILINE)


class _Text(io.TextIOWrapper):
    """A text file for pandas' C parser, which would end a token at a NUL without a word, and lose
    the blanks that a row begins with where the part that it was given ends in them."""

    def __init__(self, file: BinaryIO, encoding: str, where: str) -> None:
        super().__init__(file, encoding=encoding, newline="")
        self.where = where

    def read(self, size: int | None = -1) -> str:
        text = super().read(size)
        if text.endswith((" ", "\t")):
            text += super().readline()
        if "\0" in text:
            raise DataError(f"{self.where}: {self.name} has a NUL character; remove it")
        return text


def _slow_for(file: BinaryIO, encoding: str) -> str | None:
    """What a file has of which the engines make different things; it is then at its beginning
    again. Looked for in the text: some encodings write a quotation mark as another byte."""
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    found = None
    while not found and (part := text.read(SCANNED)):
        part += text.readline()  # lines as a whole
        if '"' in part:
            found = "quoted values"
        elif any(blank in part for blank in BLANKS) and BLANK_LINE.search(part):
            found = "lines of blanks"
    ends = (text.newlines,) if isinstance(text.newlines, str) else text.newlines or ()
    if "\r" in ends and not found:
        found = "lines that end in a carriage return alone"
    text.detach()
    file.seek(0)
    return found


_shown = ContextVar("shown", default=False)


@contextlib.contextmanager
def shown(show: bool) -> Iterator[None]:
    """Whether the reading of files within has bars."""
    token = _shown.set(show)
    try:
        yield
    finally:
        _shown.reset(token)


def _bar(size: int, where: str) -> tqdm:
    """Of the bytes of a file, if it is to be shown."""
    hidden = not _shown.get()
    told = f"{where}: read"
    return tqdm(
        total=size, desc=told, unit="B", unit_scale=True, leave=False, disable=hidden
    )


def read_pieces(
    path: str,
    kinds: Mapping[str, type],
    separator: str,
    encoding: str,
    where: str,
) -> Iterator[pd.DataFrame]:
    """Some columns of a file, some rows at a time; at least one, if empty, table.

    Args:
        path: of the file.
        kinds: of the columns, as its header has them with their types: ``str``, or float64, which
            the slow engine leaves as texts.
        separator: of the columns.
        encoding: of the file.
        where: who reads, for messages.

    Raises:
        DataError: the disk does not give it, it has been changed meanwhile, or has a NUL.
        ValueError: pandas cannot read the file.
    """
    try:
        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            engine = PLAIN if len(separator.encode()) == 1 else QUOTED
            if slow := _slow_for(file, encoding):
                logging.getLogger().info(
                    f"{where}: {path} has {slow}, which take longer to read"
                )
                engine = QUOTED
            if engine is QUOTED:
                # It would read each piece in a way of its own.
                kinds = dict.fromkeys(kinds, str)
            with _bar(before.st_size, where) as bar:
                for piece in pd.read_csv(
                    _Text(file, encoding, where),
                    sep=separator,
                    usecols=list(kinds),
                    dtype=dict(kinds),
                    chunksize=PIECE,
                    **engine,
                ):
                    yield piece
                    bar.update(file.tell() - bar.n)
        after = os.stat(path)
    except OSError as error:
        raise DataError(
            f"{where}: {path} cannot be read: {error.strerror or error}"
        ) from error
    except csv.Error as error:  # of a quotation that does not end, if not read at once
        raise pd.errors.ParserError(str(error)) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{where}: {path} was changed while it was read; start again")


def read_numbers(
    path: str,
    columns: Collection[str],
    separator: str,
    encoding: str,
    where: str,
    exact: bool,
) -> Iterator[pd.DataFrame]:
    """Some columns of a file, some rows at a time, with ``float`` columns as float64.

    Args:
        columns: as the header has them, with their types.
        exact: read the numbers as texts, and before that all of them once, which takes some two
            and a half times as long in all; else only what is the same whatever else a column has.
        path, separator, encoding, where: as of :func:`read_pieces`.

    Raises:
        Undecided: only `exact` gives the numbers, or tells what is none.
        DataError: as of :func:`read_pieces`.
        ValueError: pandas cannot read the file, or a number is none.
    """
    texts = dict.fromkeys(columns, str)
    numbers = [column for column in texts if column.endswith(":float")]
    if not exact:
        kinds = texts | dict.fromkeys(numbers, np.float64)
        try:
            for piece in read_pieces(path, kinds, separator, encoding, where):
                for column in numbers:
                    piece[column] = settled(piece[column])
                yield piece
        except (pd.errors.ParserError, UnicodeError):
            raise
        except ValueError as error:
            raise Undecided from error
        return
    logging.getLogger().info(f"{where}: {path} has numbers that take longer to read")
    few = dict.fromkeys(numbers, str)
    cells = [
        {c: telling(piece[c]) for c in numbers}
        for piece in read_pieces(path, few, separator, encoding, where)
    ]
    ways = {c: way_of(pd.concat([found[c] for found in cells])) for c in numbers}
    for piece in read_pieces(path, texts, separator, encoding, where):
        for column in numbers:
            piece[column] = _converted(piece[column], ways[column])
        yield piece


def read_table(
    path: str, kinds: Mapping[str, str], separator: str, encoding: str, where: str
) -> pd.DataFrame:
    """Some columns of a file, in their order there, under their names.

    Args:
        kinds: types of the columns, as the header has them, by name; those that are ``float``
            become float64, others texts.
        path, separator, encoding, where: as of :func:`read_pieces`.

    Raises:
        DataError: as of :func:`read_pieces`.
        ValueError: pandas cannot read the file, or a number is none.
    """
    columns = {f"{name}:{kind}": str for name, kind in kinds.items()}
    pieces = read_pieces(path, columns, separator, encoding, where)
    rows = pd.concat(pieces, ignore_index=True).set_axis(list(kinds), axis=1)
    for name, kind in kinds.items():
        if kind == "float":
            rows[name] = _converted(rows[name], way_of(rows[name]))
    return rows


def _converted(column: pd.Series, way: Way) -> pd.Series:
    try:
        return way(column)
    except ValueError as error:  # in pandas' words, with its engine's cause
        raise ValueError(f"Unable to convert column {column.name}") from error
