"""A task's rows against what RecBole's own reading gives of the same file."""

import io
import logging
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recbole.data.dataset import Dataset
from recbole.utils import FeatureSource
from tqdm import tqdm

from recbole_peterrec.config import Config
from recbole_peterrec.data import atomic, table
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import DataError
from recbole_peterrec.tasks import read_tasks
from tests.toy import TASKS, USER, user_rows, write_table, write_toy
from tests.toy import settings as toy_settings

TASK = {"name": "t", "kind": "profile", "field": "age", "bins": [20, 30]}
AGES = ["", "20", "19.5", "1e1", "1234567.891", "-3", "NaN", "NAN", " 7", "-0", "1e400"]
AGES += ["698526757856985405", "96163615913736312012", "1_000", "inf "]
COLUMNS = ("more:token", "user_id:token", "note:token_seq", "age:float", "job:token")
FIRST = [("x", "u0", "a b", "20", "7"), ("y", "u1", "", "35", "8")]
cells = st.tuples(
    st.sampled_from(["", "p", '"q', "NA", '"r s"']),
    st.sampled_from(["u2", "u3", "u007", " u4", "ü", "NA", "", "u5"]),
    st.sampled_from(["a", "a b", ""]),
    st.sampled_from(AGES),
    st.sampled_from(["7", "007", "7.0", "#c", "x'y", "None", "", '"two\nlines"']),
)


@pytest.fixture(scope="module")
def source():
    with tempfile.TemporaryDirectory() as folder:
        write_toy(Path(folder))
        dataset = SequenceDataset(Config("NextItNetAR", "toy", config_dict=toy(folder)))
        dataset.build()
        yield dataset


def toy(folder, **keys):
    return toy_settings(Path(folder), **{"tasks": [TASK]} | keys)


@pytest.mark.parametrize("field", ["age", "job"])
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(cells, max_size=20), piece=st.integers(1, 9))
def test_rows_are_those_of_recbole(source, field, rows, piece):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
        m.setattr(table, "PIECE", piece)
        path = Path(folder) / "toy" / "toy.user"
        write_table(path, COLUMNS, FIRST)
        config = Config("PeterRec", "toy", config_dict=toy(folder))
        task = read_tasks(config)[0].config
        task["ITEM_ID_FIELD"] = field
        if field != "age":
            task["bins"] = None
        dataset = TaskDataset(task, source)
        write_table(path, COLUMNS, FIRST + rows)
        try:
            expected = Dataset._load_feat(dataset, str(path), FeatureSource.INTERACTION)
        except ValueError:
            with pytest.raises(ValueError):
                dataset._load_feat(str(path), FeatureSource.INTERACTION)
            return
        told = told_of(dataset, field)
        found = dataset._load_feat(str(path), FeatureSource.INTERACTION)
        pd.testing.assert_frame_equal(found, expected)
        assert told == told_of(dataset, field)


def told_of(dataset, field):
    """What is known of the columns, which is forgotten."""
    names = ("field2source", "field2type", "field2seqlen", "field2bucketnum")
    return [
        {name: getattr(dataset, kind).pop(name, None) for name in ("user_id", field)}
        for kind in names
    ]


@pytest.mark.parametrize("separator", ["::", "§"])
def test_a_separator_may_have_several_bytes(tmp_path, source, separator):
    lines = [f"user_id:token{separator}age:token"]
    lines += [f"{user}{separator}{age}" for user, age, _ in user_rows(60, 2)]
    file = tmp_path / "toy" / "toy.user"
    file.parent.mkdir()
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    keys = toy(tmp_path, field_separator=separator)
    config = Config("PeterRec", "toy", config_dict=keys)
    dataset = TaskDataset(read_tasks(config)[0].config, source)
    ages = [age for _, age, _ in user_rows(60, 2)]
    assert len(dataset) == len(ages)
    young = dataset.inter_feat["age"] == dataset.token2id("age", "<20")
    assert young.sum() == sum(age < 20 for age in ages)


def test_long_whole_numbers_are_rounded_once(tmp_path, source):
    rows = [("u0", "698526757856985405", "F"), ("u1", "961636159137363120", "M")]
    header = ("user_id:token", "age:float", "gender:token")
    write_table(tmp_path / "toy" / "toy.user", header, rows)
    task = TASK | {"bins": None}
    config = Config("PeterRec", "toy", config_dict=toy(tmp_path, tasks=[task]))
    dataset = TaskDataset(read_tasks(config)[0].config, source)
    assert dataset.labels == [str(int(float(age))) for _, age, _ in rows]


@pytest.mark.parametrize("second", ["age:token", "age:float"])
def test_a_column_that_is_named_twice_is_refused(tmp_path, source, second):
    header = ("user_id:token", "age:token", second)
    write_table(tmp_path / "toy" / "toy.user", header, user_rows(60, 2))
    config = Config("PeterRec", "toy", config_dict=toy(tmp_path))
    with pytest.raises(DataError, match="names the column 'age' twice"):
        TaskDataset(read_tasks(config)[0].config, source)


PAIR = {"user_id": "token", "age": "token"}


def write_pairs(path, text, encoding="utf-8"):
    """A file of users and ages with this text; how it is read."""
    path.write_bytes(f"user_id:token\tage:token\n{text}".encode(encoding))
    columns = {"sep": "\t", "dtype": str, "encoding": encoding, "engine": "python"}
    args = str(path), PAIR, "\t", encoding, "task 't'"
    return lambda: table.read_table(*args), lambda: pd.read_csv(path, **columns)


def assert_same_pairs(found, expected):
    expected = expected.set_axis(list(PAIR), axis=1)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("blanks", [" ", "   "])
def test_blanks_before_a_user_stay_wherever_a_part_of_the_file_ends(tmp_path, blanks):
    """Its parser is given 2 ** 18 characters at a time."""
    length = 2**18 - 1 - len("user_id:token\tage:token\n")
    text = "u0\t7\n" * (length // 5 - 1)
    text += f"u0\t{'7' * (length - len(text) - 4)}\n" + f"{blanks}u1\t8\n" * 2
    read, recbole = write_pairs(tmp_path / "a.user", text)
    assert_same_pairs(read(), recbole())
    assert read()["user_id"].tolist()[-2:] == [f"{blanks}u1"] * 2


parts = ["NA", "\r\n", *'u1\t\t\n\n \r"#\\é\x0b\x0c\x1a\x1c\x85\xa0\u2028\u3000']


@settings(max_examples=300, deadline=None)
@given(
    # of a few of them each, so that lines alike come often
    text=st.lists(st.sampled_from(parts), min_size=2, max_size=6).flatmap(
        lambda few: st.lists(st.sampled_from([*few, "\t", "\n", "u"]), max_size=40)
    ),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
    piece=st.integers(1, 9),
)
@example(text=" u0\t1\ru1\t2\r u2\t3\r", encoding="utf-8", piece=9)
@example(text="u0\t1\n\x0c\nu1\t2\n", encoding="utf-8", piece=9)
def test_any_text_is_read_as_by_recboles_engine(text, encoding, piece):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
        m.setattr(table, "PIECE", piece)
        read, recbole = write_pairs(Path(folder) / "a", "".join(text), encoding)
        try:
            expected = recbole()
        except ValueError:
            return
        shifted = not isinstance(
            expected.index, pd.RangeIndex
        )  # by a row that is too long
        if not shifted:
            assert_same_pairs(read(), expected)


def test_quotation_marks_are_found_in_any_encoding(tmp_path):
    """pandas' fast engine would make one token of all lines between two of them."""
    text = '"Tis\t1\nu1\t2\n"Tis\t3\n'
    for read in write_pairs(tmp_path / "a.user", text, "cp037"):
        with pytest.raises(ValueError, match="expected after"):
            read()


def test_quoted_values_are_told_with_the_task_that_reads_them(tmp_path, source, caplog):
    rows = [("u0", '"20"', "F"), ("u1", "44", "M"), ("u2", "31", "F")]
    write_table(
        tmp_path / "toy" / "toy.user",
        ("user_id:token", "age:token", "gender:token"),
        rows,
    )
    config = Config("PeterRec", "toy", config_dict=toy(tmp_path))
    caplog.set_level(logging.INFO)
    dataset = TaskDataset(read_tasks(config)[0].config, source)
    assert "task 't'" in caplog.text and "quoted values" in caplog.text
    assert dataset.labels == ["20-30", "30+"]


def test_a_file_is_looked_through_once_for_all_its_tasks_and_again_when_it_changes(
    tmp_path, source, monkeypatch
):
    write_table(tmp_path / "toy" / "toy.user", USER, user_rows(60, 2))
    looked, rows = [], atomic._rows
    monkeypatch.setattr(
        atomic, "_rows", lambda *args: looked.append(args) or rows(*args)
    )
    config = Config("PeterRec", "toy", config_dict=toy(tmp_path, tasks=TASKS))
    for task in read_tasks(config):
        TaskDataset(task.config, source)
    assert len(looked) == 1
    more = [*user_rows(60, 2), ("u9", "30", "M", "x")]
    write_table(tmp_path / "toy" / "toy.user", USER, more)
    with pytest.raises(DataError, match=r"^task 'gender': .*line 62 has more values"):
        TaskDataset(read_tasks(config)[0].config, source)


@pytest.mark.parametrize("quoted", [False, True])
def test_reading_has_a_bar_of_the_file_s_bytes_where_it_is_asked_for(
    tmp_path, monkeypatch, quoted
):
    bars, hidden = [], []

    def bar(**settings):
        bars.append(tqdm(**settings, file=io.StringIO()))
        hidden.append(settings["disable"])
        return bars[-1]

    monkeypatch.setattr(table, "tqdm", bar)
    monkeypatch.setattr(table, "PIECE", 4)
    path = tmp_path / "t.inter"
    write_table(path, ["a:token"], [(f"v{n}",) for n in range(9)])
    if quoted:
        path.write_text(path.read_text() + '"q"\n')

    def read():
        pieces = table.read_pieces(str(path), {"a:token": str}, "\t", "utf-8", "source")
        return pd.concat(pieces)["a:token"].tolist()

    unseen = read()
    with table.shown(True):
        assert read() == unseen
    assert read() == unseen
    assert hidden == [True, False, True]
    assert bars[1].n == bars[1].total == path.stat().st_size
