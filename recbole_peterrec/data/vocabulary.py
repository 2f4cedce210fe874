"""Item vocabularies, so that saved weights meet the ids that they were trained on."""

from __future__ import annotations

import hashlib


def fingerprint(dataset, field: str) -> str:
    """SHA-256 of a field's tokens in the order of their ids."""
    digest = hashlib.sha256()
    for token in dataset.field2id_token[field]:
        encoded = str(token).encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
