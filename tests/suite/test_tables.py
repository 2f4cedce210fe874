"""What a person reads of a suite."""

from __future__ import annotations

from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.report import results_of
from recbole_peterrec.suite.tables import tables
from tests.suite.results import RUNS, SUITE, judged, result


def test_stages_that_differ_in_other_seeds_have_a_line_each():
    runs = {
        "A": {seed: judged(result(0.1, 0.5), "x", "y") for seed in (1, 2, 3)},
        "B": {
            1: judged(result(0.1, 0.5), "other", "y"),
            2: judged(result(0.1, 0.5), "x", "other"),
            3: judged(result(0.1, 0.5), "x", "other"),
        },
    }
    suite = Suite("mine", "toy", SUITE.entries, (1, 2, 3), {})
    one, other = tables(results_of(suite, runs, "digest")).splitlines()[-3::2]
    assert one.startswith("B: pretraining not") and "(in seed 1)" in one
    assert other.startswith("B: age not") and "(in seeds 2, 3)" in other


def test_a_first_model_without_a_result_is_told_where_differences_would_be():
    text = tables(results_of(SUITE, {"B": RUNS["B"]}, "digest"))
    assert text.splitlines()[-3:] == [
        "no differences: A, the first model, has no result",
        "",
        "no result: A",
    ]
    assert "no result" not in tables(results_of(SUITE, RUNS, "digest"))
    assert "no result" not in tables(results_of(SUITE, {}, "digest"))


def test_with_one_seed_there_are_no_differences_to_miss():
    suite = Suite("mine", "toy", SUITE.entries, (1,), {})
    text = tables(results_of(suite, {"B": {1: RUNS["B"][1]}}, "digest"))
    assert "no differences" not in text
    assert text.splitlines()[-1] == "no result: A"


def test_models_without_a_result_are_named():
    entries = tuple(Entry(name, name, {}) for name in "ABCD")
    suite = Suite("mine", "toy", entries, (1, 2), {})
    text = tables(results_of(suite, {"A": RUNS["A"], "C": RUNS["B"]}, "digest"))
    assert text.splitlines()[-1] == "no result: B, D"
    assert "no differences" not in text


def test_columns_of_the_source_stand_first():
    """Whatever row has them."""
    runs = {"A": {1: result(None, 0.5)}, "B": {1: result(0.1, 0.5)}}
    runs["B"][1]["pretrain"]["test_after_all"] = {"mrr@5": 0.1}
    suite = Suite("mine", "toy", SUITE.entries, (1,), {})
    head = tables(results_of(suite, runs, "digest")).splitlines()[2]
    columns = [column.strip() for column in head.split("|")[1:-1]]
    assert columns[:4] == [
        *("model", "pretraining mrr@5", "pretraining after all mrr@5", "age hit@1")
    ]


def test_tables_show_what_is_measured():
    lines = tables(results_of(SUITE, RUNS, "digest")).splitlines()
    cells = [
        [c.strip() for c in line.split("|")[1:-1]] for line in lines if "|" in line
    ]
    assert cells[0] == [
        *("model", "pretraining mrr@5", "age hit@1"),
        *("of full tuning", "pretraining s", "tasks s"),
    ]
    assert cells[2:5] == [
        ["A", "0.2000 ± 0.1000", "0.6250 ± 0.1250", "25.00%", "1.0", "2.0"],
        ["B", "-", "0.2500 ± 0.0000", "25.00%", "-", "2.0"],
        ["LabelCS", "-", "0.5000 ± 0.0000", "-", "-", "-"],
    ]
    assert cells[5] == ["difference", "age hit@1"]
    assert cells[7] == ["A - B", "0.3750 ± 0.1250 (0.2)"]
    assert lines[0] == (
        "mine on toy: test metrics, mean ± standard error over seeds 1, 2"
    )


def test_a_report_before_the_last_run_says_so():
    runs = {"A": RUNS["A"], "B": {1: RUNS["B"][1]}}
    text = tables(results_of(SUITE, runs, "digest"))
    assert "over seeds 1, 2 (3 of 4 runs)" in text
    assert "| B (1 of 2 seeds) |" in text
    assert "A (" not in text and "LabelCS (" not in text
    one = tables(results_of(SUITE, {"A": {1: RUNS["A"][1]}}, "digest"))
    assert "LabelCS (1 of 2 seeds)" in one


def test_what_models_share_is_no_difference_to_tell():
    """But it is there for a script."""
    shared = {1: result(0.1, 0.25), 2: result(0.3, 0.25)}
    found = results_of(SUITE, {**RUNS, "B": shared}, "digest")
    assert found["differences"]["A - B"]["pretraining"]["mrr@5"]["mean"] == 0
    assert "pretraining" not in tables(found).partition("Seed by seed")[2]


def test_differences_that_cancel_each_other_are_told():
    """Their mean is 0, but neither the models nor the majority label are the same."""
    runs = {
        "A": {1: result(None, 0.5, 0.75), 2: result(None, 0.75, 0.5)},
        "B": {1: result(None, 0.75), 2: result(None, 0.5)},
    }
    found = results_of(SUITE, runs, "digest")
    assert found["differences"]["A - B"]["age"]["hit@1"]["mean"] == 0
    assert "| A - B " in tables(found).partition("Seed by seed")[2]


def test_a_row_that_lacks_seeds_of_one_stage_alone_is_no_row_of_fewer_seeds():
    """That stage's cell has the number."""
    half = {1: result(0.1, 0.5), 2: result(None, 0.75)}
    text = tables(results_of(SUITE, {"A": half, "B": RUNS["B"]}, "digest"))
    (row,) = (line for line in text.splitlines() if line.startswith("| A  "))
    assert "| 0.1000 [1 seeds] " in row


def test_one_seed_has_no_errors_and_no_differences():
    suite = Suite("mine", "toy", SUITE.entries, (1,), {})
    runs = {name: {1: by_seed[1]} for name, by_seed in RUNS.items()}
    text = tables(results_of(suite, runs, "digest"))
    assert "±" not in text
    assert "difference" not in text
    assert "0.1000" in text
