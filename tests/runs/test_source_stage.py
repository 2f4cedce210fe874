"""The stage that trains, or takes over, a backbone."""

from __future__ import annotations

import pytest

from recbole_peterrec.runs.source_stage import SourceStage


@pytest.mark.parametrize("told", [True, False])
def test_a_backbone_of_an_earlier_version_is_not_said_to_know_other_rows(
    toy_config, caplog, told
):
    """Its record does not tell by which rows it was judged."""
    stage = SourceStage(toy_config())
    stage.tell_other_rows({"judged_by": "others"} if told else {})
    assert ("tested on other rows" in caplog.text) == told
    caplog.clear()
    stage.tell_other_rows({"judged_by": stage.judged_by()})
    assert caplog.records == []
