"""What is streamed against what RecBole itself loads from the same file, to the last bit."""

import copy
import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recbole.data.dataset import SequentialDataset

from recbole_peterrec.config import Config
from recbole_peterrec.data import columnar, sequences, table
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import DataError
from tests.toy import settings as toy_settings
from tests.toy import write_table

HEADER = (
    "user_id:token",
    "kind:token",
    "item_id:token",
    "rating:float",
    "timestamp:float",
)
FIELDS = [column.partition(":")[0] for column in HEADER]
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
HELD_OUT = {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "RO", "group_by": "none"}
BY_TIME = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user"}
AWKWARD = ["7", "007", "7.0", " a", "a ", "A", "ü", "x'y", "#c", "1e3", "True", "[PAD]"]
QUOTED = ['a"b', '"p q"', '"say ""hi"""', '"two\nlines"', "z\u2028z", "-0"]
MISSING = ["", "NA", "nan", "None", '""']
users = st.sampled_from(["u1", "u2", "u3"] * 12 + AWKWARD + QUOTED)
items = st.sampled_from([f"i{n}" for n in range(6)] * 7 + AWKWARD + QUOTED)
times = ["0", "1", "1.5", "-3", "1e3", "881250949", "881250950", "1600000000123", "inf"]
LONG = [
    "4.4999999999999999999",
    "0.30000000000000004",
    "1600000000123456789",
    "1_0",
    "NAN",
]


def rows_of(users, items):
    cells = (
        users,
        st.sampled_from(["a", "b", "c", "NA"]),
        items,
        st.sampled_from(["1", "3", "4", "4.5", "5", "", "NaN"]),
        st.sampled_from(times) | st.sampled_from(MISSING),
    )
    long = (*cells[:3], *(cell | st.sampled_from(LONG) for cell in cells[3:]))
    sizes = {"min_size": 20, "max_size": 70}
    return st.lists(st.tuples(*cells), **sizes) | st.lists(st.tuples(*long), **sizes)


# RecBole cannot tell rows without a user from rows without an item where there are both.
rows = rows_of(users | st.sampled_from(MISSING), items) | rows_of(
    users, items | st.sampled_from(MISSING)
)
chosen = st.fixed_dictionaries(
    {
        "rm_dup_inter": st.sampled_from([None, None, "first", "last", False]),
        "val_interval": st.sampled_from(
            [
                None,
                {"rating": "[1,4.5)"},
                {"rating": "[0,1];(3,5]", "kind": ["a", "c"]},
                {"timestamp": "[0,inf)"},
            ]
        ),
        "user_inter_num_interval": st.sampled_from([None, "[0,inf)", "[2,inf)"]),
        "item_inter_num_interval": st.sampled_from(["[0,inf)", "(1,4]", "[2,inf)"]),
        "normalize_all": st.sampled_from([None, True]),
        "recent_interactions": st.sampled_from([None, 3]),
        "eval_args": st.sampled_from([LEAVE_ONE_OUT, LEAVE_ONE_OUT, HELD_OUT, BY_TIME]),
        "MAX_ITEM_LIST_LENGTH": st.sampled_from([3, 10]),
    }
)


@functools.cache
def base(model):
    keys = toy_settings(Path("nowhere"), load_col={"inter": FIELDS})
    return Config(model, "odd", config_dict=keys)


def config(folder, model="NextItNetAR", cache=None, **changes):
    """Of the dataset ``odd``; `cache` is ``source_cache``. Not checked anew, which takes long."""
    made = copy.copy(base(model))
    made.final_config_dict = {
        **base(model).final_config_dict,
        "data_path": str(folder / "odd"),
        "checkpoint_dir": str(folder / "saved"),
        "source_cache": cache,
        **changes,
    }
    return made


def write(folder, rows):
    write_table(folder / "odd" / "odd.inter", HEADER, rows)


def assert_same_arrays(ours, theirs):
    for name in ("items", "times", "start", "user_tokens", "item_tokens"):
        mine, other = getattr(ours.sequences, name), getattr(theirs.sequences, name)
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)
    for field in ("user_id", "item_id"):
        assert ours.field2token_id[field] == theirs.field2token_id[field]


def assert_same_rows(ours, theirs):
    columns = set(ours.inter_feat.columns) & set(theirs.inter_feat.columns)
    for column in columns:
        torch.testing.assert_close(
            ours.inter_feat[column],
            theirs.inter_feat[column],
            rtol=0,
            atol=0,
            equal_nan=True,
        )


@settings(max_examples=40, deadline=None)
@given(rows=rows, keys=chosen, cut=st.integers(3, 5))
def test_ids_order_filters_and_rows_are_those_of_recboles_loading(rows, keys, cut):
    rows = [*rows, ("",), rows[0][:cut], rows[-1]]  # a blank line and a short one
    if keys["normalize_all"]:  # infinity has no place between 0 and 1
        rows = [tuple("5" if cell == "inf" else cell for cell in row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write(folder, rows)
        try:
            theirs = SequenceDataset(config(folder, **keys))
            their_parts = theirs.build()
        except DataError:  # nothing is left: neither loads it
            with pytest.raises(DataError):
                SequenceDataset(config(folder, cache=0, **keys))
            return
        ours = SequenceDataset(config(folder, cache=0, **keys))
        parts = ours.build()
        assert list((folder / "saved" / "cache").glob("odd-*"))
        assert_same_arrays(ours, theirs)
        for mine, other in zip(parts, their_parts, strict=True):
            assert mine.inter_feat.columns == other.inter_feat.columns
            assert_same_rows(mine, other)
        if keys["eval_args"]["order"] == "TO" and not keys["recent_interactions"]:
            plain = SequentialDataset(config(folder, "SASRec", **keys)).build()
            for mine, other in zip(parts[1:], plain[1:], strict=True):
                assert_same_rows(mine, other)
                assert len(mine) == len(other)


@settings(max_examples=12, deadline=None)
@given(rows=rows, size=st.integers(1, 9))
def test_sizes_of_pieces_and_blocks_change_nothing(rows, size):
    read = []
    for piece, block in ((table.PIECE, columnar.BLOCK), (size, size)):
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
            m.setattr(table, "PIECE", piece)
            m.setattr(columnar, "BLOCK", block)
            m.setattr(sequences, "AT_ONCE", block)
            write(Path(folder), rows)
            try:
                read.append(SequenceDataset(config(Path(folder), cache=0)))
            except DataError as error:
                read.append(str(error).replace(folder, ""))
    if any(isinstance(found, str) for found in read):
        assert read[0] == read[1]
        return
    assert_same_arrays(*read)


def test_sequences_by_hand(tmp_path):
    rows = [
        ("b", "x", "i9", 1, 30),
        ("a", "x", "i5", 1, 20),
        ("b", "x", "i5", 1, 10),
        ("a", "x", "i7", 1, 20),
        ("b", "x", "i7", 1, 20),
    ]
    write(tmp_path, rows)
    found = SequenceDataset(config(tmp_path, cache=0)).sequences
    assert found.user_tokens.tolist() == ["[PAD]", "b", "a"]
    assert found.item_tokens.tolist() == ["[PAD]", "i9", "i5", "i7"]
    assert found.start.tolist() == [0, 0, 3, 5]
    assert found.items.tolist() == [2, 3, 1, 2, 3]
    assert found.times.tolist() == [10, 20, 30, 20, 20]


@pytest.mark.parametrize("cache", [0, None])
def test_rows_without_user_beside_rows_without_item_are_refused(tmp_path, cache):
    """RecBole takes the labels of the latter for positions, and drops other rows."""
    rows = [("u", "x", f"i{n}", 1, n) for n in range(5)]
    write(tmp_path, [("", "x", "i1", 1, 0), *rows, ("u", "x", "", 1, 9)])
    with pytest.raises(DataError, match="1 rows without user and 1 without item"):
        SequenceDataset(config(tmp_path, cache=cache))


@pytest.mark.parametrize("cache", [0, None])
@pytest.mark.parametrize("absent", ["user", "item"])
def test_rows_that_are_left_out_are_counted_in_one_line(
    tmp_path, caplog, absent, cache
):
    rows = [("u", "x", f"i{n}", n, n) for n in range(5)]
    gap = ("", "x", "i9", 1, 9) if absent == "user" else ("u", "x", "", 1, 9)
    write(tmp_path, [gap, *rows, gap])
    found = SequenceDataset(config(tmp_path, cache=cache))
    assert len(found.inter_feat if cache is None else found.sequences) == 5
    messages = [record.message for record in caplog.records]
    path = tmp_path / "odd" / "odd.inter"
    assert messages == [f"source: 2 rows of {path} without {absent} left out"]


@pytest.mark.parametrize(
    "items", [('"Tis', '"Tis'), ('"a"b', "c"), ('"a" ', "c")], ids=["open", "b", " "]
)
@pytest.mark.parametrize("cache", [None, 0])
def test_quotes_that_recbole_refuses_are_refused(tmp_path, items, cache):
    """pandas' fast engine would make one token of all lines between two of them."""
    write(tmp_path, [(f"u{n}", "x", f"i{n}", 1, n) for n in range(9)])
    with open(tmp_path / "odd" / "odd.inter", "a") as file:
        file.writelines(f"u1\tx\t{item}\t1\t5\nu2\tx\ti2\t1\t6\n" for item in items)
    with pytest.raises(DataError, match="expected after"):
        SequenceDataset(config(tmp_path, cache=cache))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u\tx\ti\0j\t1\t5", "NUL"),
        ('"u\tx\ti\t1\t5', "unexpected end of data"),
        ("u\tx\ti\udcff\t1\t5", "codec can't decode"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_file(tmp_path, line, message):
    write(tmp_path, [("u", "x", "i", 1, 1), ("u", "x", "j", 1, 2)])
    file = tmp_path / "odd" / "odd.inter"
    with open(file, "a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(line + "\n")
    with pytest.raises(DataError, match=message) as error:
        SequenceDataset(config(tmp_path, cache=0))
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("saved/cache/odd*"))


@pytest.mark.parametrize("cell", ["noon", "0x10", "1e 5", "True"])
@pytest.mark.parametrize("cache", [0, None])
def test_what_is_no_number_is_one_line_with_file_column_and_value(
    tmp_path, cell, cache
):
    write(tmp_path, [("u", "x", "i", 1, 1), ("u", "x", "j", 1, cell)])
    with pytest.raises(DataError) as error:
        SequenceDataset(config(tmp_path, cache=cache))
    message = str(error.value)
    assert message.startswith(
        f"source: {tmp_path}/odd/odd.inter: Unable to convert column time"
    )
    assert (
        f"could not convert string to float: {cell!r}; a float column holds" in message
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    "keys",
    [
        {"val_interval": {"rating": "[9,9]"}},
        {"user_inter_num_interval": "[1000,inf)"},
    ],
)
def test_filters_that_leave_nothing_are_named(tmp_path, keys):
    write(tmp_path, [("u", "x", f"i{n}", 1, n) for n in range(5)])
    with pytest.raises(DataError, match=f"no interaction is left.*{next(iter(keys))}"):
        SequenceDataset(config(tmp_path, cache=0, **keys))


def test_header_alone_has_no_interaction(tmp_path):
    write(tmp_path, [])
    with pytest.raises(DataError, match="no interaction is left"):
        SequenceDataset(config(tmp_path, cache=0))


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"alias_of_item_id": ["kind"]}, HEADER),
        ({"load_col": None}, (*HEADER[:1], "kind:token_seq", *HEADER[2:])),
    ],
)
def test_what_streaming_does_not_do_is_left_to_recbole(tmp_path, keys, header):
    rows = [("u", "x", f"i{n}", 1, n) for n in range(5)]
    write_table(tmp_path / "odd" / "odd.inter", header, rows)
    dataset = SequenceDataset(config(tmp_path, cache=0, **keys))
    assert dataset.sequences is None
    dataset.build()
    assert len(dataset.sequences) == 5
    assert not (tmp_path / "saved").exists()


def test_small_files_are_loaded_by_recbole_and_leave_nothing(tmp_path):
    write(tmp_path, [("u", "x", f"i{n}", 1, n) for n in range(5)])
    assert SequenceDataset(config(tmp_path, cache=1)).sequences is None
    assert not (tmp_path / "saved").exists()


def test_the_whole_is_told_as_by_recbole(tmp_path):
    """Numbers of interactions, users and items, before and after a split."""
    rows = [(f"u{n % 3}", "x", f"i{n % 7}", 1, n) for n in range(20)]
    write(tmp_path, rows)
    theirs = SequentialDataset(config(tmp_path, "SASRec"))
    ours = SequenceDataset(config(tmp_path, cache=0))
    for _ in range(2):
        for told in ("inter_num", "avg_actions_of_users", "user_num", "sparsity"):
            assert getattr(ours, told) == getattr(theirs, told)
        assert ours.avg_actions_of_items == pytest.approx(theirs.avg_actions_of_items)
        assert ours.user_counter == theirs.user_counter
        assert ours.item_counter == theirs.item_counter
        assert "The number of inters" in str(ours)
        part = ours.build()[1]
        assert part.inter_num == len(part) == 3


@pytest.mark.parametrize("column", ["timestamp", "rating"])
def test_columns_that_are_normalized_alone_are_those_of_recbole(tmp_path, column):
    keys = {"normalize_field": [column], "normalize_all": None}
    write(tmp_path, [("u", "x", f"i{n}", n, 10 * n) for n in range(5)])
    theirs = SequenceDataset(config(tmp_path, **keys))
    theirs.build()
    ours = SequenceDataset(config(tmp_path, cache=0, **keys))
    assert list((tmp_path / "saved" / "cache").glob("odd-*"))
    assert_same_arrays(ours, theirs)


@pytest.mark.parametrize("kept", ["first", "last", False])
def test_duplicates_are_dropped_before_values_are_looked_at(tmp_path, kept):
    rows = [("u", "x", "i0", 1, 0), ("u", "x", "i0", 5, 1), ("u", "x", "i1", 5, 2)]
    write(
        tmp_path,
        [*rows, ("u", "x", "i1", 1, 3), ("u", "x", "i2", 5, 4), ("u", "x", "i3", 5, 5)],
    )
    keys = {"rm_dup_inter": kept, "val_interval": {"rating": "[4,5]"}}
    theirs = SequenceDataset(config(tmp_path, **keys))
    theirs.build()
    ours = SequenceDataset(config(tmp_path, cache=0, **keys))
    assert_same_arrays(ours, theirs)
    assert len(ours.sequences) == (2 if kept is False else 3)


@pytest.mark.parametrize("source", ["user", "item"])
def test_a_file_of_users_or_items_is_left_to_recbole(tmp_path, source):
    """Who or what is not in it has no interaction."""
    write(tmp_path, [(f"u{n % 2}", "x", f"i{n // 2}", 1, n) for n in range(12)])
    known = [("u1",)] if source == "user" else [("i1",), ("i4",)]
    write_table(tmp_path / "odd" / f"odd.{source}", (f"{source}_id:token",), known)
    columns = {"inter": FIELDS, source: [f"{source}_id"]}
    dataset = SequenceDataset(config(tmp_path, cache=0, load_col=columns))
    dataset.build()
    assert len(dataset.sequences) == (6 if source == "user" else 4)


@pytest.mark.parametrize("cache", [0, None])
def test_two_ways_to_normalize_are_refused_as_by_recbole(tmp_path, cache):
    write(tmp_path, [("u", "x", f"i{n}", 1, n) for n in range(5)])
    keys = {"normalize_field": ["timestamp"], "normalize_all": True}
    with pytest.raises(DataError, match="ormalize_field and normalize_all"):
        SequenceDataset(config(tmp_path, cache=cache, **keys))
