"""Which tasks a run directory has."""

from __future__ import annotations

from recbole_peterrec.checkpoint import save_json
from recbole_peterrec.stored.listing import saved_tasks


def test_tasks_that_results_do_not_tell_of_come_behind_by_name(tmp_path):
    """As of a run that was stopped between the two files."""
    for name in ("b", "c", "a", "d"):
        save_json(tmp_path / "tasks" / name / "task.json", {})
    save_json(tmp_path / "results.json", {"tasks": {"d": {}, "b": {}, "gone": {}}})
    assert saved_tasks(tmp_path) == ["d", "b", "a", "c"]
