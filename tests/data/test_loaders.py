"""Fixed candidates, and one case an instance."""

import numpy as np
import pytest
import torch
from recbole.data.dataset import SequentialDataset

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.samplers import CandidateSampler
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.tasks import read_tasks
from tests.toy import INTER, TARGET, inter_rows, write_table

UNI = {
    "split": {"LS": "valid_and_test"},
    "order": "TO",
    "group_by": "user",
    "mode": "uni7",
}


def visible(loader):
    """Ids that are ranked in each row, as sets, and the rows' users."""
    found = []
    for rows, candidates, _, targets in loader:
        for user, shown, target in zip(
            rows["user_id"], candidates, targets, strict=True
        ):
            found.append((user.item(), target.item(), set(shown.tolist())))
    return found


def test_candidates_are_distinct_and_no_positive_of_their_user(toy_config):
    dataset = SequenceDataset(toy_config(eval_args=UNI))
    loaders = make_loaders(toy_config(eval_args=UNI), dataset)
    users, items = dataset.interactions()
    for loader in loaders[1:]:
        for user, target, shown in visible(loader):
            assert len(shown) == 7
            assert 0 not in shown
            assert target not in shown
            assert not shown & set(items[users == user].tolist())


def test_users_of_all_interactions_are_made_for_candidates_alone(
    toy_config, monkeypatch
):
    """Of 147 million interactions they are 600 MB."""
    asked, made = [], SequenceDataset.interactions

    def noted(dataset):
        asked.append(dataset)
        return made(dataset)

    monkeypatch.setattr(SequenceDataset, "interactions", noted)
    for mode, times in (("full", 0), ("uni7", 2)):  # of validation and of test
        eval_args = UNI | {"mode": mode}
        config = toy_config(eval_args=eval_args)
        make_loaders(config, SequenceDataset(config))
        assert len(asked) == times


def test_candidates_depend_on_the_seed_alone(toy_config):
    np.random.seed(1)
    first = visible(
        make_loaders(
            toy_config(eval_args=UNI), SequenceDataset(toy_config(eval_args=UNI))
        )[2]
    )
    np.random.seed(2)
    theirs = toy_config("SASRec", eval_args=UNI)
    second = visible(make_loaders(theirs, SequentialDataset(theirs))[2])
    assert first == second
    other = toy_config(eval_args=UNI, seed=5)
    assert visible(make_loaders(other, SequenceDataset(other))[2]) != first


def test_more_negatives_than_items_is_refused(toy_config):
    config = toy_config(eval_args={**UNI, "mode": "uni99"})
    with pytest.raises(ConfigError, match="99 negatives"):
        make_loaders(config, SequenceDataset(config))


@pytest.mark.parametrize("mode", ["full", "uni5"])
def test_a_user_with_several_targets_is_a_case_for_each(toy_config, mode):
    target = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": mode}}
    config = toy_config("PeterRec", tasks=[target])
    source = SequenceDataset(config)
    source.build()
    task = read_tasks(config)[0]
    _, _, test = make_loaders(task.config, TaskDataset(task.config, source))
    users = test._dataset.inter_feat["user_id"]
    assert len(users.unique()) < len(users)
    cases = sum(len(torch.unique(batch[2])) for batch in test)
    assert cases == len(users)


def test_popular_negatives_that_nobody_has_are_not_waited_for():
    users, items = np.repeat([1, 2], 3), np.array([1, 2, 3, 3, 4, 5])
    sampler = CandidateSampler(users, items, 3, 40, "popularity")
    drawn = sampler.candidates(np.array([1, 2]), 2, seed=1)
    assert [set(row) for row in drawn.tolist()] == [{4, 5}, {1, 2}]
    with pytest.raises(ConfigError, match="asks for 3 negatives"):
        sampler.candidates(np.array([1]), 3, seed=1)


def test_the_order_of_positives_does_not_matter():
    users, items = np.repeat(np.arange(1, 5), 6), np.tile(np.arange(1, 13), 2)
    shuffled = np.random.default_rng(1).permutation(len(users))
    drawn = [
        CandidateSampler(users[order], items[order], 5, 30).candidates(users, 9, seed=1)
        for order in (slice(None), shuffled)
    ]
    assert (drawn[0] == drawn[1]).all()
    for user, row in zip(users, drawn[0], strict=True):
        assert not set(row) & set(items[users == user])


def test_popular_negatives_are_drawn_as_often_as_they_occur():
    items = np.repeat([1, 2, 4], [600, 300, 100])
    sampler = CandidateSampler(np.arange(1000), items, 1001, 6, "popularity")
    np.random.seed(3)
    drawn = np.bincount(sampler.sampling(20_000), minlength=6) / 20_000
    np.testing.assert_allclose(drawn, [0, 0.6, 0.3, 0, 0.1, 0], atol=0.02)


@pytest.mark.parametrize("mode", ["uni5", "pop5"])
@pytest.mark.parametrize("longest", [1, 10])
def test_recboles_models_are_ranked_against_the_same_candidates(
    toy_config, tmp_path, mode, longest
):
    rows = inter_rows(60, 30, seed=1, shortest=4, longest=9)
    # Users with one interaction are in no row; popularity has theirs all the same.
    rows += [(f"once{i}", f"i{i % 2}", 5, i) for i in range(200)]
    write_table(tmp_path / "data" / "once" / "once.inter", INTER, rows)
    changes = {"eval_args": {**UNI, "mode": mode}, "MAX_ITEM_LIST_LENGTH": longest}
    found = []
    for model, dataset in (
        ("NextItNetAR", SequenceDataset),
        ("SASRec", SequentialDataset),
    ):
        config = toy_config(model, "once", **changes)
        loaders = make_loaders(config, dataset(config))[1:]
        found.append([visible(loader) for loader in loaders])
    assert found[0] == found[1]


def test_no_candidate_of_a_task_is_a_positive_of_its_user_in_another_split(toy_config):
    config = toy_config("PeterRec", tasks=[TARGET])
    source = SequenceDataset(config)
    source.build()
    task = read_tasks(config)[0].config
    dataset = TaskDataset(task, source)
    rows = dataset.inter_feat
    users, items = (np.array(rows[field]) for field in ("user_id", "item_id"))
    for loader in make_loaders(task, dataset)[1:]:
        for user, _, shown in visible(loader):
            assert not shown & set(items[users == user].tolist())


def test_drawing_candidates_leaves_numpy_s_generator_as_it_was():
    users, items = np.repeat([1, 2], 3), np.array([1, 2, 3, 3, 4, 5])
    sampler = CandidateSampler(users, items, 3, 40)
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    sampler.candidates(np.array([1, 2]), 5, seed=3)
    assert np.random.random() == expected


def test_validation_and_test_rows_have_candidates_of_their_own(toy_config):
    config = toy_config(eval_args=UNI)
    _, valid, test = make_loaders(config, SequenceDataset(config))
    users = [part._dataset.inter_feat["user_id"] for part in (valid, test)]
    assert torch.equal(*users)
    assert not torch.equal(valid.candidates, test.candidates)


def test_rows_stay_in_their_order_where_shuffle_is_off(toy_config):
    config = toy_config(shuffle=False, train_batch_size=7)
    train = make_loaders(config, SequenceDataset(config))[0]
    users = torch.cat([batch["user_id"] for batch in train])
    assert torch.equal(users, train._dataset.inter_feat["user_id"])
