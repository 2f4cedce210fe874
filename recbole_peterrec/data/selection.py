"""What of a source's file is read, in RecBole's terms, and whether RecBole itself must read it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from recbole_peterrec.data.atomic import path_of, read_header

# Brackets and bounds, such as ("[", 1.0, 5.0, ")").
Interval = tuple[str, float, float, str]

# Keys with which RecBole does more to a source than Selection can say.
BEYOND = (
    "additional_feat_suffix",
    "alias_of_item_id",
    "alias_of_user_id",
    "discretization",
    "numerical_features",
    "preload_weight",
    "threshold",
)


@dataclass(frozen=True)
class Selection:
    """Columns of a ``.inter`` file, and which of its rows are kept.

    Attributes:
        path: of the file.
        user, item, time: names of columns as they stand in the header, such as ``user_id:token``.
        separator: between columns, one character.
        encoding: of the file.
        duplicates: RecBole's ``rm_dup_inter``.
        values: RecBole's ``val_interval``: a column of the header with its intervals, or with the
            tokens that are kept.
        user_counts, item_counts: RecBole's ``user_inter_num_interval`` and
            ``item_inter_num_interval``; None keeps all.
        normalized: whether times are mapped to 0..1 (RecBole's ``normalize_all``).
        recent: how many of each user's last interactions are kept; None keeps all.
    """

    path: str
    user: str
    item: str
    time: str
    separator: str
    encoding: str
    duplicates: str | bool | None
    values: tuple[tuple[str, tuple[Interval, ...] | tuple[str, ...]], ...]
    user_counts: tuple[Interval, ...] | None
    item_counts: tuple[Interval, ...] | None
    normalized: bool
    recent: int | None


class RecBoleOnly(Exception):
    """Why only RecBole's own loading does what a config asks for."""


def select(dataset) -> Selection:
    """The selection that a dataset's config describes.

    Args:
        dataset: a RecBole dataset whose fields have names and which has read nothing yet.

    Raises:
        RecBoleOnly: it describes none.
    """
    config = dataset.config
    _require_interactions_alone(dataset)
    columns = _loaded_columns(dataset)
    fields = (dataset.uid_field, dataset.iid_field, dataset.time_field)
    for field, kind in zip(fields, ("token", "token", "float"), strict=True):
        if field not in columns or _kind(columns[field]) != kind:
            raise RecBoleOnly(f"column {field}, which is not loaded as {kind}")
    scaled = config["normalize_field"] or []
    if scaled and (config["normalize_all"] or not set(scaled) <= set(columns)):
        raise RecBoleOnly("normalize_field")
    counts = [
        dataset._parse_intervals_str(config[key])
        for key in ("user_inter_num_interval", "item_inter_num_interval")
    ]
    return Selection(
        os.path.realpath(path_of(config)),
        *(columns[field] for field in fields),
        config["field_separator"],
        config["encoding"] or "utf-8",
        config["rm_dup_inter"],
        _kept_values(dataset, columns),
        *(tuple(intervals) if intervals else None for intervals in counts),
        bool(config["normalize_all"]) or dataset.time_field in scaled,
        config["recent_interactions"],
    )


def _require_interactions_alone(dataset) -> None:
    """Refuse what RecBole makes of more than one plain file of interactions."""
    config = dataset.config
    separator = config["field_separator"]
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        raise RecBoleOnly(f"field_separator {separator!r}")
    for key in BEYOND:
        if config[key]:
            raise RecBoleOnly(key)
    for source in ("user", "item"):
        file = path_of(config, source)
        loads = dataset._get_load_and_unload_col(source)[0] != set()
        if loads and os.path.isfile(file):
            raise RecBoleOnly(f"load_col, which takes columns of {file}")


def _loaded_columns(dataset) -> dict[str, str]:
    """The columns that RecBole would load: field to name in the header, all of single values."""
    columns = read_header(dataset.config, "inter", "source")
    wanted, unwanted = dataset._get_load_and_unload_col("inter")
    loaded = {
        name: f"{name}:{kind}"
        for name, kind in columns
        if (wanted is None or name in wanted) and name not in (unwanted or ())
    }
    if not all(_kind(column) in ("token", "float") for column in loaded.values()):
        raise RecBoleOnly("columns that hold lists")
    return loaded


def _kept_values(
    dataset, columns: dict[str, str]
) -> tuple[tuple[str, tuple[Interval, ...] | tuple[str, ...]], ...]:
    """RecBole's ``val_interval``: tokens of a token column, intervals of another."""
    values = []
    for field, kept in (dataset.config["val_interval"] or {}).items():
        tokens = isinstance(kept, list) and all(isinstance(t, str) for t in kept)
        if field not in columns or tokens != (_kind(columns[field]) == "token"):
            raise RecBoleOnly(f"val_interval of {field}")
        if not tokens:
            kept = dataset._parse_intervals_str(kept)
        values.append((columns[field], tuple(kept)))
    return tuple(values)


def _kind(column: str) -> str:
    """Type of a column by its name in the header, such as ``token`` of ``user_id:token``."""
    return column.rpartition(":")[2]
