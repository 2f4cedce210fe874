"""What a saved run's JSON files must tell, and what they may leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.stored.header import read_header, require_pretrained

RUN = Path("somewhere")


def test_a_file_of_another_format_is_refused_whatever_else_it_tells(tmp_path):
    path = tmp_path / "backbone.json"
    save_json(path, {"format": 1, "model": "GRec"})
    assert read_header(path, {"model": str})["model"] == "GRec"
    save_json(path, {"format": 2, "model": "GRec"})
    with pytest.raises(CheckpointError, match="has format 2, not 1"):
        read_header(path, {"model": str})


def test_a_backbone_that_was_trained_without_rows_to_judge_it_is_pretrained():
    require_pretrained(RUN, {"valid": {}, "test": {}, "epochs": 3})
    with pytest.raises(CheckpointError, match="nothing was pretrained"):
        require_pretrained(RUN, {"valid": {}, "test": {}, "epochs": 0})


def test_a_backbone_that_was_only_handed_on_is_pretrained():
    """Its run has trained no epoch, and tells of the metrics that it came with."""
    require_pretrained(RUN, {"valid": {}, "test": {"mrr@5": 0.1}, "epochs": 0})
