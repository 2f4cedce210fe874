"""What runs have trained, apart from what they took from outside the suite."""

from __future__ import annotations

import pytest

from recbole_peterrec.suite.own import NOTHING, own_results
from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.report import results_of
from tests.suite.results import result

OUTSIDE = {"pretrained_path": "there"}


def suite_of(settings, keys=None, model="A"):
    return Suite("mine", "toy", (Entry("A", model, settings),), (1, 2), keys or {})


def found(suite, results):
    return results_of(suite, {"A": {1: results, 2: results}}, "digest")


def taken(**more):
    """Results of a run whose backbone was pretrained elsewhere."""
    results = result(0.2, 0.5)
    results["pretrain"] |= {"epochs": 0, **more}
    return results


@pytest.mark.parametrize(
    ("settings", "keys"), [(OUTSIDE, {}), ({}, OUTSIDE), (OUTSIDE, OUTSIDE)]
)
def test_what_was_pretrained_elsewhere_is_left_out(settings, keys):
    told = found(suite_of(settings, keys), taken())
    assert told["means"]["A"].keys() == {"age"}
    assert told["runs"]["A"]["1"] == taken()


@pytest.mark.parametrize(
    ("settings", "keys"), [({}, {}), ({"pretrained_path": None}, OUTSIDE)]
)
def test_a_backbone_that_the_suite_has_made_is_a_result(settings, keys):
    told = found(suite_of(settings, keys), taken())
    assert told["means"]["A"].keys() == {"pretraining", "age"}


def test_a_learner_on_a_saved_backbone_has_what_it_trained_on():
    """Before that, it has what the backbone had."""
    learner = taken(epochs=3, before_pruning={"test": {"mrr@5": 0.1}})
    learner["pretrain"]["test_after_all"] = {"mrr@5": 0.2}
    told = found(suite_of(OUTSIDE), learner)
    assert told["means"].keys() == {"A", "LabelCS"}
    assert told["means"]["A"].keys() == {"pretraining", "pretraining after all", "age"}


def test_what_the_tasks_have_left_of_a_taken_backbone_is_a_result():
    """Each seed's tasks have written over it by themselves."""
    results = taken()
    results["tasks"]["age"] |= {"pretrain_test": {"mrr@5": 0.1}}
    means = found(suite_of(OUTSIDE), results)["means"]["A"]
    assert means.keys() == {"pretraining after all", "age"}


@pytest.mark.parametrize(
    "keys", [{"task_order": ["gender"]}, {"tasks": [{"name": "gender"}]}]
)
def test_of_a_learner_that_goes_on_only_new_tasks_are_results(keys):
    saved = taken(epochs=3, before_pruning={"test": {"mrr@5": 0.1}})
    saved["pretrain"]["test_after_all"] = {"mrr@5": 0.2}
    saved["tasks"]["gender"] = {**saved["tasks"]["age"], "seconds": 5.0}
    told = found(suite_of({"continue_from": "there", **keys}, model="Conure"), saved)
    assert told["means"]["A"].keys() == {"gender"}
    assert told["tasks s"] == {"A": 5.0}
    assert told["pretraining s"] == {}


def test_runs_stay_in_their_order():
    entries = (Entry("B", "B", OUTSIDE), Entry("A", "A", {}))
    runs = {name: {1: taken()} for name in "BA"}
    own = own_results(Suite("mine", "toy", entries, (1,), {}), runs)
    assert list(own) == ["B", "A"]
    assert [own[name][1]["pretrain"] for name in "BA"] == [
        NOTHING,
        taken()["pretrain"],
    ]
