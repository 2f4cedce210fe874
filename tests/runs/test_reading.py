"""A run tells where a task's pooling cannot read the whole histories."""

import pytest

from recbole_peterrec import run
from recbole_peterrec.nn.dilated import DilatedArchitecture
from recbole_peterrec.runs.task_stage import items_read
from tests.toy import TARGET, settings, write_toy


@pytest.mark.parametrize(
    ("pooling", "causal", "read"),
    [
        ("tcl_end", True, 6),  # two layers of taps at distances 1 and 2 reach 2 + 4
        ("last", True, 7),
        ("tcl_end", False, 3),
        ("tcl_both", False, 6),
        ("mean", True, 50),
        ("sum", False, 50),
    ],
)
def test_items_that_a_pooling_reads(pooling, causal, read):
    network = DilatedArchitecture(30, 8, 3, (1,), causal, "pre")
    assert items_read(network, pooling, 50) == read
    assert items_read(network, pooling, 2) == 2


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, False),
        ({"pooling": "tcl_end"}, True),
        ({"pooling": "tcl_end", "MAX_ITEM_LIST_LENGTH": 6}, False),
        ({"pooling": "tcl_end", "dilations": [1, 4]}, False),
    ],
)
def test_a_run_says_what_a_task_does_not_read(tmp_path, capsys, keys, told):
    data = write_toy(tmp_path / "data")
    # A task's histories are as long as its kind's default says, unless it says so itself.
    task = {**TARGET, "MAX_ITEM_LIST_LENGTH": keys.get("MAX_ITEM_LIST_LENGTH", 50)}
    run_dir = str(tmp_path / "run")
    values = settings(data, tasks=[task], state="WARNING", run_dir=run_dir)
    run("PeterRec", "toy", config_dict=values | keys)
    warning = (
        "task 'buy': pooling tcl_end reads the last 6 items of histories of up to 12"
    )
    assert (warning in capsys.readouterr().err) is told
