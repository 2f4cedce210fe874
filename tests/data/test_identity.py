"""What the data of a run are told by."""

import pytest
from recbole.data.dataset import SequentialDataset

from recbole_peterrec.data.identity import data_digest
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from tests.toy import INTER, write_table

ROWS = [
    (user, f"i{item}", 5, time)
    for user, items in (("a", range(8)), ("b", (3, 1, 2, 0, 5, 4, 7, 6)))
    for time, item in enumerate(items)
]


def exchanged(rows, column, one, other):
    """Rows with two values of a column in each other's place."""
    names = {one: other, other: one}
    return [
        (*row[:column], names.get(row[column], row[column]), *row[column + 1 :])
        for row in rows
    ]


@pytest.mark.parametrize(
    "changed",
    [
        [*ROWS[:8], *exchanged(ROWS[8:], 1, "i2", "i0")],  # history of training only
        exchanged(ROWS, 0, "a", "b"),
        exchanged(ROWS, 1, "i0", "i1"),
        exchanged(ROWS[:8], 3, 2, 3) + ROWS[8:],
        ROWS[:-1],
    ],
    ids=["items", "users' names", "items' names", "order", "number"],
)
def test_other_data_of_a_source_have_another_digest(toy_config, tmp_path, changed):
    digests = []
    for rows in (ROWS, ROWS, changed):
        write_table(tmp_path / "data" / "pair" / "pair.inter", INTER, rows)
        config = toy_config(dataset="pair")
        dataset = SequenceDataset(config)
        digests.append(data_digest(dataset, make_loaders(config, dataset)))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("kind", ["user", "item"])
def test_columns_of_users_and_items_are_of_the_data(toy_config, tmp_path, kind):
    columns = {
        f"{kind}": [f"{kind}_id", "class"],
        "inter": ["user_id", "item_id", "timestamp"],
    }
    file = tmp_path / "data" / "toy" / f"toy.{kind}"
    digests = []
    for classes in (3, 3, 4):
        rows = [(f"{kind[0]}{i}", f"c{i % classes}") for i in range(60)]
        write_table(file, (f"{kind}_id:token", "class:token"), rows)
        config = toy_config("GRU4Rec", load_col=columns)
        dataset = SequentialDataset(config)
        digests.append(data_digest(dataset, make_loaders(config, dataset)))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("phase", [1, 2])
def test_candidates_of_each_split_are_of_the_data(toy_config, phase):
    config = toy_config(eval_args={"mode": "uni5"})
    dataset = SequenceDataset(config)
    loaders = make_loaders(config, dataset)
    before = data_digest(dataset, loaders)
    loaders[phase].candidates[-1, -1] += 1
    assert data_digest(dataset, loaders) != before
