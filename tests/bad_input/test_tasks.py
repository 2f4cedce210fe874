"""Tasks of a list: their data, names and keys."""

from __future__ import annotations

import json
import math

import pytest

from recbole_peterrec.checkpoint import TRAINING
from recbole_peterrec.runs.directory import BEGUN
from tests.bad_input.case import GENDER, holds
from tests.toy import INTER, TARGET, TASKS, USER, user_rows, write_table


def test_task_column_that_is_not_there_suggests_the_nearest(case):
    task = {"name": "sex", "kind": "profile", "field": "gendr"}
    holds(
        case.error(tasks=[task]),
        "'sex'",
        str(case.user),
        "'gendr'",
        "did you mean 'gender'",
    )


def test_rows_of_a_task_that_end_with_a_separator_are_refused(case):
    lines = case.user.read_text().splitlines()
    case.user.write_text("\n".join([lines[0], *(f"{row}\t" for row in lines[1:])]))
    holds(case.error(), "task 'gender'", str(case.user), "3 columns", "more values")


def test_task_column_with_one_value_is_refused(case):
    write_table(
        case.user, USER, [(user, age, "F") for user, age, _ in user_rows(60, 2)]
    )
    holds(case.error(), "'gender'", "one value", "'F'")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"seed": 5}, "seed is a key of the run"),
        ({"state": "ERROR"}, "state is a key of the run"),
        ({"config_files": "a.yaml"}, "config_files is a key of the run"),
        ({"unload_col": {"user": ["age"]}}, "unload_col is a key of the run"),
        ({"log_wandb": True}, "log_wandb is a key of the run"),
        ({"wandb_project": "p"}, "wandb_project is a key of the run"),
        ({"ITEM_ID_FIELD": "age"}, "field, not ITEM_ID_FIELD"),
    ],
    ids=str,
)
def test_a_key_that_is_not_for_a_task_is_refused(case, keys, told):
    holds(case.error(tasks=[GENDER | keys]), "task 'gender'", told)


def test_one_bracket_is_one_value(case):
    task = {**TASKS[1], "bins": [200]}
    holds(case.error(tasks=[task]), "'age'", "one value", "'<200'")


def test_task_without_any_user_of_the_source_is_refused(case):
    write_table(case.user, USER, [(f"x{i}", 20 + i, "FM"[i % 2]) for i in range(30)])
    told = "which are 'x0' here and 'u"
    holds(case.error(), "'gender'", "none of its 30 users", "toy", "user_id", told)


def test_users_without_a_source_sequence_are_reported_and_left_out(case):
    rows = user_rows(60, 2) + [(f"x{i}", 20 + i, "FM"[i % 2]) for i in range(7)]
    write_table(case.user, USER, rows)
    assert case.run("--run_dir=run", tasks=[GENDER]) == 0
    assert "7 users without a source sequence" in case.stderr
    task = json.loads((case.here / "run" / "results.json").read_text())["tasks"][
        "gender"
    ]
    assert task["unmatched_users"] == 7
    assert sum(task["instances"].values()) == 60


def test_users_of_a_target_domain_are_matched_by_token_or_refused(case):
    write_table(
        case.data / "shop" / "shop.inter",
        INTER,
        [("x1", "p1", 3, 1), ("x2", "p2", 3, 2)],
    )
    holds(case.error(tasks=[TARGET]), "'buy'", "none of its 2 users")


def test_missing_target_dataset_is_named_with_its_task(case):
    task = {**TARGET, "dataset": "shopp"}
    holds(case.error(tasks=[task]), "'buy'", "'shopp'", "not found")


def test_list_of_numbers_for_an_interval_of_a_target_is_refused(case):
    task = {**TARGET, "val_interval": {"rating": [4, 5]}}
    holds(case.error(tasks=[task]), "'buy'", "val_interval of rating", "'[4,5]'")


def test_target_interval_that_leaves_nothing_is_refused(case):
    task = {**TARGET, "val_interval": {"rating": "[9,9]"}}
    holds(case.error(tasks=[task]), "'buy'", "shop", "val_interval")


def test_more_negatives_than_there_are_is_refused(case):
    task = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "uni99"}}
    holds(case.error(tasks=[task]), "'buy'", "99 negatives", "eval_args")


def test_duplicated_task_names_are_refused(case):
    holds(case.error(tasks=[GENDER, TASKS[1], GENDER]), "'gender'", "twice")


def test_task_names_that_share_a_folder_on_some_systems_are_refused(case):
    tasks = [GENDER, TASKS[1], {**GENDER, "name": "GENDER"}]
    holds(case.error(tasks=tasks), "'GENDER'", "'gender'", "case alone")


def test_no_task_takes_the_name_of_what_a_run_remembers_beside_its_stages(case):
    name = BEGUN.removeprefix(f"{TRAINING}/")
    holds(case.error(tasks=[{**GENDER, "name": name}]), repr(name), "take another")


@pytest.mark.parametrize("name", ["../out", "a/b", ".", "..", "", "two words", "nul\0"])
def test_task_name_that_is_no_folder_name_is_refused(case, name):
    holds(case.error(tasks=[{**GENDER, "name": name}]), "name")


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], ("tasks", "empty list", "--model=NextItNetAR pretrains")),
        (None, ("tasks must be a list", "got None", "name: gender")),
        ({"name": "gender"}, ("tasks", "list")),
        (["gender"], ("entry 1", "name")),
        ([{"kind": "profile", "field": "gender"}], ("entry 1", "name")),
        (
            [{"name": "g", "kind": "profil", "field": "gender"}],
            ("'g'", "did you mean 'profile'"),
        ),
        ([{"name": "g", "field": "gender"}], ("'g'", "kind")),
        ([{"name": "g", "kind": "profile"}], ("'g'", "field")),
        ([{**TASKS[1], "bins": [40, 20]}], ("'age'", "bins", "increasing")),
        ([{**TASKS[1], "bins": ["young", "old"]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": [20, "old"]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": [20, math.nan]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": [True, 30]}], ("'age'", "bins", "numbers")),
        ([{**TASKS[1], "bins": 20}], ("'age'", "bins")),
        ([{**GENDER, "bins": [1]}], ("'gender'", "no numbers")),
        ([{**GENDER, "loss_type": "MSE"}], ("'gender'", "loss_type", "CE")),
        ([{**GENDER, "metrics": ["Hitt"]}], ("'gender'", "Hitt")),
        (
            [{**GENDER, "learning_rte": 0.1}],
            ("'gender'", "did you mean 'learning_rate'"),
        ),
        ([{**GENDER, "fild": "x"}], ("'gender'", "did you mean 'field'")),
        ([{**GENDER, "pooling": "tcl_start"}], ("'gender'", "Fig. 2b")),
        ([{**GENDER, "learning_rate": "fast"}], ("'gender'", "learning_rate")),
        ([{**TARGET, "val_interval": {"rating": "[low,5]"}}], ("'buy'", "[low,5]")),
        (
            [{**TARGET, "val_interval": {"ratng": "[4,5]"}}],
            ("'buy'", "did you mean 'rating'"),
        ),
    ],
    ids=str,
)
def test_task_that_cannot_be_is_refused_by_name(case, tasks, words):
    holds(case.error(tasks=tasks), *words)


def test_split_that_leaves_a_part_empty_names_its_task_once(case):
    split = {"eval_args": {"split": {"RS": [1, 0, 0]}}}
    message = case.error(tasks=[{**GENDER, **split}])
    assert message.startswith("task 'gender': 60/0/0 instances in train/valid/test")


@pytest.mark.parametrize("key", ["pretrained_path", "carry_encoder", "backbone"])
def test_a_key_of_the_run_is_no_default_of_tasks(case, key):
    message = case.error(tasks=[GENDER], task_defaults={"profile": {key: "x"}})
    holds(message, "task_defaults of profile", key, "a key of the run")


def test_a_key_that_the_program_sets_is_refused(case):
    message = case.error(tasks=[{**GENDER, "repeatable": True}])
    holds(message, "task 'gender'", "repeatable is set by the program")


@pytest.mark.parametrize("column", ["item_length", "item_id_list"])
def test_a_column_with_the_name_of_a_rows_field_is_refused(case, column):
    rows = [(user, age) for user, age, _ in user_rows(60, 2)]
    write_table(case.user, ("user_id:token", f"{column}:token"), rows)
    task = {"name": "length", "kind": "profile", "field": column}
    holds(case.error(tasks=[task]), "'length'", repr(column), "rename the column")


def test_times_of_a_task_must_be_numbers(case):
    rows = [(f"u{i}", f"p{i % 3}", 3, f"2020-0{i % 9 + 1}") for i in range(60)]
    write_table(
        case.data / "shop" / "shop.inter", (*INTER[:3], "timestamp:token"), rows
    )
    arguments = {"order": "TO", "split": {"LS": "valid_and_test"}}
    message = case.error(tasks=[{**TARGET, "eval_args": arguments}])
    holds(message, "'buy'", "'timestamp' has type token", "must be float")


@pytest.mark.parametrize("key", ["LIST_SUFFIX", "ITEM_LIST_LENGTH_FIELD", "load_col"])
def test_names_of_the_sources_fields_are_not_a_tasks(case, key):
    holds(case.error(tasks=[{**GENDER, key: "x"}]), key, "a key of the run")


def test_a_later_row_with_too_many_values_is_named(case):
    lines = case.user.read_text().splitlines()
    lines[11] += "\tand more"
    case.user.write_text("\n".join(lines) + "\n")
    holds(case.error(), "task 'gender'", str(case.user), "line 12 has more values")


def test_a_lone_quote_hides_no_later_row_with_too_many_values(case):
    lines = case.user.read_text().splitlines()
    lines[1] = lines[1].replace("u", 'u"', 1)
    lines[8] += "\tand more"
    case.user.write_text("\n".join(lines) + "\n")
    holds(case.error(), "task 'gender'", str(case.user), "line 9 has more values")


def test_tokens_as_times_tell_no_order_of_duplicates(case):
    """RecBole compares their texts: 999 after 1000."""
    file = case.data / "shop" / "shop.inter"
    file.write_text(file.read_text().replace("timestamp:float", "timestamp:token"))
    message = case.error(tasks=[{**TARGET, "rm_dup_inter": "last"}])
    holds(message, "'buy'", "'timestamp' has type token", "must be float")
    assert case.run(tasks=[TARGET]) == 0


def test_separators_at_the_end_of_a_row_and_within_quotes_are_no_values(case):
    lines = case.user.read_text().splitlines()
    lines[11] += "\t\t"
    case.user.write_text("\n".join(lines) + "\n")
    assert case.run("--run_dir=run", tasks=[GENDER]) == 0
    user, age, _ = lines[12].split("\t")
    lines[12] = f'{user}\t{age}\t"M\tx"'
    case.user.write_text("\n".join(lines) + "\n")
    assert case.run("--run_dir=other", tasks=[GENDER]) == 0


def test_a_profile_may_have_the_name_of_the_source_s_times(case):
    """Here the column of the users' file is meant, which has no order in time."""
    text = case.user.read_text().replace("gender:token", "timestamp:token")
    case.user.write_text(text)
    assert case.run(tasks=[{**GENDER, "field": "timestamp"}]) == 0


@pytest.mark.parametrize("alpha", [-1000, 1000])
def test_a_power_of_popularity_beyond_all_floats_is_refused(case, alpha):
    negatives = {"distribution": "popularity", "sample_num": 1, "alpha": alpha}
    message = case.error(tasks=[{**TARGET, "train_neg_sample_args": negatives}])
    holds(message, "'buy'", "train_neg_sample_args", "alpha is from -10 to 10")


def test_columns_that_the_source_reads_as_others_are_not_a_tasks(case):
    rows = [line.split("\t") for line in case.inter.read_text().splitlines()]
    lines = ["\t".join([*row, row[1]]) for row in rows]
    lines[0] = "\t".join([*rows[0], "before:token"])
    case.inter.write_text("\n".join(lines) + "\n")
    columns = {"inter": ["user_id", "item_id", "timestamp", "before"]}
    keys = {"alias_of_item_id": ["before"], "load_col": columns}
    assert case.run(tasks=[GENDER], epochs=1, **keys) == 0


def test_numbers_beyond_all_floats_are_no_bins(case):
    message = case.error(tasks=[{**TASKS[1], "bins": [20, 10**400]}])
    holds(message, "bins must be increasing numbers")


def test_an_empty_split_of_files_is_none_for_a_task(case):
    message = case.error(tasks=[{**GENDER, "benchmark_filename": {}}])
    holds(message, "task 'gender'", "benchmark_filename")


def test_negatives_beyond_all_memory_are_refused(case):
    mode = {"eval_args": {"mode": "uni99999999999999999999"}}
    message = case.error(tasks=[{**TARGET, **mode}])
    holds(message, "negatives", "labels")
