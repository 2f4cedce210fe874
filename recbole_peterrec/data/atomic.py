"""Looking at RecBole's atomic files before RecBole reads them, to fail early and clearly."""

from __future__ import annotations

import os
from collections.abc import Iterable

from recbole_peterrec.errors import DataError, did_you_mean


def require_columns(
    folder: str,
    dataset: str,
    suffix: str,
    fields: Iterable[str],
    separator: str,
    where: str,
) -> None:
    """Check that ``folder/dataset.suffix`` exists and has the fields.

    Args:
        folder: path of the dataset.
        dataset: its name.
        suffix: ``inter`` or ``user``.
        fields: names of columns that must be there.
        separator: RecBole's ``field_separator``.
        where: who asks, for the message, such as ``task 'gender'``.

    Raises:
        DataError: folder, file or column missing, or a header that is not RecBole's.
    """
    if not os.path.isdir(folder):
        raise DataError(
            f"{where}: dataset {dataset!r} not found: no folder {folder}; "
            f"put {dataset}.{suffix} there or set data_path"
        )
    path = os.path.join(folder, f"{dataset}.{suffix}")
    if not os.path.isfile(path):
        raise DataError(f"{where}: file {path} not found")
    with open(path, encoding="utf-8") as file:
        header = file.readline().rstrip("\r\n")
    names = []
    for column in header.split(separator):
        name, colon, kind = column.partition(":")
        if not colon or not kind:
            raise DataError(
                f"{where}: {path} is not an atomic file: its first line must name columns as "
                f"name:type, found {column!r}"
            )
        names.append(name)
    for field in fields:
        if field not in names:
            raise DataError(
                f"{where}: {path} has no column {field!r}{did_you_mean(field, names)} "
                f"(it has {', '.join(names)})"
            )
