"""Times that float32 blurs, and times that are missing, are told the same way however a file is read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.times import count_blurred, tell_blurred
from tests.toy import INTER, write_table

START = 1_600_000_000  # unix seconds, which float32 tells 128 apart
LOADERS = pytest.mark.parametrize("cache", [None, 0], ids=["recbole", "streamed"])


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(START, START + 1000) | st.just(7))
    )
)
def test_blurred_times_are_those_that_differ_in_no_float32(rows):
    expected = 0
    for user in (1, 2, 3):
        times = sorted(time for owner, time in rows if owner == user)
        expected += sum(
            before < time and np.float32(before) == np.float32(time)
            for before, time in itertools.pairwise(times)
        )
    users = np.array([user for user, _ in rows], dtype=np.int64)
    times = np.array([time for _, time in rows], dtype=np.float64)
    assert count_blurred(users, times) == expected


def test_up_to_one_in_a_hundred_is_not_told(caplog):
    tell_blurred(2, 200)
    assert not caplog.records
    tell_blurred(3, 200)
    assert "3 of 200 interactions" in caplog.text


def load(toy_config, tmp_path, rows, **keys):
    write_table(tmp_path / "data" / "own" / "own.inter", INTER, rows)
    config = toy_config(dataset="own", checkpoint_dir=str(tmp_path / "saved"), **keys)
    SequenceDataset(config).build()


@LOADERS
def test_seconds_that_float32_makes_one_are_told(toy_config, tmp_path, caplog, cache):
    # Of 128 seconds each: 0, 1 and 2 are one; 1000 is another.
    rows = [
        (user, f"i{number}", 5, START + seconds)
        for user in ("u1", "u2")
        for number, seconds in enumerate((2, 0, 1, 1000))
    ]
    load(toy_config, tmp_path, rows, source_cache=cache)
    assert "4 of 8 interactions are later than the user's one before" in caplog.text


@LOADERS
def test_what_tells_times_apart_is_told_of_no_more(toy_config, tmp_path, caplog, cache):
    rows = [("u1", f"i{number}", number, START + number) for number in range(9)]
    load(toy_config, tmp_path, rows, source_cache=cache, normalize_all=True)
    assert not caplog.records


@LOADERS
def test_interactions_without_a_time_are_told(toy_config, tmp_path, caplog, cache):
    rows = [("u1", "a", 5, 1), ("u1", "b", 5, ""), ("u1", "c", 5, "NA")]
    load(toy_config, tmp_path, rows, source_cache=cache)
    assert "2 interactions without a time count as at the mean" in caplog.text
