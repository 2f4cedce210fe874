"""The source dataset against RecBole's own, row by row."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.dataset import SequentialDataset
from recbole.sampler import RepeatableSampler

from recbole_peterrec.data.sequence_dataset import TARGETS, SequenceDataset
from recbole_peterrec.data.sequences import Sequences, held_out_users, leave_one_out
from recbole_peterrec.data.stock_dataset import StockSequenceDataset
from recbole_peterrec.errors import ConfigError

LENGTH = 10


def rows_of(dataset):
    """(user, target, history) of each row, in order, as tokens."""
    if not len(dataset):
        return []
    rows = dataset[torch.arange(len(dataset))]
    tokens = dataset.field2id_token["item_id"]
    return [
        (
            dataset.field2id_token["user_id"][user],
            tokens[target],
            [tokens[i] for i in history[:length]],
        )
        for user, target, history, length in zip(
            rows["user_id"].tolist(),
            rows["item_id"].tolist(),
            rows["item_id_list"].tolist(),
            rows["item_length"].tolist(),
            strict=True,
        )
    ]


def window_targets(train):
    rows = train[torch.arange(len(train))]
    found = Counter()
    for user, items, length, targets in zip(
        rows["user_id"].tolist(),
        rows["item_id_list"].tolist(),
        rows["item_length"].tolist(),
        rows[TARGETS].tolist(),
        strict=True,
    ):
        assert length <= LENGTH + 1
        for item in items[length - targets : length]:
            found[user, item] += 1
    return found


def test_evaluation_rows_are_recboles(uneven_config):
    ours = SequenceDataset(uneven_config()).build()
    theirs = SequentialDataset(uneven_config("SASRec")).build()
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert rows_of(mine) == rows_of(other)
        assert len(mine)


def test_training_targets_are_recboles_each_once(uneven_config):
    train = SequenceDataset(uneven_config()).build()[0]
    theirs = SequentialDataset(uneven_config("SASRec")).build()[0]
    pairs = zip(
        theirs.inter_feat["user_id"].tolist(),
        theirs.inter_feat["item_id"].tolist(),
        strict=True,
    )
    assert window_targets(train) == Counter(pairs)


def test_recboles_sampler_draws_by_the_same_popularity(uneven_config):
    def drawn_by(dataset):
        dataset.build()
        items = dataset.field2id_token["item_id"]
        chances = RepeatableSampler("train", dataset, "popularity").prob
        return {items[item]: chance for item, chance in chances.items()}

    keys = {"eval_args": {"mode": "pop5"}}
    ours, theirs = (
        drawn_by(kind(uneven_config(model, **keys)))
        for kind, model in (
            (StockSequenceDataset, "NextItNetAR"),
            (SequentialDataset, "SASRec"),
        )
    )
    assert ours == theirs
    assert len(ours) > 10


def test_targets_of_all_splits_are_all_but_the_first_interactions(toy_config):
    dataset = SequenceDataset(toy_config())
    train, valid, test = dataset.build()
    found = window_targets(train)
    for part in (valid, test):
        found.update(
            zip(
                part.inter_feat["user_id"].tolist(),
                part.inter_feat["item_id"].tolist(),
                strict=True,
            )
        )
    users, items = dataset.interactions()
    first = np.diff(users, prepend=-1) != 0
    expected = Counter(zip(users[~first].tolist(), items[~first].tolist(), strict=True))
    assert found == expected


def test_held_out_users_are_whole_and_ranked_on_their_last_item(toy_config):
    split = {"split": {"RS": [0.7, 0.2, 0.1]}, "order": "RO", "mode": "full"}
    dataset = SequenceDataset(toy_config(eval_args=split))
    train, valid, test = dataset.build()
    groups = [set(part.inter_feat["user_id"].tolist()) for part in (train, valid, test)]
    assert [len(group) for group in groups] == [42, 12, 6]
    assert len(set.union(*groups)) == 60
    users, items = dataset.interactions()
    last = dict(zip(users.tolist(), items.tolist(), strict=True))
    for part in (valid, test):
        rows = zip(
            part.inter_feat["user_id"].tolist(),
            part.inter_feat["item_id"].tolist(),
            strict=True,
        )
        assert all(last[user] == item for user, item in rows)
    again = SequenceDataset(toy_config(eval_args=split)).build()
    assert groups[1] == set(again[1].inter_feat["user_id"].tolist())


def test_shares_of_users_may_be_any_numbers(toy_config):
    """As RecBole's: what counts is their proportion."""
    sizes = []
    for shares in ([0.7, 0.2, 0.1], [7, 2, 1], [0.35, 0.1, 0.05]):
        split = {"split": {"RS": shares}, "order": "RO", "mode": "full"}
        parts = SequenceDataset(toy_config(eval_args=split)).build()
        sizes.append([part.inter_feat["user_id"].unique().numel() for part in parts])
    assert sizes == [[42, 12, 6]] * 3


def test_histories_are_the_most_recent_items_in_order(uneven_config):
    dataset = SequenceDataset(uneven_config())
    dataset.build()
    user = dataset.token2id("user_id", "u25")
    items, lengths = dataset.histories(torch.tensor([user]), 6)
    tokens = [dataset.field2id_token["item_id"][i] for i in items[0].tolist()]
    assert tokens == [f"i{position}" for position in range(19, 25)]
    assert lengths.tolist() == [6]


def test_a_column_that_load_col_leaves_out_is_told_with_what_to_set(toy_config):
    """As stock RecBole's default does; our own config completes it."""
    config = toy_config()
    config["load_col"] = {"inter": ["user_id", "item_id"]}
    time = config["TIME_FIELD"]
    with pytest.raises(
        ConfigError,
        match=rf"leaves out {time}; set load_col: {{inter: \[user_id, item_id, {time}\]}}",
    ):
        SequenceDataset(config)


def test_only_the_recent_interactions_are_kept(toy_config):
    whole = SequenceDataset(toy_config())
    recent = SequenceDataset(toy_config(recent_interactions=5))
    whole.build(), recent.build()
    assert recent.item_num == whole.item_num
    for user in range(1, whole.user_num):
        kept, length = recent.histories(torch.tensor([user]), 100)
        expected, _ = whole.histories(torch.tensor([user]), 5)
        assert kept[0, :length].tolist() == expected[0].tolist()


def flat(sequences):
    """Sequences of (item, time), user 1 first, as flat arrays."""
    lengths = [0, *map(len, sequences)]
    rows = [row for rows in sequences for row in rows]
    return Sequences(
        np.array([item for item, _ in rows], dtype=np.int32),
        np.array([time for _, time in rows], dtype=np.float32),
        np.cumsum([0, *lengths]),
        np.array([f"u{n}" for n in range(len(lengths))]),
        np.array([f"i{n}" for n in range(100)]),
    )


timed = st.lists(
    st.lists(st.tuples(st.integers(1, 99), st.integers(0, 5)), min_size=1, max_size=7),
    min_size=1,
    max_size=9,
).map(lambda users: flat([sorted(rows, key=lambda r: r[1]) for rows in users]))


@pytest.mark.parametrize("at_once", [1, 3, 2**20])
@given(
    timed,
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 99))),
    st.none() | st.integers(1, 4),
)
def test_what_a_sequence_contains_is_found(at_once, sequences, pairs, most):
    pairs = [(min(user, len(sequences.lengths) - 1), item) for user, item in pairs]
    users, items = np.array(pairs, dtype=int).reshape(-1, 2).T
    owned = [
        set(sequences.items[begin:end][-(most or 0) :].tolist())
        for begin, end in itertools.pairwise(sequences.start)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_peterrec.data.sequences.AT_ONCE", at_once)
        found = sequences.contain(users, items, most)
    assert found.tolist() == [item in owned[user] for user, item in pairs]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=300), st.integers(1, 4))
def test_each_user_s_most_recent_interactions_are_told(lengths, most):
    """Of many users without any beside one another, too: there, stretches share an end."""
    lengths = [0, *lengths, *[0] * 200, 3]
    sequences = flat([[(1, 0)] * length for length in lengths[1:]])
    expected = [n >= length - most for length in lengths for n in range(length)]
    assert sequences.among_recent(most).tolist() == expected


@given(timed)
def test_leave_one_out_is_that_of_recboles_prefixes(sequences):
    """RecBole's way, spelled out: prefixes sorted by time, grouped by user, the last two held."""
    prefixes = [
        (sequences.times[position], user, position)
        for user in range(len(sequences.lengths))
        for position in range(sequences.start[user] + 1, sequences.start[user + 1])
    ]
    grouped = {}
    for _, user, position in sorted(prefixes, key=lambda prefix: prefix[0]):
        grouped.setdefault(user, []).append(position)
    train, valid, test = {}, [], []
    for user, rows in grouped.items():
        held = min(2, len(rows) - 1)
        train[user] = rows[: len(rows) - held]
        valid += rows[-2:-1] if held == 2 else []
        test += rows[-1:] if held else []
    found = leave_one_out(sequences)
    assert found.valid.tolist() == valid
    assert found.test.tolist() == test
    assert found.users.tolist() == sorted(train)
    first = sequences.start[found.users] + 1
    for user, a, b in zip(found.users, first, found.stop, strict=True):
        assert list(range(a, b)) == train[user]


def test_rows_found_directly_are_those_of_a_split_of_prefixes(uneven_config):
    """Windows and rows, all columns, bit for bit."""
    direct = SequenceDataset(uneven_config()).build()
    prefixes = SequenceDataset(uneven_config())
    prefixes._change_feat_format()
    for mine, other in zip(direct, prefixes._split_by_recbole(), strict=True):
        assert mine.inter_feat.columns == other.inter_feat.columns
        for column in mine.inter_feat:
            assert torch.equal(mine.inter_feat[column], other.inter_feat[column])


def test_unsplit_dataset_has_the_row_of_each_of_recboles_prefixes(uneven_config):
    ours, theirs = (
        SequenceDataset(uneven_config()),
        SequentialDataset(uneven_config("SASRec")),
    )
    for dataset in (ours, theirs):
        dataset._change_feat_format()
    assert len(ours) == len(theirs) == 1 + 2 + 3 + 24
    assert rows_of(ours) == rows_of(theirs)
    assert torch.equal(ours[2:9]["item_id"], theirs[2:9]["item_id"])


def test_held_out_users_rows_are_in_the_order_of_ids():
    rows = [[(1, 0), (2, 1)], [(3, 0), (4, 1), (5, 2)], [(6, 0), (7, 1)]]
    parts = (np.array(users, dtype=int) for users in ([3], [2, 1], []))
    found = held_out_users(flat(rows), *parts)
    assert found.users.tolist() == [3] and found.stop.tolist() == [7]
    assert found.valid.tolist() == [1, 4]
    assert found.test.tolist() == []


def test_users_are_held_out_by_the_seed(toy_config):
    held = []
    for seed in (1, 1, 2):
        config = toy_config(
            seed=seed,
            eval_args={
                "split": {"RS": [0.6, 0.2, 0.2]},
                "order": "RO",
                "group_by": "none",
            },
        )
        parts = SequenceDataset(config).build()
        held.append(parts[1].inter_feat["user_id"].tolist())
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize(("share", "context"), [(0, 1), (0.5, 6), (0.25, 3)])
def test_later_windows_repeat_the_share_that_is_asked_for(
    uneven_config, share, context
):
    train = SequenceDataset(uneven_config(window_overlap=share)).build()[0]
    rows = train.inter_feat
    before = rows["item_length"] - rows[TARGETS]
    later = before[rows["user_id"] == rows["user_id"].max()][1:]
    assert later.tolist() == [context] * len(later)
    assert len(later)


@pytest.mark.parametrize("unused", [{"user": ["age"]}, {"inter": ["timestamp"]}])
def test_rows_do_not_depend_on_columns_that_no_model_reads(toy_config, unused):
    plain, other = (
        SequenceDataset(toy_config(unused_col=columns)).build()
        for columns in (None, unused)
    )
    for part, same in zip(plain, other, strict=True):
        rows, others = part[:].interaction, same[:].interaction
        assert rows.keys() == others.keys()
        assert all(torch.equal(rows[key], others[key]) for key in rows)


def test_training_windows_are_in_the_order_of_users():
    rows = [[(1, 0), (2, 1)], [(3, 0), (4, 1), (5, 2)], [(6, 0), (7, 1)]]
    found = held_out_users(
        flat(rows), np.array([3, 1]), np.array([2]), np.array([], int)
    )
    assert found.users.tolist() == [1, 3] and found.stop.tolist() == [2, 7]


def test_a_part_of_an_item_is_not_repeated(uneven_config):
    train = SequenceDataset(uneven_config(window_overlap=0.19)).build()[0]
    rows = train.inter_feat
    before = rows["item_length"] - rows[TARGETS]
    later = before[rows["user_id"] == rows["user_id"].max()][1:]
    assert later.tolist() == [1 + int(0.19 * LENGTH)] * len(later)
