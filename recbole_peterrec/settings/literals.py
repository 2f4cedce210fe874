"""From the text of flags and property files to values, without executing any of it."""

from __future__ import annotations

import ast
import copy
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from recbole_peterrec.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"  # of the key <<


class RepeatedKeyError(Exception):
    """A mapping has a key twice.

    Args:
        key: it.
        lines: of the text in which it stands, counted from 1.
    """

    def __init__(self, key: Any, lines: tuple[int, int]) -> None:
        first, second = lines
        where = f"line {first}" if first == second else f"lines {first} and {second}"
        super().__init__(f"key {key!r} is there twice ({where})")


def _require_different(keys: Iterable[tuple[Any, int]]) -> None:
    """Of one mapping, each with its line.

    Raises:
        RepeatedKeyError: two are equal.
    """
    lines: dict[Any, int] = {}
    for key, line in keys:
        if key in lines:
            raise RepeatedKeyError(key, (lines[key], line))
        lines[key] = line


class _EachKeyOnce:
    """Of a loader: refuses repeated keys, of which PyYAML takes the last."""

    def get_single_node(self) -> yaml.Node | None:
        """The document's, looked through before merge keys (``<<``) are put in place: what stands
        beside one wins over what it brings."""
        root = super().get_single_node()
        nodes, seen = [root], set()
        for node in nodes:  # which grows meanwhile
            if node in seen or not isinstance(node, yaml.CollectionNode):
                continue
            seen.add(node)
            if isinstance(node, yaml.MappingNode):
                _require_different(
                    (self.construct_object(key), key.start_mark.line + 1)
                    for key, _ in node.value
                    # Others are refused later, or are merge keys.
                    if isinstance(key, yaml.ScalarNode) and key.tag != MERGE
                )
                nodes += (part for pair in node.value for part in pair)
            else:
                nodes += node.value
        return root


class Loader(_EachKeyOnce, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
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


class FlagLoader(_EachKeyOnce, yaml.BaseLoader):
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
        ConfigError: a mapping, or a list of them, that is no yaml, or one with a key twice.
    """
    try:
        return _parsed(text, lists)
    except RepeatedKeyError as error:
        raise ConfigError(f"value {text!r}: {error}") from error


def _parsed(text: str, lists: bool) -> Any:
    """As of :func:`parse_literal`.

    Raises:
        ConfigError: no yaml.
        RepeatedKeyError: a key twice.
    """
    try:
        return _python_literal(text)
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


def _python_literal(text: str) -> Any:
    """``ast.literal_eval``, which takes the last of repeated keys.

    Raises:
        RepeatedKeyError: a key twice.
    """
    tree = ast.parse(text.lstrip(" \t"), mode="eval")  # as it does
    value = ast.literal_eval(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            _require_different((ast.literal_eval(k), k.lineno) for k in node.keys)
    return value


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
        ConfigError: file missing, not yaml, not a mapping, or one with a key twice.
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
    except RepeatedKeyError as error:
        raise ConfigError(f"config file {path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"config file {path}: it is nested too deep") from error
    except (
        *(yaml.YAMLError, ValueError),  # no text, no date, ...
        *(TypeError, KeyError, AttributeError),  # PyYAML's, of a tag that does not fit
    ) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"config file {path} is not yaml: {line}") from error
    raise ConfigError(f"config file {path} must hold key: value lines")
