"""Flags of the command line, and values that come as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.keys import PATHS, SIGNS, TEXT
from recbole_peterrec.settings.literals import parse_literal, plain


def read_flags(arguments: Iterable[str]) -> dict[str, Any]:
    """The keys and values of flags ``--key=value``.

    Raises:
        ConfigError: a malformed one, one without the value that it needs, or one given twice.
    """
    flags: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            raise ConfigError(f"flag {argument!r} must look like --key=value")
        if not value and key in PATHS:  # as a shell leaves of --resume=$UNSET
            raise ConfigError(f"flag --{key} needs a value; ~ stands for none")
        if flags.get(key, value) != value:
            raise ConfigError(f"flag --{key} is given twice with different values")
        flags[key] = value
    return typed(flags)


def typed(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a property file would hold them, where they may be text that stands for others.

    Raises:
        ConfigError: something that no property file can hold.
    """
    values = {
        key: parse_literal(value, lists=not str(key).endswith(SIGNS))
        if isinstance(value, str) and (key not in TEXT or value in ("~", "None"))
        else value
        for key, value in keys.items()
    }
    return {key: plain(value, f"configuration: {key}") for key, value in values.items()}
