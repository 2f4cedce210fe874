"""Where item embeddings begin: who had which item, against NumPy's singular vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_peterrec.data.directions import item_directions
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.sequences import Sequences
from recbole_peterrec.errors import DataError


def sequences_of(*users, items=9):
    """Of lists of item ids; user 0 is padding."""
    lengths = [0, *map(len, users)]
    flat = np.array([item for user in users for item in user], dtype=np.int32)
    return Sequences(
        flat,
        np.zeros(len(flat), np.float32),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array([f"u{n}" for n in range(len(lengths))]),
        np.array([f"i{n}" for n in range(items)]),
    )


def everything(sequences):
    return np.ones(len(sequences), dtype=bool)


def expected_products(sequences, read, width):
    """Of all pairs of items, by NumPy: the turn at random leaves them as they are."""
    had = np.zeros((len(sequences.user_tokens), len(sequences.item_tokens)))
    for position in np.flatnonzero(read):
        user = np.searchsorted(sequences.start, position, side="right") - 1
        had[user, sequences.items[position]] = 1
    _, values, vectors = np.linalg.svd(had, full_matrices=False)
    table = vectors[:width].T * np.sqrt(values[:width])
    occurring = np.flatnonzero(had.any(0))
    table /= np.sqrt((table[occurring] ** 2).sum() / (len(occurring) * width))
    return table @ table.T


histories = st.lists(
    st.lists(st.integers(1, 8), min_size=1, max_size=12), min_size=1, max_size=7
)


@given(histories, st.sampled_from([8, 16]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_products_of_items_are_those_of_all_singular_directions(users, width, seed):
    sequences = sequences_of(*users)
    read = everything(sequences)
    table = item_directions(sequences, read, width, seed).numpy()
    assert table.shape == (9, width)
    wanted = expected_products(sequences, read, width)
    np.testing.assert_allclose(table @ table.T, wanted, atol=2e-4 * wanted.max())


def test_few_channels_hold_the_leading_directions():
    random = np.random.default_rng(0)
    users = [
        sorted(random.choice(200, 30, replace=False, p=weights) + 1)
        for weights in random.dirichlet(np.full(200, 0.3), 300)
    ]
    sequences = sequences_of(*users, items=201)
    read = everything(sequences)
    table = item_directions(sequences, read, 16, seed=3).numpy()
    wanted = expected_products(sequences, read, 16)
    off = np.linalg.norm(table @ table.T - wanted) / np.linalg.norm(wanted)
    assert off < 0.05


def test_only_interactions_that_are_read_count_and_each_pair_once():
    read = np.array([True, True, False, True, True])
    given_twice = item_directions(sequences_of([1, 2, 5], [2, 3]), read, 8, seed=1)
    once = sequences_of([1, 2, 1], [2, 3])
    wanted = item_directions(once, everything(once), 8, seed=1)
    assert torch.equal(given_twice, wanted)
    assert not given_twice[[0, 4, 5, 6, 7, 8]].any()
    assert given_twice[[1, 2, 3]].square().mean().item() == pytest.approx(1)


def test_rows_of_no_interaction_are_refused():
    with pytest.raises(DataError, match="no training rows"):
        item_directions(sequences_of([1, 2]), np.zeros(2, dtype=bool), 8, seed=1)


def test_a_seed_gives_the_same_bytes_and_draws_nothing_from_others_numbers():
    sequences = sequences_of([1, 2, 5], [2, 3], [4, 5, 6])
    state = torch.get_rng_state()
    first = item_directions(sequences, everything(sequences), 8, seed=1)
    again = item_directions(sequences, everything(sequences), 8, seed=1)
    other = item_directions(sequences, everything(sequences), 8, seed=2)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window_overlap": 0.7},
        {"eval_args": {"order": "RO", "split": {"RS": [0.5, 0.2, 0.3]}}},
        {"eval_args": {"order": "TO", "split": {"RS": [0.5, 0.2, 0.3]}}},
    ],
)
def test_read_in_training_is_what_the_windows_hold(uneven_config, changes):
    train, *_ = SequenceDataset(uneven_config(**changes)).build()
    rows = train[torch.arange(len(train))]
    held = {
        (user, item)
        for user, items, length in zip(
            rows["user_id"].tolist(),
            rows["item_id_list"].tolist(),
            rows["item_length"].tolist(),
            strict=True,
        )
        for item in items[:length]
    }
    position = np.flatnonzero(train.read_in_training())
    users = train.sequences.users_at(position)
    items = train.sequences.items[position]
    assert set(zip(users.tolist(), items.tolist(), strict=True)) == held
    assert len(position) < len(train.sequences)
    # No user of these has an item twice.
    counts = [sum(item == other for _, other in held) for item in range(train.item_num)]
    assert train.training_counts().tolist() == counts
