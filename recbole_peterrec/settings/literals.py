"""From the text of flags and property files to values, without executing any of it."""

from __future__ import annotations

import ast
import copy
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from recbole_peterrec.errors import ConfigError


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe, and reads 1e-3 as a number, like RecBole's loader; in C, where PyYAML has it."""


class Dumper(yaml.SafeDumper):
    """Safe, and quotes a text that :class:`Loader` would read as a number."""


for _side, _safe in ((Loader, yaml.SafeLoader), (Dumper, yaml.SafeDumper)):
    _side.yaml_implicit_resolvers = copy.deepcopy(_safe.yaml_implicit_resolvers)
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789."),
    )


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    """PyYAML writes a next-line character (U+0085) so that it reads back a space, but escaped."""
    style = '"' if "\x85" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def to_yaml(content: dict[Any, Any]) -> bytes:
    """The bytes of a property file with these keys, sorted: :func:`read_yaml` gives them back.

    Raises:
        ConfigError: a text that is none in UTF-8, such as a path whose bytes are not.
    """
    for key, value in content.items():
        plain(value, f"configuration: {key}")
    text = yaml.dump(content, Dumper=Dumper, sort_keys=True, allow_unicode=True)
    return text.encode()


class FlagLoader(yaml.BaseLoader):
    """Lists and mappings of a flag's text, whose values are read as flags are.

    Not as in files, where ``no`` is False, ``010`` is eight and ``1:30`` is ninety. What stands in
    quotes is text.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Without tags: nothing but text, lists and mappings."""
        if node.tag not in PLAIN_TAGS:
            raise yaml.constructor.ConstructorError(problem=f"tag {node.tag}")
        return super().construct_object(node, deep)

    def construct_scalar(self, node: yaml.Node) -> Any:
        """What a text stands for; nothing at all, as in ``{key: }``, is None."""
        text = super().construct_scalar(node)
        if node.style:  # its quotes
            return text
        return parse_literal(text, lists=False) if text else None


PLAIN_TAGS = (
    FlagLoader.DEFAULT_SCALAR_TAG,
    FlagLoader.DEFAULT_SEQUENCE_TAG,
    FlagLoader.DEFAULT_MAPPING_TAG,
)


def parse_literal(text: str, lists: bool = True) -> Any:
    """The Python literal, boolean word, yaml mapping or yaml list that a flag's text stands for.

    Unlike RecBole's ``eval``, nothing is ever executed; what is no literal stays text.

    Args:
        text: of the flag.
        lists: whether ``[a, b]``, whose quotes a shell has eaten, may be a list.

    Raises:
        ConfigError: a mapping, or a list of them, that is no yaml.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text in ("~", "null"):
        return None
    mappings = text.lstrip().startswith(("{", "[{"))
    if mappings or lists and text.strip()[:1] == "[" and text.strip()[-1:] == "]":
        try:
            return yaml.load(text, Loader=FlagLoader)
        except (yaml.YAMLError, RecursionError) as error:
            if mappings:
                raise ConfigError(
                    f"value {text!r} is neither a literal nor yaml"
                ) from error
    return text


def plain(value: Any, where: str) -> Any:
    """A value as a file holds it: paths as text, NumPy's numbers as Python's, tuples as lists.

    Args:
        value: from Python or yaml.
        where: its key, for the message.

    Raises:
        ConfigError: something that no property file can hold.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return plain(value.item(), where)
    if isinstance(value, (list, tuple)):
        return [plain(part, where) for part in value]
    if isinstance(value, str) and not _is_utf8(value):
        raise ConfigError(f"{where}: {value!r} is no text in UTF-8; rename it")
    scalar = (str, int, float, type(None))
    if isinstance(value, dict) and all(isinstance(key, scalar) for key in value):
        return {key: plain(part, where) for key, part in value.items()}
    if isinstance(value, scalar):
        return value
    raise ConfigError(
        f"{where}: {value!r} is a {type(value).__name__}; a config holds text (in quotes, if it "
        f"looks like a date), numbers, True or False, lists and mappings"
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A property file as a dict.

    Raises:
        ConfigError: file missing, not yaml, or not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=Loader)
        if content is None:  # an empty file
            content = {}
        if isinstance(content, dict):
            return {
                key: plain(value, f"config file {path}: {key}")
                for key, value in content.items()
            }
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"config file {path}: it is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:  # no text, no date, ...
        line = " ".join(str(error).split())
        raise ConfigError(f"config file {path} is not yaml: {line}") from error
    raise ConfigError(f"config file {path} must hold key: value lines")
