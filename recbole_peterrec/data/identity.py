"""Whether two stages read the same data, or are judged by the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np
from recbole.data.interaction import Interaction

from recbole_peterrec.data.loaders import SampledEvalDataLoader
from recbole_peterrec.data.whole_source import WholeSource


def data_digest(dataset, loaders: Iterable) -> str:
    """SHA-256 of all that a stage reads: users, items or labels with their columns, sequences, the
    rows of each split in their order, and the candidates that they are ranked against.

    Args:
        dataset: of the stage, built; one of ours or RecBole's.
        loaders: its three, and of the source's windows that are learned beside a task.
    """
    digest = hashlib.sha256()
    for field in (dataset.uid_field, dataset.iid_field):
        tokens = [str(token) for token in dataset.field2id_token[field]]
        digest.update(json.dumps(tokens).encode())
    if isinstance(dataset, WholeSource):
        for array in (dataset.sequences.start, dataset.sequences.items):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    # All rows of a task: those that train_share leaves out are no negatives either.
    tables = [dataset.inter_feat, dataset.user_feat, dataset.item_feat]
    tables += [loader._dataset.inter_feat for loader in loaders]
    for table in tables:
        rows = table.interaction if isinstance(table, Interaction) else {}
        for field in sorted(rows):
            digest.update(field.encode())
            digest.update(rows[field].contiguous().numpy().tobytes())
    for loader in loaders:
        if isinstance(loader, SampledEvalDataLoader):
            digest.update(loader.candidates.numpy().tobytes())
    return digest.hexdigest()


def judged_by(dataset, loader) -> str:
    """What a stage is judged by: the start of a SHA-256 of users and targets of its test rows in
    their order, all labels, and the candidates of each row where not all labels are ranked.
    """
    digest = hashlib.sha256()
    labels = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    digest.update(json.dumps(labels).encode())
    rows = loader._dataset.inter_feat
    for field in (dataset.uid_field, dataset.iid_field):
        tokens = dataset.field2id_token[field][rows[field].numpy()]
        digest.update(json.dumps([str(token) for token in tokens]).encode())
    if isinstance(loader, SampledEvalDataLoader):
        digest.update(loader.candidates.numpy().tobytes())
    return digest.hexdigest()[:16]
