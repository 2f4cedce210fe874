"""Files and columns of the source."""

from __future__ import annotations

import errno

import pandas as pd
import pytest

from tests.bad_input.case import GENDER, holds
from tests.toy import INTER, inter_rows, write_table


@pytest.mark.parametrize("tasks", [[GENDER], None])
def test_missing_dataset_names_the_folder_and_what_to_do(case, tasks):
    message = case.error(dataset="nowhere", tasks=tasks)
    holds(message, "nowhere", str(case.data), "nowhere.inter", "data_path")


def test_names_that_no_file_can_have_are_no_dataset_and_no_model(case):
    holds(case.error(model="x" * 300), "unknown model")
    assert case.run(dataset="x" * 300) == 2
    assert "not found: no folder" in case.stderr


def test_missing_inter_file_is_named(case):
    case.inter.unlink()
    holds(case.error(), str(case.inter), "not found")


def test_missing_user_file_is_named_with_its_task(case):
    case.user.unlink()
    holds(case.error(), "gender", str(case.user), "not found")


def test_missing_column_is_named_with_the_nearest(case):
    rows = inter_rows(60, 30, 1, 4, 12)
    write_table(
        case.inter, ("user_id:token", "item_ids:token", "rating:float", INTER[3]), rows
    )
    holds(case.error(), str(case.inter), "'item_id'", "did you mean 'item_ids'")


def test_missing_timestamp_is_named(case):
    write_table(
        case.inter, INTER[:3], [row[:3] for row in inter_rows(60, 30, 1, 4, 12)]
    )
    holds(case.error(), str(case.inter), "'timestamp'", "user_id, item_id, rating")


def test_file_without_a_typed_header_is_refused(case):
    write_table(
        case.inter, ("user_id", "item_id", "rating", "timestamp"), [("u1", "i1", 1, 1)]
    )
    holds(case.error(), str(case.inter), "name:type", "'user_id'")


def test_a_file_of_another_separator_is_told_which_key_to_set(case):
    case.inter.write_text(case.inter.read_text().replace("\t", ","))
    holds(
        case.error(), str(case.inter), "set it to the file's", r"field_separator '\t'"
    )


@pytest.mark.parametrize("model", ["PeterRec", "SASRec"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("i3", "\xe9"), "set encoding to the file's"),
        (
            lambda text: text + "u1\ti1\t5\t2020-01-01T10:00:00\n",
            "such as seconds since 1970",
        ),
    ],
    ids=["latin-1", "date"],
)
def test_what_cannot_be_read_is_told_with_what_to_do(case, model, change, told):
    case.inter.write_text(change(case.inter.read_text()), encoding="latin-1")
    holds(case.error(model=model), str(case.inter), told)


@pytest.mark.parametrize("model", ["PeterRec", "SASRec"])
def test_rows_that_end_with_a_separator_are_refused(case, model):
    """pandas would take the users for an index, and each value for the column before its own."""
    lines = case.inter.read_text().splitlines()
    case.inter.write_text("\n".join([lines[0], *(f"{row}\t" for row in lines[1:])]))
    message = case.error(model=model)
    holds(message, "source", str(case.inter), "4 columns", "end of each row")


@pytest.mark.parametrize(
    ("separator", "before"), [("::", ""), ("\t", "  \n"), ("\t", "u0\n"), (" ", "")]
)
def test_no_way_of_shifting_columns_is_taken_in_silence(case, separator, before):
    header, *rows = case.inter.read_text().replace("\t", separator).splitlines()
    ending = [f"{row}{separator}" for row in rows]
    case.inter.write_text(f"{header}\n{before}" + "\n".join(ending))
    message = case.error(field_separator=separator, source_cache=0)
    holds(message, str(case.inter), "begin with more values")


def test_an_encoding_that_can_replace_nothing_is_read_all_the_same(case):
    assert case.run(tasks=[GENDER], encoding="idna") == 0


def test_a_quoted_separator_is_no_column_more(case):
    rows = case.inter.read_text().splitlines()
    first = rows[1].split("\t")
    rows[1] = "\t".join([first[0], '"i\t7\n"', *first[2:]])
    case.inter.write_text("\n".join(rows))
    assert case.run(tasks=[GENDER]) == 0


def test_columns_of_users_that_a_model_of_recbole_loads_are_not_shifted(case):
    lines = case.user.read_text().splitlines()
    case.user.write_text("\n".join([lines[0], *(f"{row}\t" for row in lines[1:])]))
    columns = {"user": ["user_id", "age"], "inter": ["user_id", "item_id", "timestamp"]}
    message = case.error(model="SASRec", load_col=columns)
    holds(message, str(case.user), "begin with more values")


def test_a_byte_order_mark_is_named_with_the_encoding_that_reads_it(case):
    text = case.inter.read_text()
    case.inter.write_text(text, encoding="utf-8-sig")
    holds(case.error(), str(case.inter), "encoding: utf-8-sig")
    assert case.run("--encoding=utf-8-sig", tasks=[GENDER]) == 0


def test_an_encoding_that_begins_with_a_mark_is_refused_where_there_is_none(case):
    told = case.error("--encoding=utf-16")
    holds(told, str(case.inter), "does not start with BOM", "set encoding to the file")


def test_a_time_that_load_col_leaves_out_is_loaded_all_the_same(case):
    """RecBole's own default of load_col leaves the timestamp out."""
    assert case.run(load_col={"inter": ["user_id", "item_id"]}, tasks=[GENDER]) == 0


def test_a_file_of_users_that_may_not_be_read_is_one_line(case, monkeypatch):
    read = pd.read_csv

    def refuse(path, *args, **keys):
        if str(path).endswith(".user"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path, *args, **keys)

    monkeypatch.setattr(pd, "read_csv", refuse)
    load = {"inter": ["user_id", "item_id", "timestamp"], "user": ["user_id", "age"]}
    message = case.error(model="SASRec", load_col=load, tasks=None)
    holds(message, "source", "toy.user", "cannot be read", "Permission denied")


def test_file_of_zero_bytes_is_refused(case):
    case.inter.write_text("")
    holds(case.error(), str(case.inter))


def test_file_with_a_header_only_is_refused(case):
    write_table(case.inter, INTER, [])
    holds(case.error(), "source", "toy", "no interaction")


def test_bytes_that_are_not_text_are_refused(case):
    case.inter.write_bytes(b"\xff\xfe\x80 user_id:token\titem_id:token\n\xff")
    holds(case.error(), str(case.inter))


@pytest.mark.parametrize("model", ["PeterRec", "GRec"])
def test_no_user_with_two_interactions_is_refused(case, model):
    write_table(case.inter, INTER, [(f"u{i}", f"i{i}", 3, i) for i in range(20)])
    holds(case.error(model=model), "source", "toy", "no user", "two interactions")


def test_interval_that_leaves_no_interaction_names_the_keys(case):
    message = case.error(user_inter_num_interval="[1000,inf)")
    holds(message, "source", "toy", "user_inter_num_interval")


def test_val_interval_that_leaves_no_interaction_names_the_key(case):
    holds(case.error(val_interval={"rating": "[9,9]"}), "source", "toy", "val_interval")


@pytest.mark.parametrize("cache", [0, None])
@pytest.mark.parametrize(
    ("model", "interval", "wanted"),
    [
        ("PeterRec", {"rating": [3, 4]}, "'[4,5]'"),
        ("GRU4Rec", {"rating": [3, 4]}, "'[4,5]'"),
        ("PeterRec", {"item_id": "[3,4]"}, "list of tokens"),
        ("GRU4Rec", {"item_id": "[3,4]"}, "list of tokens"),
        ("GRU4Rec", {"user_id": [3, 4]}, "list of tokens"),
    ],
)
def test_interval_of_the_other_kind_of_column_is_refused(
    case, model, cache, interval, wanted
):
    """RecBole skips it and drops some other row."""
    keys = {"val_interval": interval, "source_cache": cache}
    holds(case.error(model=model, **keys), "val_interval of", *interval, wanted)


def test_a_model_of_recbole_may_choose_users_by_a_column_of_theirs(case):
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    columns["user"] = ["user_id", "gender"]
    keys = {"load_col": columns, "val_interval": {"gender": ["M"]}}
    assert case.run("--run_dir=run", model="GRU4Rec", **keys) == 0


@pytest.mark.parametrize("cells", ["token", "float_seq"])
@pytest.mark.parametrize(
    "columns",
    [
        {
            "load_col": {
                "inter": ["user_id", "item_id", "rating", "timestamp"],
                "user": ["user_id"],
            }
        },
        {"load_col": None, "unload_col": {"user": ["rating"]}},
    ],
    ids=["loaded", "unloaded"],
)
def test_an_interval_is_not_of_a_column_that_is_left_out(case, cells, columns):
    rows = [(f"u{user}", 1 + user % 5) for user in range(60)]
    write_table(case.user, ("user_id:token", f"rating:{cells}"), rows)
    keys = columns | {"val_interval": {"rating": "[2,5]"}}
    assert case.run("--run_dir=run", model="GRU4Rec", **keys) == 0


@pytest.mark.parametrize("cells", ["token", "token_seq", "float_seq"])
@pytest.mark.parametrize("interval", [[3, 4], "[3,4]"], ids=str)
def test_an_interval_that_a_column_of_users_cannot_have_is_refused(
    case, cells, interval
):
    rows = [(f"u{user}", user % 5) for user in range(60)]
    write_table(case.user, ("user_id:token", f"country:{cells}"), rows)
    keys = {"load_col": None, "val_interval": {"country": interval}}
    message = case.error(model="GRU4Rec", **keys)
    holds(message, f"val_interval of country, a {cells} column")


def test_malformed_interval_is_refused(case):
    holds(case.error(user_inter_num_interval="five or so"), "five or so")


@pytest.mark.parametrize("model", ["PeterRec", "SASRec"])
def test_times_must_be_numbers(case, model):
    rows = [(f"u{i}", f"i{t}", 3, f"2020-0{t}") for i in range(9) for t in (2, 1, 3)]
    write_table(case.inter, (*INTER[:3], "timestamp:token"), rows)
    message = case.error(model=model, load_col={"inter": ["user_id", "item_id"]})
    holds(message, str(case.inter), "'timestamp' has type token", "must be float")


@pytest.mark.parametrize("kept", [["SE", False], ["SE", 7], "[1,2]"])
def test_kept_tokens_must_be_texts(case, kept):
    header = ("user_id:token", "item_id:token", "country:token", INTER[3])
    write_table(case.inter, header, inter_rows(60, 30, 1, 4, 12))
    message = case.error(val_interval={"country": kept})
    holds(message, "val_interval of country", "tokens in quotes", repr(kept))


@pytest.mark.parametrize("model", ["PeterRec", "SASRec"])
@pytest.mark.parametrize(
    "flag",
    [
        "--LIST_SUFFIX=",
        "--LIST_SUFFIX=5",
        "--LIST_SUFFIX=~",
        "--ITEM_LIST_LENGTH_FIELD=~",
        "--ITEM_LIST_LENGTH_FIELD=item_id",
        "--ITEM_LIST_LENGTH_FIELD=item_id_list",
    ],
)
def test_names_of_what_a_row_has_differ(case, model, flag):
    key = flag.removeprefix("--").partition("=")[0]
    tasks = [GENDER] if model == "PeterRec" else None
    holds(case.error(flag, model=model, tasks=tasks), key)


def test_a_row_s_own_names_are_taken(case):
    message = case.error("--ITEM_LIST_LENGTH_FIELD=target_count", tasks=[GENDER])
    holds(message, "ITEM_LIST_LENGTH_FIELD target_count", "a row's own target_count")


@pytest.mark.parametrize("name", ["rating", "rating_list", "timestamp_list"])
def test_rows_of_recbole_s_models_have_a_list_of_each_column(case, name):
    flag = f"--ITEM_LIST_LENGTH_FIELD={name}"
    message = case.error(flag, model="SASRec", tasks=None, load_col=None)
    what = {
        "rating": "the column rating",
        "rating_list": "the list of rating",
        "timestamp_list": "the list of timestamp",
    }
    holds(message, f"ITEM_LIST_LENGTH_FIELD {name} and {what[name]} would both be")


@pytest.mark.parametrize("model", ["PeterRec", "SASRec"])
@pytest.mark.parametrize("name", ["5", "~"])
def test_a_column_of_items_that_is_no_text_is_one_line(case, model, name):
    tasks = [GENDER] if model == "PeterRec" else None
    case.error(f"--ITEM_ID_FIELD={name}", model=model, tasks=tasks)


@pytest.mark.parametrize(("model", "order"), [("NextItNetAR", "RO"), ("SASRec", "TO")])
def test_split_that_leaves_nothing_to_train_on_is_refused(case, model, order):
    eval_args = {"split": {"RS": [1e-20, 1, 1]}, "order": order, "group_by": "none"}
    message = case.error(model=model, eval_args=eval_args)
    holds(message, "source", "no row to train on")
