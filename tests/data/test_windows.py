"""Every interaction is a target exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.data.windows import cut_windows


@given(
    runs=st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=6
    ),
    max_length=st.integers(1, 12),
    data=st.data(),
)
def test_each_target_is_in_one_window_with_its_history(runs, max_length, data):
    overlap = data.draw(st.integers(0, max_length - 1))
    begin, first, stop, position = [], [], [], 0
    for history, targets in runs:
        begin.append(position)
        first.append(position + history)
        stop.append(position + history + targets)
        position = stop[-1]
    begin, first, stop = map(np.array, (begin, first, stop))
    windows = cut_windows(begin, first, stop, max_length, overlap)

    seen = []
    for start, end, targets in zip(
        windows.start, windows.stop, windows.targets, strict=True
    ):
        run = np.searchsorted(begin, start, side="right") - 1
        target = end - targets
        assert begin[run] <= start < target
        assert end - start <= max_length + 1
        context = target - start
        available = target - begin[run]
        assert context >= min(overlap + 1, available)
        seen.extend(range(target, end))
    expected = [t for a, b in zip(first, stop, strict=True) for t in range(a, b)]
    assert sorted(seen) == expected


def test_windows_by_hand():
    windows = cut_windows(np.array([0]), np.array([1]), np.array([9]), 4, 1)
    assert list(zip(windows.start, windows.stop, windows.targets, strict=True)) == [
        (0, 5, 4),
        (3, 8, 3),
        (6, 9, 1),
    ]


def test_an_overlap_as_long_as_the_window_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        cut_windows(np.array([0]), np.array([1]), np.array([5]), 3, 3)


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(3, [(0, 3, 2)]), (5, [(0, 5, 4)]), (8, [(0, 5, 4), (3, 8, 3)])],
)
def test_no_window_is_without_a_target(stop, expected):
    windows = cut_windows(np.array([0]), np.array([1]), np.array([stop]), 4, 1)
    assert (
        list(zip(windows.start, windows.stop, windows.targets, strict=True)) == expected
    )
