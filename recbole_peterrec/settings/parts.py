"""Mappings that a user gives in parts: what he gave of them, and a later source of his left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

EVAL_ARGS, TASK_DEFAULTS = "eval_args", "task_defaults"


class Part(NamedTuple):
    """A part of ``eval_args`` or of ``task_defaults``."""

    key: str  # which of the two
    where: str  # the mapping that it is a part of, as a user calls it
    name: str


def left_out(
    sources: Iterable[Mapping[str, Any]], final: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Parts that a file, dict or flag gave, and that a later one with the same key lacks.

    The later one takes the earlier one's place, as of every key, and the defaults complete it: the
    part is the default's again.

    Args:
        sources: what each of a user's files, dicts and flags gave, later ones win.
        final: all keys of the run; a part that it has all the same is not lost.

    Returns:
        Of each mapping the names of the parts lost.
    """
    counting: dict[Part, Any] = {}
    lost: dict[Part, Any] = {}
    for source in sources:
        now = _parts(source)
        replaced = {part: counting[part] for part in counting if part.key in source}
        counting = {p: v for p, v in counting.items() if p not in replaced} | now
        lost = {p: v for p, v in (lost | replaced).items() if p not in now}
    has = _parts(final)
    told: dict[str, list[str]] = {}
    for part, value in lost.items():
        if value is not None and not _is_so(has.get(part, final.get(part.name)), value):
            told.setdefault(part.where, []).append(part.name)
    return told


def _parts(keys: Mapping[str, Any]) -> dict[Part, Any]:
    """What a source has of both mappings; one that is none is refused elsewhere."""
    found = _of(keys.get(EVAL_ARGS), EVAL_ARGS, EVAL_ARGS)
    for kind, own in _mapping(keys.get(TASK_DEFAULTS)).items():
        where = f"{TASK_DEFAULTS}: {kind}"
        own = dict(_mapping(own))
        found |= _of(own.pop(EVAL_ARGS, None), TASK_DEFAULTS, f"{EVAL_ARGS} of {where}")
        found |= _of(own, TASK_DEFAULTS, where)
    return found


def _of(mapping: Any, key: str, where: str) -> dict[Part, Any]:
    return {Part(key, where, str(n)): value for n, value in _mapping(mapping).items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_so(final: Any, value: Any) -> bool:
    """Whether a part has a value: as the one of a list, in another order, or in both splits."""
    if isinstance(value, Mapping):
        return final == value
    if isinstance(final, Mapping):  # a mode by split
        return all(of_split == value for of_split in final.values())
    found, wished = (v if isinstance(v, list) else [v] for v in (final, value))
    return sorted(map(str, found)) == sorted(map(str, wished))
