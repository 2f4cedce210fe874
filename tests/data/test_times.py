"""Times that float32 blurs, and times that are missing, are told the same way however a file is read."""

from __future__ import annotations

import pytest

from recbole_peterrec.data.recbole_source import recbole_source
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.data.times import tell_misplaced
from recbole_peterrec.errors import DataError
from recbole_peterrec.tasks import read_tasks
from tests.toy import INTER, TARGET, write_table

START = 1_600_000_000  # unix seconds, which float32 tells 128 apart
LOADERS = pytest.mark.parametrize("cache", [None, 0], ids=["recbole", "streamed"])


def test_up_to_one_in_a_hundred_is_not_told():
    told = []
    tell_misplaced(2, 200, told.append)
    assert told == []
    tell_misplaced(3, 200, told.append)
    assert "3 of 200 interactions" in told[0]


def test_what_is_left_out_is_told_where_nothing_is_left(toy_config, tmp_path, caplog):
    rows = [("u1", "", 5, number) for number in range(5)]
    with pytest.raises(DataError, match="no interaction is left"):
        load(toy_config, tmp_path, rows, source_cache=0)
    assert "5 rows of" in caplog.text


def load(toy_config, tmp_path, rows, **keys):
    write_table(tmp_path / "data" / "own" / "own.inter", INTER, rows)
    config = toy_config(dataset="own", checkpoint_dir=str(tmp_path / "saved"), **keys)
    SequenceDataset(config).build()


@LOADERS
@pytest.mark.parametrize(
    ("seconds", "misplaced"),
    [((0, 1, 2, 1000), 0), ((2, 0, 1, 1000), 4), ((1000, 5, 0, 2000), 2)],
)
def test_interactions_that_float32_leaves_in_a_wrong_order_are_told(
    toy_config, tmp_path, caplog, cache, seconds, misplaced
):
    """Of 128 seconds each, so 0, 1, 2 and 5 are one; of both users. The second time, too."""
    rows = [
        (user, f"i{number}", number, START + second)
        for number, second in enumerate(seconds)
        for user in ("u1", "u2")
    ]
    for _ in range(2):  # what is streamed is there the second time
        caplog.clear()
        load(toy_config, tmp_path, rows, source_cache=cache)
    told = [record.message for record in caplog.records]
    assert len(told) == (misplaced > 0)
    assert all(
        f"{misplaced} of 8 interactions come after a later one" in line for line in told
    )


def task_by_time(toy_config, tmp_path, rows, group_by="user"):
    """A task whose split is by time, of these rows of users of the toy source."""
    names = ("user_id:token", "item_id:token", "timestamp:float")
    write_table(tmp_path / "data" / "shop" / "shop.inter", names, rows)
    split = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": group_by}
    task = {**TARGET, "eval_args": TARGET["eval_args"] | split}
    config = toy_config("PeterRec", tasks=[task])
    source = SequenceDataset(config)
    source.build()
    TaskDataset(read_tasks(config)[0].config, source).build()


def test_a_task_that_is_split_by_blurred_times_tells_so(toy_config, tmp_path, caplog):
    rows = [(f"u{u}", f"s{n}", START - 5 * n) for n in range(9) for u in range(3)]
    task_by_time(toy_config, tmp_path, rows)
    (told,) = [r.message for r in caplog.records if "float32" in r.message]
    assert told.startswith("task 'buy': 24 of 27 interactions come after a later one")


def test_times_that_order_all_users_rows_are_compared_over_all(
    toy_config, tmp_path, caplog
):
    """Of one row a user, no user's order is blurred."""
    rows = [(f"u{u}", f"s{u}", START - 5 * u) for u in range(9)]
    task_by_time(toy_config, tmp_path, rows, group_by="none")
    (told,) = [r.message for r in caplog.records if "float32" in r.message]
    assert "8 of 9 interactions come after a later one, since" in told


def test_a_task_s_missing_times_are_told(toy_config, tmp_path, caplog):
    rows = [("u1", f"s{n}", "" if n > 6 else n) for n in range(9)]
    task_by_time(toy_config, tmp_path, rows)
    (told,) = [r.message for r in caplog.records if "without a time" in r.message]
    assert told.startswith("task 'buy': 2 interactions")


@LOADERS
def test_what_tells_times_apart_leaves_none(toy_config, tmp_path, caplog, cache):
    rows = [("u1", f"i{number}", number, START - number) for number in range(9)]
    load(toy_config, tmp_path, rows, source_cache=cache, normalize_all=True)
    assert not caplog.records


@LOADERS
def test_interactions_without_a_time_are_told(toy_config, tmp_path, caplog, cache):
    rows = [("u1", "a", 5, 1), ("u1", "b", 5, ""), ("u1", "c", 5, "NA")]
    load(toy_config, tmp_path, rows, source_cache=cache)
    assert "2 interactions without a time count as at the mean" in caplog.text


def test_models_of_recbole_tell_of_them_too(toy_config, tmp_path, caplog):
    rows = [("u1", "a", 5, 1), ("u1", "b", 5, ""), ("u1", "c", 5, "NA")]
    write_table(tmp_path / "data" / "own" / "own.inter", INTER, rows)
    recbole_source(toy_config("SASRec", dataset="own"))
    assert "2 interactions without a time count as at the mean" in caplog.text
