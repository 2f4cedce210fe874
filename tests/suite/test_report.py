"""Rows, means, differences and warnings of a suite, from the results of its runs."""

from __future__ import annotations

import json

import pytest

from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.report import results_of, write_report
from recbole_peterrec.suite.scores import scores_of
from recbole_peterrec.suite.tables import tables

SUITE = Suite("mine", "toy", (Entry("A", "A", {}), Entry("B", "B", {})), (1, 2), {})


def result(source, task, majority=0.5, train=8, **more):
    """``results.json`` of a run with a profile task."""
    record = {
        "instances": {"train": train, "valid": 1, "test": 2},
        "test": {"hit@1": task},
        "label_cs": {"test": {"hit@1": majority}},
        "trainable_parameters": 5,
        "total_parameters": 20,
        "seconds": 2.0,
        "judged_by": "rows of the task",
        **more,
    }
    pretrain = {"test": {}, "epochs": 0, "seconds": 0.0}
    if source:
        pretrain = {"test": {"mrr@5": source}, "epochs": 3, "seconds": 1.0}
        pretrain["judged_by"] = "rows of the source"
    return {"pretrain": pretrain, "tasks": {"age": record}}


RUNS = {
    "A": {1: result(0.1, 0.5), 2: result(0.3, 0.75)},
    "B": {1: result(None, 0.25), 2: result(None, 0.25)},
}


def test_means_and_differences_are_seed_by_seed():
    found = results_of(SUITE, RUNS, "digest")
    assert found["means"]["A"]["pretraining"]["mrr@5"]["mean"] == pytest.approx(0.2)
    assert found["means"]["A"]["age"]["hit@1"]["mean"] == pytest.approx(0.625)
    assert found["means"]["B"].keys() == {"age"}
    difference = found["differences"]["A - B"]
    assert difference.keys() == {"age"}
    assert difference["age"]["hit@1"]["mean"] == pytest.approx(0.375)
    # Differences of .25 and .5: their standard error is half their distance.
    assert difference["age"]["hit@1"]["standard_error"] == pytest.approx(0.125)
    assert found["runs"]["A"]["2"] == RUNS["A"][2]


def decimals(digits):
    return {"metric_decimal_place": digits}


@pytest.mark.parametrize(
    ("of_all", "own", "tested"),
    [
        ({}, {}, True),
        ({}, {"A": decimals(2)}, False),
        (decimals(2), {}, False),
        (decimals(2), {"B": decimals(4)}, False),
        (decimals(2), {"A": decimals(5), "B": decimals(4)}, True),
        ({"task_defaults": {"profile": decimals(2)}}, {}, False),
        ({}, {"B": {"tasks": [{"name": "age", **decimals(2)}]}}, False),
    ],
)
def test_the_coarsest_metrics_say_what_is_rounding(of_all, own, tested):
    """Differences of .1 and .12 are the same to two digits."""
    entries = tuple(Entry(name, name, own.get(name, {})) for name in "AB")
    suite = Suite("mine", "toy", entries, (1, 2), of_all)
    runs = {
        "A": {1: result(None, 0.5), 2: result(None, 0.52)},
        "B": {1: result(None, 0.4), 2: result(None, 0.4)},
    }
    found = results_of(suite, runs, "digest")["differences"]["A - B"]["age"]["hit@1"]
    assert (found["p"] is not None) == tested


def test_costs_are_means_over_runs():
    found = results_of(SUITE, RUNS, "digest")
    assert found["of full tuning"] == {"A": 0.25, "B": 0.25}
    assert found["tasks s"] == {"A": 2.0, "B": 2.0}
    assert found["pretraining s"] == {"A": 1.0}


def test_the_majority_label_has_one_row():
    scores = scores_of(RUNS)
    assert scores["LabelCS"] == {
        ("age", "hit@1"): dict.fromkeys((1, 2), (0.5, "rows of the task"))
    }
    assert "A - LabelCS" in results_of(SUITE, RUNS, "digest")["differences"]


def test_a_learner_has_a_row_before_pruning_and_its_source_after_all():
    learner = result(0.4, 0.5, before_pruning={"test": {"hit@1": 0.625}})
    learner["pretrain"] |= {
        "before_pruning": {"test": {"mrr@5": 0.5}},
        "test_after_all": {"mrr@5": 0.4},
    }
    scores = scores_of({"Conure": {1: learner}})
    assert scores["Conure before pruning"] == {
        ("pretraining", "mrr@5"): {1: (0.5, "rows of the source")},
        ("age", "hit@1"): {1: (0.625, "rows of the task")},
    }
    assert scores["Conure"]["pretraining after all", "mrr@5"] == {
        1: (0.4, "rows of the source")
    }


def test_what_an_unprotected_network_has_left_of_its_source_is_that_after_the_last_task():
    after = {"pretrain_test": {"mrr@5": 0.3}, "pretrain_judged_by": "its own"}
    forgetting = result(0.4, 0.5, **after)
    last = {**forgetting["tasks"]["age"], "pretrain_test": {"mrr@5": 0.1}}
    forgetting["tasks"]["gender"] = last
    scores = scores_of({"Unprotected": {1: forgetting}})
    assert scores["Unprotected"]["pretraining after all", "mrr@5"] == {
        1: (0.1, "its own")
    }


def judged(results, source, task):
    """Results of stages that are judged by what is named."""
    results["pretrain"]["judged_by"] = source
    results["tasks"]["age"]["judged_by"] = task
    return results


def test_what_is_judged_otherwise_has_no_difference_and_says_so():
    """Nor has a row before pruning."""
    learner = {
        seed: result(0.2, value, before_pruning={"test": {"hit@1": value}})
        for seed, value in ((1, 0.25), (2, 0.5))
    }
    runs = {
        "A": {
            1: judged(result(0.1, 0.5), "x", "y"),
            2: judged(result(0.3, 0.75), "x", "y"),
        },
        "B": {seed: judged(one, "x", "z") for seed, one in learner.items()},
    }
    found = results_of(SUITE, runs, "digest")
    assert found["differences"]["A - B"].keys() == {"pretraining"}
    assert found["differences"]["A - B before pruning"] == {}
    assert found["differences"]["A - LabelCS"].keys() == {"age"}
    assert found["means"]["B"].keys() == {"pretraining", "age"}
    age = {"age": {"A": [1, 2]}}
    assert found["unlike"] == {"B": age, "B before pruning": age}
    assert tables(found).splitlines()[-1] == (
        "B before pruning: age not judged by the test rows, labels and candidates of A (in all "
        "seeds), so these figures do not compare."
    )


def test_seeds_that_are_judged_alike_are_compared():
    runs = {
        "A": {
            1: judged(result(0.1, 0.5), "x", "y"),
            2: judged(result(0.3, 0.75), "x", "y"),
        },
        "B": {
            1: judged(result(0.2, 0.5), "x", "z"),
            2: judged(result(0.1, 0.25), "x", "y"),
        },
    }
    results = results_of(SUITE, runs, "digest")
    found = results["differences"]["A - B"]["age"]["hit@1"]
    assert (found["mean"], found["seeds"], found["p"]) == (0.5, 1, None)
    assert results["unlike"] == {"B": {"age": {"A": [1]}}}
    assert "| 0.5000 [1 seeds] " in tables(results)
    assert "candidates of A (in seed 1), so these" in tables(results)


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


def test_what_is_not_known_to_be_judged_alike_is_not_compared():
    """As records of earlier versions, which do not tell."""
    runs = {
        name: {seed: judged(result(0.1, value), None, "y") for seed in (1, 2)}
        for name, value in (("A", 0.5), ("B", 0.25))
    }
    found = results_of(SUITE, runs, "digest")
    assert found["unlike"] == {"B": {"pretraining": {"A": [1, 2]}}}
    assert found["differences"]["A - B"].keys() == {"age"}


def test_a_source_that_is_judged_otherwise_is_so_after_all_tasks():
    runs = {}
    for name in ("A", "B"):
        learner = judged(result(0.2, 0.25), name, "y")
        learner["pretrain"]["test_after_all"] = {"mrr@5": 0.2}
        runs[name] = {1: learner}
    found = results_of(SUITE, runs, "digest")
    assert found["differences"]["A - B"].keys() == {"age"}
    stages = {"pretraining", "pretraining after all"}
    assert found["unlike"] == {"B": {stage: {"A": [1]} for stage in stages}}


def test_a_task_may_be_called_as_it_likes():
    """The source's column is another than that of a task named so."""
    renamed = result(0.1, 0.5)
    renamed["tasks"] = {"source": renamed["tasks"]["age"]}
    found = results_of(SUITE, {"A": {1: renamed}}, "digest")
    assert found["means"]["A"]["source"]["hit@1"]["mean"] == 0.5
    assert found["means"]["A"]["pretraining"]["mrr@5"]["mean"] == 0.1


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


def test_one_seed_has_no_errors_and_no_differences():
    suite = Suite("mine", "toy", SUITE.entries, (1,), {})
    runs = {name: {1: by_seed[1]} for name, by_seed in RUNS.items()}
    text = tables(results_of(suite, runs, "digest"))
    assert "±" not in text
    assert "difference" not in text
    assert "0.1000" in text


def test_a_report_can_be_read_back_before_and_after_runs(tmp_path):
    for runs in ({}, RUNS):
        results = results_of(SUITE, runs, "digest")
        write_report(tmp_path, results)
        assert json.loads((tmp_path / "suite.json").read_text()) == results
        assert (tmp_path / "results.md").read_text() == f"{tables(results)}\n"
