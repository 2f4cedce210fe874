"""Means, differences and what does not compare, as suite.json has them."""

from __future__ import annotations

import json
import math

import pytest

from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.report import results_of, write_report
from recbole_peterrec.suite.tables import tables
from tests.suite.results import RUNS, SUITE, judged, result


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


def test_a_coarse_entry_is_no_matter_of_two_others():
    entries = tuple(
        Entry(n, n, decimals(2) if n == "C" else {}) for n in ("A", "B", "C")
    )
    runs = {
        name: {1: result(None, first), 2: result(None, second)}
        for name, first, second in (("A", 0.5, 0.52), ("B", 0.4, 0.4), ("C", 0.4, 0.4))
    }
    suite = Suite("mine", "toy", entries, (1, 2), {})
    found = results_of(suite, runs, "digest")["differences"]
    p = {pair: parts["age"]["hit@1"]["p"] for pair, parts in found.items()}
    # Of differences .1 and .12, t is 11 with one degree of freedom (a Cauchy distribution).
    assert p["A - B"] == pytest.approx(2 / math.pi * math.atan(1 / 11))
    assert p["A - C"] is None


def test_costs_are_means_over_runs():
    found = results_of(SUITE, RUNS, "digest")
    assert found["of full tuning"] == {"A": 0.25, "B": 0.25}
    assert found["tasks s"] == {"A": 2.0, "B": 2.0}
    assert found["pretraining s"] == {"A": 1.0}


def test_costs_of_several_tasks_are_their_seconds_together_and_their_mean_share():
    results = result(0.1, 0.5)
    age = results["tasks"]["age"]
    results["tasks"]["gender"] = {**age, "seconds": 5.0, "trainable_parameters": 15}
    found = results_of(SUITE, {"A": {1: results, 2: results}}, "digest")
    assert found["tasks s"] == {"A": 7.0}
    assert found["of full tuning"] == {"A": 0.5}


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


def test_what_is_not_known_to_be_judged_alike_is_not_compared():
    """As records of earlier versions, which do not tell."""
    runs = {
        name: {seed: judged(result(0.1, value), None, "y") for seed in (1, 2)}
        for name, value in (("A", 0.5), ("B", 0.25))
    }
    found = results_of(SUITE, runs, "digest")
    assert found["unlike"] == {"B": {"pretraining": {"A": [1, 2]}}}
    assert found["differences"]["A - B"].keys() == {"age"}


def test_seeds_need_not_be_judged_alike_among_themselves():
    """Each seed has test rows of its own; models are compared within it."""
    runs = {
        name: {
            seed: judged(result(0.1, value), f"x{seed}", f"y{seed}") for seed in (1, 2)
        }
        for name, value in (("A", 0.5), ("B", 0.25))
    }
    found = results_of(SUITE, runs, "digest")
    assert found["unlike"] == {}
    assert found["differences"]["A - B"]["age"]["hit@1"]["seeds"] == 2


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


def test_a_report_can_be_read_back_before_and_after_runs(tmp_path):
    for runs in ({}, RUNS):
        results = results_of(SUITE, runs, "digest")
        write_report(tmp_path, results)
        assert json.loads((tmp_path / "suite.json").read_text()) == results
        assert (tmp_path / "results.md").read_text() == f"{tables(results)}\n"
