"""Item vocabularies, so that saved weights meet the ids that they were trained on."""

from __future__ import annotations

import hashlib
from typing import Any


def describe(dataset) -> dict[str, Any]:
    """Field, number and SHA-256 of the item tokens of a dataset, in the order of their ids."""
    digest = hashlib.sha256()
    for token in item_tokens(dataset):
        encoded = token.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    field = dataset.iid_field
    return {"field": field, "items": dataset.item_num - 1, "sha256": digest.hexdigest()}


def item_tokens(dataset) -> list[str]:
    """Tokens of the items by id, without padding: the first has id 1."""
    return [str(token) for token in dataset.field2id_token[dataset.iid_field][1:]]
