"""Whether a run goes on with the data that it began with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from recbole_peterrec.data.whole_source import WholeSource


def data_digest(dataset, loaders: Iterable) -> str:
    """SHA-256 of all that a stage reads: users, items or labels, sequences, and the rows of each
    split, in their order.

    Args:
        dataset: of the stage, built; one of ours or RecBole's.
        loaders: its three.
    """
    digest = hashlib.sha256()
    for field in (dataset.uid_field, dataset.iid_field):
        tokens = [str(token) for token in dataset.field2id_token[field]]
        digest.update(json.dumps(tokens).encode())
    if isinstance(dataset, WholeSource):
        for array in (dataset.sequences.start, dataset.sequences.items):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    for loader in loaders:
        rows = loader._dataset.inter_feat.interaction
        for field in sorted(rows):
            digest.update(field.encode())
            digest.update(rows[field].contiguous().numpy().tobytes())
    return digest.hexdigest()
