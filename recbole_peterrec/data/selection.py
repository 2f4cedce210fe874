"""What of a source's file is read, in RecBole's terms, and whether RecBole itself must read it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from recbole_peterrec.data.atomic import read_header

Interval = tuple[
    str, float, float, str
]  # brackets and bounds, such as ("[", 1.0, 5.0, ")")

# Keys with which RecBole does more to a source than Selection can say.
BEYOND = (
    "additional_feat_suffix",
    "alias_of_item_id",
    "alias_of_user_id",
    "benchmark_filename",
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

    def told(self) -> dict[str, Any]:
        """Plain data that is equal where selections are."""
        return asdict(self)


def select(dataset) -> tuple[Selection | None, str]:
    """The selection that a dataset's config describes.

    Args:
        dataset: a RecBole dataset whose fields have names and which has read nothing yet.

    Returns:
        The selection and an empty string; or None and the reason why only RecBole's own loading
        does what the config asks for.
    """
    config = dataset.config
    path = os.path.join(config["data_path"], f"{config['dataset']}.inter")
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        return None, f"field_separator {separator!r}"
    for key in BEYOND:
        if config[key]:
            return None, key
    for source in ("user", "item"):
        file = path.removesuffix("inter") + source
        if dataset._get_load_and_unload_col(source)[0] != set() and os.path.isfile(
            file
        ):
            return None, f"load_col, which takes columns of {file}"
    columns = read_header(path, separator, encoding, "source")
    kinds = dict(columns)
    if len(kinds) != len(columns):
        return None, "two columns of one name"
    wanted, unwanted = dataset._get_load_and_unload_col("inter")
    loaded = {
        name: f"{name}:{kind}"
        for name, kind in columns
        if (wanted is None or name in wanted) and name not in (unwanted or ())
    }
    if not all(kinds[name] in ("token", "float") for name in loaded):
        return None, "columns that hold lists"
    fields = (dataset.uid_field, dataset.iid_field, dataset.time_field)
    for field, kind in zip(fields, ("token", "token", "float"), strict=True):
        if field not in loaded or kinds[field] != kind:
            return None, f"column {field}, which is not loaded as {kind}"
    scaled = config["normalize_field"] or []
    if scaled and (config["normalize_all"] or not set(scaled) <= set(loaded)):
        return None, "normalize_field"
    values = []
    for field, kept in (config["val_interval"] or {}).items():
        tokens = isinstance(kept, list) and all(isinstance(t, str) for t in kept)
        if field not in loaded or tokens != (kinds[field] == "token"):
            return None, f"val_interval of {field}"
        if not tokens:
            kept = dataset._parse_intervals_str(kept)
        values.append((loaded[field], tuple(kept)))
    counts = [
        dataset._parse_intervals_str(config[key])
        for key in ("user_inter_num_interval", "item_inter_num_interval")
    ]
    selection = Selection(
        os.path.realpath(path),
        *(loaded[field] for field in fields),
        separator,
        encoding,
        config["rm_dup_inter"],
        tuple(values),
        *(tuple(intervals) if intervals else None for intervals in counts),
        bool(config["normalize_all"]) or dataset.time_field in scaled,
        config["recent_interactions"],
    )
    return selection, ""
