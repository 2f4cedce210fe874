"""A user's mappings over those of the property files, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.settings.eval_checks import check_eval_args


def merged_eval_args(defaults: dict[str, Any], given: Any) -> dict[str, Any]:
    """``eval_args`` in which what is not given keeps its default, not RecBole's.

    Raises:
        ConfigError: unknown parts or values.
    """
    check_eval_args(given)
    merged = {**defaults, **given}
    if "mode" in given and "mode" in defaults:
        merged["mode"] = _by_split(defaults["mode"]) | _by_split(given["mode"])
    return merged


def _by_split(mode: str | dict[str, str]) -> dict[str, str]:
    """How each split is ranked; RecBole takes one for both."""
    return mode if isinstance(mode, dict) else {"valid": mode, "test": mode}


def merged_task(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A task's keys over its defaults; its ``eval_args`` part by part."""
    merged = {**defaults, **given}
    if "eval_args" in given and isinstance(defaults.get("eval_args"), dict):
        merged["eval_args"] = merged_eval_args(
            defaults["eval_args"], given["eval_args"]
        )
    return merged


def merged_task_defaults(
    defaults: dict[str, dict[str, Any]],
    given: Any,
    reject_unknown: Callable[[dict[str, Any], str, set[str]], None],
) -> dict[str, dict[str, Any]]:
    """``task_defaults`` in which each kind of task keeps what is not given for it.

    Args:
        defaults: of every kind.
        given: of some kinds.
        reject_unknown: raises on unknown keys of a kind; takes the keys, where they stand, and
            keys that are known besides.

    Raises:
        ConfigError: not a mapping of kinds to mappings, an unknown kind or key.
    """
    if not isinstance(given, dict) or not all(
        isinstance(keys, dict) for keys in given.values()
    ):
        raise ConfigError(
            f"task_defaults must map {' and '.join(defaults)} to keys, got {given!r}"
        )
    known = {key for keys in defaults.values() for key in keys}
    for kind, keys in given.items():
        if kind not in defaults:
            raise ConfigError(
                f"task_defaults: unknown kind {kind!r}{did_you_mean(str(kind), defaults)}"
            )
        reject_unknown(keys, f"task_defaults of {kind}", known)
    return {
        kind: merged_task(keys, given.get(kind, {})) for kind, keys in defaults.items()
    }


def merged_keys(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A user's keys over his more general ones; ``eval_args`` and, kind by kind, ``task_defaults``
    part by part."""
    merged = {**base, **own}
    parts = [base.get("eval_args"), own.get("eval_args")]
    if all(isinstance(part, dict) for part in parts):
        merged["eval_args"] = merged_eval_args(*parts)
    kinds = [base.get("task_defaults"), own.get("task_defaults")]
    if all(isinstance(part, dict) for part in kinds):
        general, special = kinds
        merged["task_defaults"] = general | {
            kind: merged_task(general[kind], keys)
            if isinstance(general.get(kind), dict) and isinstance(keys, dict)
            else keys
            for kind, keys in special.items()
        }
    return merged
