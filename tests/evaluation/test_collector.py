"""RecBole's metrics on a small ranking, by hand."""

import math

import pytest
import torch
from recbole.evaluator import Evaluator

from recbole_peterrec.errors import ConfigError
from recbole_peterrec.evaluation.collector import RankCollector
from recbole_peterrec.evaluation.ranks import ranks_by_scores

SCORES = torch.tensor(
    [
        [-torch.inf, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],  # target 1 is first: 1
        [-torch.inf, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],  # target 3 is third: 1/3
        [-torch.inf, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0],  # target 6 is sixth: 0
        [-torch.inf, 5.0, 5.0, 3.0, 2.0, 1.0, 0.0],  # target 1 ties for first: 1/2
        [-torch.inf, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],  # constant: last, 0
        [-torch.inf, torch.nan, 0.0, 0.0, 0.0, 0.0, 0.0],  # not a number: last, 0
        [torch.nan] * 7,  # nor is any other: last, 0
        [-torch.inf] * 7,  # nothing is ranked: last, 0
        [-torch.inf, torch.nan, 2.0, 1.0, 0.0, 0.0, 0.0],  # others' do not count: 1
    ]
)
TARGETS = torch.tensor([1, 3, 6, 1, 2, 1, 1, 1, 2])


@pytest.fixture
def evaluate(toy_config):
    config = toy_config(metrics=["MRR", "Hit"], topk=[5], metric_decimal_place=8)

    def run(*batches):
        collector = RankCollector(config)
        for scores, targets in batches:
            ranks = ranks_by_scores(scores, targets)
            collector.eval_batch_collect(ranks, None, None, None)
        return Evaluator(config).evaluate(collector.get_data_struct())

    return run


def test_mrr_and_hit_by_hand_ties_against_the_target(evaluate):
    result = evaluate((SCORES, TARGETS))
    assert result["mrr@5"] == pytest.approx((1 + 1 / 3 + 1 / 2 + 1) / 9)
    assert result["hit@5"] == pytest.approx(4 / 9)


def test_batches_do_not_change_the_metrics(evaluate):
    halves = (SCORES[:2], TARGETS[:2]), (SCORES[2:], TARGETS[2:])
    assert evaluate(*halves) == evaluate((SCORES, TARGETS))


def test_a_rank_moves_by_ties_only(evaluate):
    below = torch.nextafter(torch.tensor(4.0), torch.tensor(0.0)).item()
    scores = torch.tensor([[-torch.inf, 4.0, below, 0.0, 0.0, 0.0, 0.0]])
    assert evaluate((scores, torch.tensor([1])))["mrr@5"] == 1


def test_metrics_of_more_than_ranks_are_refused(toy_config):
    config = toy_config()
    config["metrics"] = ["MRR", "ItemCoverage"]
    with pytest.raises(ConfigError, match="ItemCoverage is not a measure"):
        RankCollector(config)


def test_every_metric_at_several_places_by_hand(toy_config):
    names = ["MRR", "Hit", "NDCG", "Recall", "Precision", "MAP"]
    config = toy_config(
        metrics=names, topk=[1, 3], valid_metric="MRR@3", metric_decimal_place=8
    )
    collector = RankCollector(config)
    collector.eval_batch_collect(torch.tensor([1, 3, 4, 2]), None, None, None)
    gains = [1, 1 / math.log2(4), 1 / math.log2(3)]
    at_3 = {
        "mrr": (1 + 1 / 3 + 1 / 2) / 4,
        "hit": 3 / 4,
        "ndcg": sum(gains) / 4,
        "recall": 3 / 4,
        "precision": 1 / 4,
        "map": (1 + 1 / 3 + 1 / 2) / 4,
    }
    expected = {f"{name}@1": 1 / 4 for name in at_3}
    expected |= {f"{name}@3": value for name, value in at_3.items()}
    found = Evaluator(config).evaluate(collector.get_data_struct())
    assert found == pytest.approx(expected)
