"""Static rank-based negatives, against the formula written out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.samplers import (
    CandidateSampler,
    RankSampler,
    numpy_seed,
    rank_probabilities,
)
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET


@pytest.fixture
def loaders(toy_config):
    config = toy_config("PeterRec", tasks=[{**TARGET, "rank_rho": 0.3}])
    source = SequenceDataset(config)
    source.build()
    task = read_tasks(config)[0].config
    return make_loaders(task, TaskDataset(task, source))


@given(st.integers(1, 50), st.floats(0.05, 5))
def test_probabilities_are_the_papers(labels, rho):
    weights = [math.exp(-(rank + 1) / (rho * labels)) for rank in range(labels)]
    expected = [weight / sum(weights) for weight in weights]
    np.testing.assert_allclose(rank_probabilities(labels, rho), expected, rtol=1e-12)


def test_items_are_drawn_by_the_rank_of_their_frequency(loaders):
    train = loaders[0]._dataset
    sampler = RankSampler(train, 0.3).set_phase("train")
    with numpy_seed(1):
        drawn = np.bincount(sampler.sampling(200_000), minlength=train.item_num)
    assert drawn[0] == 0
    counts = np.bincount(train.inter_feat["item_id"].numpy(), minlength=train.item_num)
    by_rank = sorted(range(1, train.item_num), key=lambda item: (-counts[item], item))
    expected = rank_probabilities(train.item_num - 1, 0.3)
    np.testing.assert_allclose(drawn[by_rank] / 200_000, expected, atol=0.004)


def test_positives_that_a_source_repeats_leave_as_much_to_draw(loaders):
    train = loaders[0]._dataset
    often = torch.arange(len(train)).repeat(50)
    RankSampler(train.copy(train.inter_feat[often]), 0.3)


def test_what_can_be_asked_for_is_what_the_user_with_fewest_negatives_has():
    users, items = np.array([1, 2, 2, 2]), np.array([1, 1, 2, 3])
    sampler = CandidateSampler(users, items, 3, 10)
    with pytest.raises(ConfigError, match="7 negatives, but a user has only 6 labels"):
        sampler.candidates(users, 7, 1)
    assert sampler.candidates(users, 6, 1).shape == (4, 6)


def test_no_negative_is_a_training_positive_of_its_user(loaders):
    train = loaders[0]
    positives = set(
        zip(
            train._dataset.inter_feat["user_id"].tolist(),
            train._dataset.inter_feat["item_id"].tolist(),
            strict=True,
        )
    )
    drawn = set()
    for batch in train:
        assert torch.all(batch["neg_item_id"] > 0)
        drawn |= set(
            zip(batch["user_id"].tolist(), batch["neg_item_id"].tolist(), strict=True)
        )
    assert drawn
    assert not drawn & positives


def test_the_loader_draws_popular_negatives_more_often(loaders):
    train = loaders[0]._dataset
    counts = np.bincount(train.inter_feat["item_id"].numpy(), minlength=train.item_num)
    popular = counts[1:].argsort()[::-1][:5] + 1
    drawn = torch.cat([batch["neg_item_id"] for _ in range(20) for batch in loaders[0]])
    uniform = 5 / (train.item_num - 1)
    assert np.isin(drawn.numpy(), popular).mean() > 1.3 * uniform


def test_ranks_in_training_are_those_of_the_training_split(loaders):
    train = loaders[0]._dataset
    items = train.inter_feat["item_id"].numpy()
    counts = np.bincount(items, minlength=train.item_num)[1:]
    ranked = 1 + np.argsort(-counts, kind="stable")
    assert loaders[0]._sampler.by_rank.tolist() == ranked.tolist()
