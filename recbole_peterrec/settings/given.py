"""What a run's ``config.yaml`` tells of its user's own keys, and what of it another run takes."""

from __future__ import annotations

import hashlib
import pprint
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.settings.literals import plain

GIVEN = "given"  # the key that tells it
# Keys whose value in a run's config.yaml may not be the default although nobody gave one: paths are
# absolute there, parts are merged. No task takes them from its run.
SETTLED = frozenset(
    (
        *(GIVEN, "model", "dataset", "data_path", "checkpoint_dir"),
        *("eval_args", "load_col", "train_neg_sample_args"),
    )
)
KEYS, DIGEST = "keys", "digest"  # of these keys and of all else
DEFAULTS_OF = "defaults_of"  # what chose the run's defaults: its values of these keys
CHOOSING = ("model", "dataset", "protocol", "backbone")


def told_with(resolved: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A run's keys and values, with what its user gave before defaults were merged with it."""
    told = {
        KEYS: given,
        DIGEST: _digest(resolved, given),
        DEFAULTS_OF: [resolved.get(key) for key in CHOOSING],
    }
    return {**resolved, GIVEN: told}


def what_counts(
    content: dict[str, Any], asked: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys and values that a file or dict gives a run, and those of them that its user gave.

    Of a run's ``config.yaml`` all count. If this run has another model, dataset or protocol, only
    what the user gave to that one does: the defaults of the one are not those of the other.

    Args:
        content: of the file or dict.
        asked: ``model``, ``dataset`` and ``protocol`` of this run.

    Raises:
        ConfigError: another one, and the file was changed since it was written, or no run has
            written what it says of itself.
    """
    if GIVEN not in content:
        return content, content
    content = dict(content)
    told = content.pop(GIVEN)
    given = told.get(KEYS) if isinstance(told, dict) else None
    if not isinstance(given, dict):
        raise ConfigError(
            f"{GIVEN} is what this version of a run writes into its config.yaml, got {told!r}; of "
            f"a run of an earlier version, give your own settings instead of its config.yaml"
        )
    changed = told.get(DIGEST) != _digest(content, given)
    if all((content.get(key) or None) == (name or None) for key, name in asked.items()):
        if changed:
            given = {key: content[key] for key in given if key in content}
        return content, given
    # Its protocol only where it was given: else the model's own file may choose another.
    names = {key: content.get(key) for key in ("model", "dataset")}
    if changed:
        raise ConfigError(
            f"the config.yaml of a {names['model']} run on {names['dataset']} was changed since; "
            f"with another model, dataset or protocol only what was given to that run counts, so "
            f"give the changes as flags or in a file"
        )
    return {**names, **given}, given


def last_given(
    counted: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> dict[str, Any]:
    """What a user gave in all: the last source's of each key that counts in several.

    Args:
        counted: of each source, later ones win, what counts and what of it was given.
    """
    last: dict[str, Any] = {}
    for counts, given in counted:
        last = {key: value for key, value in last.items() if key not in counts}
        last |= given
    return last


def edited_keys(
    content: dict[str, Any], defaults: Mapping[str, Any], choice: Sequence[Any]
) -> dict[str, Any]:
    """What somebody has written into a run's ``config.yaml`` since, as far as can be told.

    A value that is not the default was given to the run, or is new. Where other defaults
    are chosen now, all that can be told is what was given.

    Args:
        content: of the file.
        defaults: of the run that takes it.
        choice: what chose them, the run's :data:`CHOOSING`.
    """
    if GIVEN not in content or is_unchanged(content):
        return {}
    if content[GIVEN].get(DEFAULTS_OF) != list(choice):
        return {}
    return {
        key: value
        for key, value in content.items()
        if key not in SETTLED and (key not in defaults or value != defaults[key])
    }


def is_unchanged(content: dict[str, Any]) -> bool:
    """Whether a run's ``config.yaml`` is as the run wrote it."""
    rest = {key: value for key, value in content.items() if key != GIVEN}
    told = content[GIVEN]
    return told.get(DIGEST) == _digest(rest, told.get(KEYS))


def _digest(content: dict[str, Any], given: Any) -> str:
    """SHA-256 of all keys and values and of those given, whatever their order in a file."""
    parts = [plain(part, "configuration") for part in (content, given)]
    text = pprint.saferepr(parts)  # sorted, keys of any type
    return hashlib.sha256(text.encode()).hexdigest()
