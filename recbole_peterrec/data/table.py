"""Columns of an atomic file: what RecBole's reading gives, sooner where nothing is quoted."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import pandas as pd

from recbole_peterrec.errors import DataError

PIECE = 2**18  # rows parsed at once
SCANNED = 2**24  # characters looked through at once
# RecBole's engine, slow; where nothing is quoted, a fast one reads the same, numbers of up to 16
# digits too. It takes no separator of several bytes.
QUOTED = {"engine": "python"}
PLAIN = {"engine": "c", "float_precision": "high", "low_memory": False}


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
    quoted = any('"' in part for part in iter(lambda: text.read(SCANNED), ""))
    ends = (text.newlines,) if isinstance(text.newlines, str) else text.newlines or ()
    text.detach()
    file.seek(0)
    if quoted:
        return "quoted values"
    return "lines that end in a carriage return alone" if "\r" in ends else None


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
        kinds: of the columns, as its header has them with their types: ``str``, or a number's.
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
            yield from pd.read_csv(
                _Text(file, encoding, where),
                sep=separator,
                usecols=list(kinds),
                dtype=dict(kinds),
                chunksize=PIECE,
                **engine,
            )
        after = os.stat(path)
    except OSError as error:
        raise DataError(
            f"{where}: {path} cannot be read: {error.strerror or error}"
        ) from error
    except csv.Error as error:  # of a quotation that does not end, if not read at once
        raise pd.errors.ParserError(str(error)) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{where}: {path} was changed while it was read; start again")


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
            try:
                rows[name] = _numbers(rows[name])
            except ValueError as error:
                raise ValueError(f"Unable to convert column {name}: {error}") from error
    return rows


def _numbers(column: pd.Series) -> pd.Series:
    """A whole column of texts as float64, each number as RecBole's engine reads it."""
    try:
        # Whole numbers of many digits are rounded once, if the column has no others.
        return pd.to_numeric(column).astype("float64")
    except ValueError:
        return column.astype("float64")
