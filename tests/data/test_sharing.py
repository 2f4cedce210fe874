"""Shares of batches put together are the batches of one process."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.masking import mask_items
from recbole_peterrec.data.sequence_dataset import TARGETS, SequenceDataset
from recbole_peterrec.data.sharing import SHARE, SharedTrainDataLoader, share_of_rows
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET

FEW = np.arange(2)  # rows of a batch that three processes share


@given(rows=st.integers(0, 50), size=st.integers(1, 9))
def test_every_row_is_one_processes_and_numbers_differ_by_one_at_most(rows, size):
    parts = [share_of_rows(rank, size, rows) for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture
def source(toy_config):
    config = toy_config(train_batch_size=10)
    dataset = SequenceDataset(config)
    return config, make_loaders(config, dataset)[0]


@pytest.fixture
def task(toy_config):
    def make(**changes):
        entry = {**TARGET, "train_batch_size": 10, **changes}
        config = toy_config("PeterRec", tasks=[entry])
        task, sequences = read_tasks(config)[0].config, SequenceDataset(config)
        make_loaders(config, sequences)
        return task, make_loaders(task, TaskDataset(task, sequences))[0]

    return make


def shares(config, loader, size, terms=None):
    """Each process's loader of what a loader gives one process."""
    made = []
    for rank in range(size):
        shared = SharedTrainDataLoader(
            config, loader._dataset, loader._sampler, True, rank, size
        )
        shared.terms = terms
        made.append(shared)
    return made


def epoch(loader):
    np.random.seed(0)
    return list(loader)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_windows_of_all_processes_are_those_of_one(source, size):
    config, loader = source
    parts = shares(config, loader, size, lambda rows: rows[TARGETS])
    for whole, *some in zip(epoch(loader), *map(epoch, parts), strict=True):
        mine = [part for part in some if part[SHARE].sum() > 0]
        for column in (TARGETS, loader._dataset.uid_field):
            found = torch.cat([part[column] for part in mine])
            assert found.tolist() == whole[column].tolist()
        assert sum(part[SHARE].sum().item() for part in some) == pytest.approx(1)
        for part in mine:
            expected = part[TARGETS] / whole[TARGETS].sum()
            torch.testing.assert_close(part[SHARE], expected.double())


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("transformed", [False, True])
def test_negatives_of_all_processes_are_those_of_one(task, negatives, transformed):
    drawn = {"distribution": "uniform", "sample_num": negatives}
    config, loader = task(train_neg_sample_args=drawn)
    parts = shares(config, loader, 2)
    for part in parts:  # made whole first, as where rows are changed by chance
        if transformed:
            part.rows_first, part._sampler = False, loader._sampler
    item = loader._dataset.iid_field
    names = [loader._dataset.uid_field, item, f"neg_{item}"]
    for whole, *some in zip(epoch(loader), *map(epoch, parts), strict=True):
        rows = {
            tuple(int(part[name][i]) for name in names)
            for part in some
            for i in range(len(part))
            if part[SHARE][i] > 0
        }
        assert rows == {
            tuple(int(whole[name][i]) for name in names) for i in range(len(whole))
        }
        assert sum(len(part) for part in some) == len(whole)
        assert sum(part[SHARE].sum().item() for part in some) == pytest.approx(1)


def test_a_process_without_rows_takes_part_without_weight(source):
    config, loader = source
    parts = shares(config, loader, 3)
    lengths = [len(part.collate_fn(FEW)) for part in parts]
    weights = [part.collate_fn(FEW)[SHARE].sum().item() for part in parts]
    assert lengths == [1, 1, 1]
    assert sorted(weights) == [0, 0.5, 0.5]


def test_grec_counts_the_items_that_it_masks(toy_config):
    config = toy_config("GRec", mask_ratio=0.3)
    dataset = SequenceDataset(config)
    loader = make_loaders(config, dataset)[0]
    model = GRec(config, loader._dataset)
    for batch in loader:
        items, lengths = batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN]
        _, hidden = mask_items(items, lengths, 0.3, 99)
        assert model.loss_terms(batch).tolist() == hidden.sum(1).tolist()


def test_evaluation_batches_stay_whole_and_are_taken_in_turn(toy_config):
    config = toy_config(eval_batch_size=7)
    _, _, test = make_loaders(config, SequenceDataset(config))
    field = test._dataset.uid_field
    whole = [batch[0][field].tolist() for batch in test]
    for rank in range(2):
        with test.only(rank, 2):
            assert [b[0][field].tolist() for b in test] == whole[rank::2]
    assert [batch[0][field].tolist() for batch in test] == whole
