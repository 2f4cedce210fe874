"""Which rows and stages the figures of runs belong to."""

from __future__ import annotations

from recbole_peterrec.suite.report import results_of
from recbole_peterrec.suite.scores import scores_of
from tests.suite.results import RUNS, SUITE, result


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
