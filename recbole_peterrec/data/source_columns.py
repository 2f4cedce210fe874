"""Columns and names that a source needs, before RecBole reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from recbole_peterrec.errors import ConfigError


def require_names(config, others: Mapping[str, str] | None = None) -> None:
    """Refuse a source whose rows would have two things by one name.

    Args:
        config: of the source.
        others: what rows have besides, and its name.

    Raises:
        ConfigError: it is one.
    """
    keys = "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD", "ITEM_LIST_LENGTH_FIELD"
    names = {f"{key} {config[key]}": config[key] for key in keys}
    items = config["ITEM_ID_FIELD"]
    names[f"the list of {items}"] = items + config["LIST_SUFFIX"]
    taken: dict[str, str] = {}
    for what, name in (names | dict(others or {})).items():
        if name in taken:
            raise ConfigError(
                f"{taken[name]} and {what} would both be named {name!r} in the source's rows; "
                f"set LIST_SUFFIX or ITEM_LIST_LENGTH_FIELD, or leave a column out of load_col"
            )
        taken[name] = what


def require_loaded(config, fields: Iterable[str]) -> None:
    """Refuse columns that RecBole would leave out: by its default, all but users and items.

    Raises:
        ConfigError: ``load_col`` lacks one.
    """
    columns = (config["load_col"] or {}).get("inter")
    if isinstance(columns, list) and (
        absent := [f for f in fields if f not in columns]
    ):
        raise ConfigError(
            f"source: load_col leaves out {', '.join(absent)}; set "
            f"load_col: {{inter: [{', '.join(dict.fromkeys([*columns, *absent]))}]}}"
        )
