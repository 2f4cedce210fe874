"""Keys over more general ones, part by part."""

from __future__ import annotations

import pytest

from recbole_peterrec.settings.defaults import merged_keys


def test_other_keys_are_taken_whole():
    base = {"metrics": ["Hit"], "topk": [1], "val_interval": {"rating": "[1,3]"}}
    own = {"metrics": ["MRR"], "val_interval": {"age": "[1,3]"}}
    assert merged_keys(base, own) == {**base, **own}


@pytest.mark.parametrize("kinds", [3, None, {"profile": 3}, {"profile": None}])
def test_what_is_no_mapping_is_left_for_who_refuses_it(kinds):
    base = {
        "task_defaults": {"profile": {"topk": [1]}, "recommendation": {"topk": [5]}}
    }
    merged = merged_keys(base, {"task_defaults": kinds})["task_defaults"]
    if isinstance(kinds, dict):
        assert merged == {**base["task_defaults"], **kinds}
    else:
        assert merged == kinds
    assert (
        merged_keys({"task_defaults": kinds}, base)["task_defaults"]
        == base["task_defaults"]
    )
