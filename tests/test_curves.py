"""The picture of a run's curves: together while they are few, apart and once where many."""

from __future__ import annotations

import struct

import pytest

from recbole_peterrec import curves, run
from recbole_peterrec.curves import TOGETHER, write_curves
from recbole_peterrec.results import write_results
from tests.toy import TASKS, settings, write_toy

RESULTS = {
    "model": "PeterRec",
    "dataset": "toy",
    "seed": 1,
    "pretrain": {"valid": {}, "test": {}, "epochs": 0, "seconds": 0.0},
    "tasks": {},
}


def histories(stages: int) -> dict:
    """Of every other stage one metric, of the others two."""
    return {
        f"task{n}": [
            {"epoch": e, "loss": 1.0, "mrr@5": e / 9}
            | ({"hit@5": e / 5} if n % 2 else {})
            for e in range(3)
        ]
        for n in range(stages)
    }


@pytest.fixture
def drawn(monkeypatch):
    """How many panels each picture has had."""
    panels, png = [], curves._png

    def counted(figure):
        panels.append(len(figure.axes))
        return png(figure)

    monkeypatch.setattr(curves, "_png", counted)
    return panels


def test_few_curves_are_drawn_together_each_time_and_not_again(tmp_path, drawn):
    for stages in (1, TOGETHER):
        write_results(tmp_path, RESULTS, histories(stages))
    write_curves(tmp_path, histories(TOGETHER), ended=True)
    assert drawn == [1, 2]  # a panel a metric


def test_many_curves_are_drawn_once_each_in_a_panel_of_its_own(tmp_path, drawn):
    for stages in range(TOGETHER + 1, 31):
        write_results(tmp_path, RESULTS, histories(stages))
    assert drawn == []
    write_curves(tmp_path, histories(30), ended=True)
    assert drawn == [30]
    png = (tmp_path / "curves.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert width == 1600 and height == 160 * (
        4 + 0.5
    )  # four rows of eight, and the legend


def test_a_picture_of_no_curves_is_one(tmp_path):
    write_curves(tmp_path, {})
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_lines_of_one_panel_differ_in_colour():
    for stages in (10, TOGETHER):
        figure = curves._one_panel_a_metric(histories(stages))
        lines = figure.axes[0].get_lines()
        assert len({line.get_color() for line in lines}) == stages


def test_a_run_of_many_stages_leaves_its_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "TOGETHER", 3)
    tasks = [{**TASKS[0], "name": f"gender{n}"} for n in range(4)]
    keys = settings(write_toy(tmp_path / "data"), tasks=tasks, state="ERROR")
    run_dir = tmp_path / "run"
    run("PeterRec", "toy", config_dict=keys | {"run_dir": str(run_dir)})
    stages = {
        line.split(",")[0]
        for line in (run_dir / "curves.csv").read_text().splitlines()[1:]
    }
    assert stages == {"pretraining", *(task["name"] for task in tasks)}
    png = (run_dir / "curves.png").read_bytes()
    assert struct.unpack(">II", png[16:24]) == (1600, 240)
