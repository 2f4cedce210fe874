"""What an item vocabulary is told by."""

from types import SimpleNamespace

import numpy as np

from recbole_peterrec.data.vocabulary import describe


def dataset_of(*tokens):
    table = {"item_id": np.array(["[PAD]", *tokens])}
    return SimpleNamespace(
        iid_field="item_id", item_num=len(tokens) + 1, field2id_token=table
    )


def test_other_items_are_another_vocabulary():
    given = describe(dataset_of("a", "bc"))
    assert given["items"] == 2
    assert describe(dataset_of("a", "bc")) == given
    for other in (("ab", "c"), ("bc", "a"), ("a", "bd")):
        assert describe(dataset_of(*other))["sha256"] != given["sha256"]
