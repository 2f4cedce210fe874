"""What a saved run's JSON files must tell, and what they may leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.stored.header import (
    read_header,
    require_pretrained,
    require_record,
)

RUN = Path("somewhere")
TRAINED = {"valid": {}, "test": {}, "epochs": 3, "seconds": 0.5}
TASK = TRAINED | {
    "instances": {"train": 3},
    "labels": 2,
    "trainable_parameters": 5,
    "total_parameters": 9,
}


def test_a_file_of_another_format_is_refused_whatever_else_it_tells(tmp_path):
    path = tmp_path / "backbone.json"
    save_json(path, {"format": 1, "model": "GRec"})
    assert read_header(path, {"model": str})["model"] == "GRec"
    save_json(path, {"format": 2, "model": "GRec"})
    with pytest.raises(CheckpointError, match="has format 2, not 1"):
        read_header(path, {"model": str})


def test_a_backbone_that_was_trained_without_rows_to_judge_it_is_pretrained():
    require_pretrained(RUN, TRAINED | {"epochs": 3})
    with pytest.raises(CheckpointError, match="nothing was pretrained"):
        require_pretrained(RUN, TRAINED | {"epochs": 0})


def test_a_backbone_that_was_only_handed_on_is_pretrained():
    """Its run has trained no epoch, and tells of the metrics that it came with."""
    require_pretrained(RUN, TRAINED | {"test": {"mrr@5": 0.1}, "epochs": 0})


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": None},
        {"epochs": "three"},
        {"seconds": 10**400},
        {"test_after_all": 3},
        {"test_after_all": {"mrr@5": "high"}},
        {"before_pruning": {"test": 0.1}},
        {"label_cs": [0.5]},
        {"prune_ratio": "auto"},
        {"capacity_free": None},
        {"trainable_parameters": "all"},
        {"pretrain_test": {"mrr@5": True}},
    ],
    ids=str,
)
def test_a_record_of_which_no_table_can_be_made_is_refused(odd):
    require_pretrained(RUN, TRAINED)
    require_record(TASK, "t")
    with pytest.raises(CheckpointError, match="no usable metrics of pretraining"):
        require_pretrained(RUN, TRAINED | odd)
    with pytest.raises(CheckpointError, match="t has no usable record"):
        require_record(TASK | odd, "t")


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_no_json(tmp_path, name):
    path = tmp_path / "backbone.json"
    path.write_text(f'{{"format": 1, "seconds": {name}}}')
    with pytest.raises(CheckpointError, match="is no number"):
        read_header(path, {})
