"""Item vocabularies, so that saved weights meet the ids that they were trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any


def describe(dataset) -> dict[str, Any]:
    """Field, number and SHA-256 of the item tokens of a dataset, in the order of their ids."""
    field, digest = dataset.iid_field, tokens_digest(item_tokens(dataset))
    return {"field": field, "items": dataset.item_num - 1, "sha256": digest}


def tokens_digest(tokens: Iterable[str]) -> str:
    """SHA-256 of tokens in their order."""
    digest = hashlib.sha256()
    for token in tokens:
        encoded = token.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def item_tokens(dataset) -> list[str]:
    """Tokens of the items by id, without padding: the first has id 1."""
    return [str(token) for token in dataset.field2id_token[dataset.iid_field][1:]]
