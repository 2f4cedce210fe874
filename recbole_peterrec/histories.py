"""What users' histories are, as item tokens, to a saved backbone."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.data.vocabulary import tokens_digest
from recbole_peterrec.errors import CheckpointError, DataError


class Histories:
    """Reads them by the item vocabulary of a run.

    Args:
        run_dir: of the run.
        header: its ``backbone.json``.
        items: size of the backbone's vocabulary, the padding index 0 included.

    Attributes:
        tokens: of the items ``1 .. items - 1``.

    Raises:
        CheckpointError: ``vocabulary.json`` is missing, damaged or not the backbone's.
    """

    def __init__(self, run_dir: Path, header: Mapping[str, Any], items: int) -> None:
        tokens = load_json(run_dir / "vocabulary.json").get("items")
        told = header["vocabulary"].get("sha256")
        texts = isinstance(tokens, list) and all(isinstance(t, str) for t in tokens)
        if not texts or len(tokens) != items - 1 or tokens_digest(tokens) != told:
            raise CheckpointError(
                f"{run_dir}: vocabulary.json does not fit its backbone"
            )
        self.tokens: list[str] = tokens
        self._ids = {token: i for i, token in enumerate(tokens, 1)}

    def of_users(self, histories: Sequence[Sequence[str]]) -> list[list[int]]:
        """Ids of the items of each user, as of :meth:`of_user`.

        Raises:
            DataError: no user, something else than lists of texts or whole numbers, or a history
                without any known item.
        """
        if not _is_list(histories) or not len(histories):
            raise DataError(
                f"histories must be lists of item tokens, got {histories!r}"
            )
        rows = [self.of_user(h, f"history {i}") for i, h in enumerate(histories)]
        unknown = [number for number, ids in enumerate(rows) if not ids]
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise DataError(
                f"history {unknown[0]}{more} has no item that the backbone knows; leave such users "
                f"out, of whom knows(history) is False"
            )
        return rows

    def of_user(self, history: Sequence[str], name: str) -> list[int]:
        """Ids of a history's items, unknown ones left out.

        Args:
            history: item tokens in the order of time.
            name: of the history, for messages.

        Raises:
            DataError: something else than a list of texts or whole numbers.
        """
        if not _is_list(history):
            raise DataError(f"{name} must be a list of item tokens, got {history!r}")
        tokens = history.tolist() if hasattr(history, "tolist") else history
        for token in tokens:
            if not isinstance(token, (str, numbers.Integral)):
                raise DataError(
                    f"{name}: item tokens are texts or whole numbers, got {token!r}"
                )
        return [self._ids[str(token)] for token in tokens if str(token) in self._ids]


def _is_list(value: object) -> bool:
    """Whether a value has an order and a length; a text, whose letters may be items, is none."""
    if getattr(value, "ndim", 1) == 0:  # an array of one number
        return False
    ordered = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return ordered and not isinstance(value, (str, bytes, Mapping))
