"""What a stage is judged by is the same exactly where its figures compare."""

from __future__ import annotations

import copy

import pytest

from recbole_peterrec.data.identity import judged_by
from recbole_peterrec.runs.source_stage import SourceStage


@pytest.fixture
def stage(toy_config):
    """A source whose test rows are ranked against sampled candidates."""
    return SourceStage(toy_config("NextItNetAR", eval_args={"mode": "uni5"}))


def judged(stage) -> str:
    return judged_by(stage.dataset, stage.loaders[2])


def test_two_that_are_judged_alike_are_told_so(stage, toy_config):
    other = toy_config("GRU4Rec", eval_args={"mode": "uni5"}, dilations=None, epochs=3)
    assert judged(SourceStage(other)) == judged(stage)


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_other_users_or_targets_are_told_apart(stage, column):
    before = judged(stage)
    rows = stage.loaders[2]._dataset.inter_feat
    rows.interaction[column] = rows[column].flip(0)
    assert judged(stage) != before


def test_other_candidates_are_told_apart(stage, toy_config):
    before = judged(stage)
    stage.loaders[2].candidates[0, 0] += 1
    assert judged(stage) != before
    full = SourceStage(toy_config("NextItNetAR", eval_args={"mode": "full"}))
    assert judged(full) not in (before, judged(stage))


def test_other_labels_are_told_apart_also_where_no_row_has_them(stage):
    before = judged(stage)
    stage.dataset.field2id_token = copy.deepcopy(stage.dataset.field2id_token)
    labels = stage.dataset.field2id_token["item_id"]
    targets = stage.loaders[2]._dataset.inter_feat["item_id"].tolist()
    (spare, *_) = set(range(1, len(labels))) - set(targets)
    labels[spare] = "another"
    assert judged(stage) != before
