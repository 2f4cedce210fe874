"""A share of a task's training instances: nested, and all else as it is with the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from recbole_peterrec.config import Config
from recbole_peterrec.data import task_dataset
from recbole_peterrec.data.identity import data_digest
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.data.train_share import learned_rows
from recbole_peterrec.errors import DataError
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, TASKS, settings, write_toy

shares = st.floats(0, 1, exclude_min=True)
seeds = st.integers(0, 2**31 - 1)


@given(st.integers(0, 300), shares, shares, seeds)
def test_a_larger_share_holds_a_smaller_one_s_rows(rows, one, other, seed):
    small, large = (learned_rows(rows, share, seed) for share in sorted((one, other)))
    assert set(small) <= set(large) <= set(range(rows))
    for kept, share in ((small, min(one, other)), (large, max(one, other))):
        assert list(kept) == sorted(set(kept))
        assert abs(len(kept) - share * rows) <= 0.5 + 1e-9
        assert (kept == learned_rows(rows, share, seed)).all()


@given(st.integers(0, 300), seeds)
def test_the_whole_share_is_all_rows_in_their_order(rows, seed):
    assert learned_rows(rows, 1, seed).tolist() == list(range(rows))


def test_each_row_is_as_likely_kept():
    times = np.bincount(
        np.concatenate([learned_rows(20, 0.3, seed) for seed in range(2000)]),
        minlength=20,
    )
    assert times.sum() == 2000 * 6  # each 600 times, standard deviation 20
    assert abs(times - 600).max() < 100


@pytest.fixture(scope="module")
def loaders_of(tmp_path_factory):
    """Makes the loaders of a task with other keys; the source is the same."""
    folder = write_toy(tmp_path_factory.mktemp("toy"))

    def config(tasks, **keys):
        keys = settings(folder, tasks=tasks, **keys)
        return Config("PeterRec", "toy", config_dict=keys)

    source = SequenceDataset(config(TASKS))
    source.build()

    def make(definition, seed=2020, **changes):
        tasks = [{**definition, **changes}]
        task = read_tasks(config(tasks, seed=seed))[0].config
        return make_loaders(task, TaskDataset(task, source))

    return make


def instances(loader):
    dataset = loader._dataset
    rows = dataset.inter_feat
    columns = (rows[dataset.uid_field].tolist(), rows[dataset.iid_field].tolist())
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("definition", [TARGET, TASKS[0]], ids=["items", "profile"])
def test_all_but_the_training_rows_stay(loaders_of, definition):
    whole = loaders_of(definition)
    before = set()
    for share in (0.1, 0.2, 0.6, 1.0):
        learned, *others = loaders_of(definition, train_share=share)
        rows = instances(learned)
        assert len(rows) == round(share * len(whole[0]._dataset))
        assert before < set(rows) <= set(instances(whole[0]))
        assert rows == [row for row in instances(whole[0]) if row in set(rows)]
        before = set(rows)
        for loader, expected in zip(others, whole[1:], strict=True):
            assert instances(loader) == instances(expected)
            if definition is TARGET:  # ranked against the same candidates
                assert torch.equal(loader.candidates, expected.candidates)
        assert learned._dataset.labels == whole[0]._dataset.labels
        assert learned._dataset.user_num == whole[0]._dataset.user_num


@pytest.mark.parametrize("rho", [None, 0.3], ids=["uniform", "by rank"])
@limits(max_examples=5, deadline=None)
@given(share=st.floats(0.05, 0.9))
def test_a_dropped_positive_is_no_negative(loaders_of, rho, share):
    loaders = loaders_of(TARGET, rank_rho=rho, train_share=share)
    whole = set(instances(loaders_of(TARGET, rank_rho=rho)[0]))
    dropped = whole - set(instances(loaders[0]))
    assert dropped
    drawn = {
        pair
        for _ in range(30)
        for batch in loaders[0]
        for pair in zip(
            batch["user_id"].tolist(), batch["neg_item_id"].tolist(), strict=True
        )
    }
    assert drawn and not drawn & whole
    for loader in loaders[1:]:
        for (user, _), candidates in zip(
            instances(loader), loader.candidates.tolist(), strict=True
        ):
            assert not dropped & {(user, item) for item in candidates}


def test_the_whole_share_is_the_split_itself_without_a_draw(loaders_of, monkeypatch):
    monkeypatch.setattr(task_dataset, "learned_rows", None)
    whole = loaders_of(TASKS[0], train_share=1.0)[0]._dataset
    assert whole.learned() is whole


def test_a_share_of_no_instance_is_refused(loaders_of):
    with pytest.raises(
        DataError, match=r"^train_share 0\.001 of \d+ training instances"
    ):
        loaders_of(TASKS[0], train_share=0.001)


def test_what_a_share_leaves_out_is_of_the_data_that_a_run_goes_on_with(
    toy_config, tmp_path
):
    target = {**TARGET, "train_share": 0.2}
    file = tmp_path / "data" / "shop" / "shop.inter"
    digests = []
    for dropped in (None, 3, 5):
        config = toy_config("PeterRec", tasks=[target])
        lines = file.read_text().splitlines()
        if dropped:
            user, _, *rest = lines[dropped].split("\t")
            lines[dropped] = "\t".join([user, "i0", *rest])
            file.write_text("\n".join(lines) + "\n")
        source = SequenceDataset(config)
        source.build()
        (task,) = read_tasks(config)
        dataset = TaskDataset(task.config, source)
        digests.append(data_digest(dataset, make_loaders(task.config, dataset)))
    assert len(set(digests)) == 3


def test_which_instances_are_learned_depends_on_the_seed(loaders_of):
    places = []
    for seed in (1, 2):
        whole = instances(loaders_of(TARGET, seed=seed)[0])
        learned = instances(loaders_of(TARGET, seed=seed, train_share=0.3)[0])
        places.append([whole.index(row) for row in learned])
    assert places[0] != places[1]


def test_an_instance_that_a_share_leaves_out_is_of_the_data(toy_config):
    config = toy_config("PeterRec", tasks=[{**TARGET, "train_share": 0.2}])
    source = SequenceDataset(config)
    source.build()
    (task,) = read_tasks(config)
    dataset = TaskDataset(task.config, source)
    loaders = make_loaders(task.config, dataset)
    before = data_digest(dataset, loaders)
    read = {pair for loader in loaders for pair in instances(loader)}
    rows = dataset.inter_feat
    pairs = list(zip(rows["user_id"].tolist(), rows["item_id"].tolist(), strict=True))
    (dropped, *_) = [row for row, pair in enumerate(pairs) if pair not in read]
    rows["item_id"][dropped] = 1 + rows["item_id"][dropped] % (dataset.item_num - 1)
    assert data_digest(dataset, loaders) != before
