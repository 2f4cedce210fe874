"""Numbers that are read in pieces against what RecBole's engine reads of the whole column."""

import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recbole_peterrec.data import table
from recbole_peterrec.data.numeric import Undecided
from tests.toy import write_table

KINDS = {"note:token": str, "x:float": np.float64, "y:float": np.float64}
# A whole number of 17 characters with zeros before it is beyond what is promised.
PADDED = re.compile(r"\s*[+-]?0[0-9_]{16,}")
ODD = ["NAN", "nAn", "1e400", "-1e400", "1_000", " 5", "5 ", "\xa05", "１", "0x10"]
ODD += ["inf", "-Infinity", "+5", "1e5", "5E-1", "True", "-0", "1e-400", ".5", "5."]
EDGES = [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**22]
gaps = st.sampled_from(["", "NA", "nan"])
whole = st.integers(-(2**65), 2**65) | st.sampled_from(EDGES) | st.integers(-9, 9)
digits = st.from_regex(r"[0-9]{0,12}\.[0-9]{1,20}(e-?[0-9]{1,2})?", fullmatch=True)
any_text = st.text("0123456789.eE+-_ infaN", max_size=24)
cells = st.sampled_from(
    [
        whole.map(str),
        whole.map(str) | gaps,
        st.floats().map(repr),
        whole.map(str) | digits | gaps,
        digits | st.sampled_from(ODD),
        st.sampled_from(["True", "False", "TRUE", "false", ""]),
        whole.map(str) | digits | gaps | st.sampled_from(ODD) | any_text,
    ]
).flatmap(
    lambda kind: st.lists(kind.filter(lambda text: not PADDED.match(text)), max_size=8)
)


@settings(max_examples=200, deadline=None)
@given(x=cells, y=cells, piece=st.integers(1, 9), note=st.sampled_from(["n", '"n"']))
@example(
    x=["698526757856985405"] * 2, y=["698526757856985405", "1.5"], piece=1, note="n"
)
@example(x=["1", "\xa05", "9", "0.5"], y=["1", "2", "3", "4"], piece=3, note="n")
@example(x=["0.12345678901234567890", "1_000"], y=["1", "2"], piece=1, note="n")
@example(
    x=["", "nAn", "1_000", "0.12345678901234567890"], y=["1"] * 4, piece=9, note="n"
)
@example(
    x=["9999999999999999999", "-1", "0.30000000000000004"],
    y=["True", "", ""],
    piece=1,
    note="n",
)
def test_numbers_are_those_of_recboles_engine(x, y, piece, note):
    length = min(len(x), len(y))
    rows = [(note, *row) for row in zip(x[:length], y[:length], strict=True)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
        m.setattr(table, "PIECE", piece)
        path = Path(folder) / "a.inter"
        write_table(path, list(KINDS), rows)
        try:
            expected = pd.read_csv(path, delimiter="\t", dtype=KINDS, engine="python")
        except ValueError:
            assert_refused_if_at_all(lambda: read_source(path))
            assert_refused_if_at_all(lambda: read_task(path))
            return
        found = read_source(path)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        found = read_task(path).set_axis(list(KINDS), axis=1)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def read_source(path):
    """In pieces: at once, or else exactly."""
    exact = False
    while True:
        read = table.read_numbers(str(path), KINDS, "\t", "utf-8", "source", exact)
        try:
            return pd.concat(read, ignore_index=True)
        except Undecided:
            assert not exact
            exact = True


def read_task(path):
    kinds = dict(name.split(":") for name in KINDS)
    return table.read_table(str(path), kinds, "\t", "utf-8", "task 't'")


def assert_refused_if_at_all(read):
    """A gap beside a number of 2 ** 63 or more, which RecBole's engine refuses, is no fault here."""
    try:
        read()
    except ValueError as error:
        assert "Unable to convert column" in str(error)
        assert "could not convert string to float: '" in str(error.__cause__)
