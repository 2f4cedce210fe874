"""Instances of tasks: labels, brackets, users and splits."""

import pytest
import torch

from recbole_peterrec.data.brackets import bracket_names
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import DataError
from recbole_peterrec.tasks import read_tasks
from tests.toy import INTER, TARGET, TASKS, USER, write_table

AGES = [(f"u{i}", age, "M") for i, age in enumerate([19, 20, 29, 30, 60, 61])]
DECADES = {"name": "age", "kind": "profile", "field": "age", "bins": [20, 30, 60]}


@pytest.fixture
def task(toy_config):
    def make(definition, **changes):
        config = toy_config("PeterRec", tasks=[definition], **changes)
        source = SequenceDataset(config)
        source.build()
        return TaskDataset(read_tasks(config)[0].config, source)

    return make


def labels_by_user(dataset):
    dataset._change_feat_format()
    rows = dataset.inter_feat
    users = dataset.id2token("user_id", rows["user_id"])
    return dict(
        zip(users, dataset.id2token(dataset.iid_field, rows["age"]), strict=True)
    )


def test_a_bracket_holds_its_lower_bound(task, tmp_path, toy_config):
    write_table(
        tmp_path / "data" / "toy" / "toy.user",
        ("user_id:token", "age:token", "gender:token"),
        AGES,
    )
    dataset = task(DECADES)
    assert dataset.labels == ["<20", "20-30", "30-60", "60+"]
    assert list(labels_by_user(dataset).values()) == [
        "<20",
        "20-30",
        "20-30",
        "30-60",
        "60+",
        "60+",
    ]


def test_bracket_names_of_one_cut():
    assert bracket_names([50]) == ["<50", "50+"]


def test_users_without_a_sequence_are_counted_and_left_out(task, tmp_path):
    write_table(
        tmp_path / "data" / "toy" / "toy.user",
        ("user_id:token", "age:token", "gender:token"),
        [*AGES, ("stranger", 33, "F"), ("stranger2", 34, "F")],
    )
    dataset = task(DECADES)
    assert dataset.unmatched_users == 2
    assert set(labels_by_user(dataset)) == {f"u{i}" for i in range(6)}


def test_the_split_depends_on_the_seed_alone(task):
    parts = []
    for state in (1, 2):
        torch.manual_seed(state)
        parts.append(task(DECADES).build())
    for one, other in zip(*parts, strict=True):
        for field in ("user_id", "age"):
            assert torch.equal(one.inter_feat[field], other.inter_feat[field])


def test_a_recommendation_task_has_its_own_items_and_intervals(task, tmp_path):
    dataset = task({**TARGET, "val_interval": {"rating": "[4,5]"}})
    assert all(token.startswith("p") for token in dataset.labels)
    rows = (tmp_path / "data" / "shop" / "shop.inter").read_text().splitlines()[1:]
    kept = [row for row in rows if float(row.split("\t")[2]) >= 4]
    assert len(dataset.inter_feat) == len(kept) < len(rows)


@pytest.mark.parametrize(
    ("interval", "kept"),
    [
        ({"item_id": ["p1", "p2"]}, lambda row: row[1] in ("p1", "p2")),
        ({"timestamp": "[20000,inf)"}, lambda row: float(row[3]) >= 20000),
        ({"user_id": ["u1", "u2", "u3"]}, lambda row: row[0] in ("u1", "u2", "u3")),
    ],
    ids=["item_id", "timestamp", "user_id"],
)
def test_an_interval_of_a_column_that_is_needed_leaves_it(
    task, tmp_path, interval, kept
):
    by_time = {**TARGET["eval_args"], "order": "TO"}
    dataset = task({**TARGET, "val_interval": interval, "eval_args": by_time})
    rows = (tmp_path / "data/shop/shop.inter").read_text().splitlines()[1:]
    assert len(dataset.inter_feat) == sum(kept(row.split("\t")) for row in rows)
    assert sum(map(len, dataset.build())) == len(dataset.inter_feat)


def test_an_interval_of_the_label_leaves_it(task):
    dataset = task(
        {
            "name": "gender",
            "kind": "profile",
            "field": "age",
            "val_interval": {"age": ["30", "31", "32", "33", "34", "35"]},
        }
    )
    assert set(dataset.labels) <= {"30", "31", "32", "33", "34", "35"}


def test_the_order_of_time_needs_a_column_of_times(task, tmp_path, toy_config):
    toy_config()
    rows = [(f"u{i % 9}", f"p{i % 4}") for i in range(36)]
    write_table(tmp_path / "data/shop/shop.inter", INTER[:2], rows)
    by_time = {**TARGET["eval_args"], "order": "TO"}
    with pytest.raises(DataError, match="has no column 'timestamp'"):
        task({**TARGET, "eval_args": by_time})


def test_a_label_is_one_value(task, tmp_path, toy_config):
    toy_config()
    users = [(f"u{i}", "a b", "M") for i in range(12)]
    header = ("user_id:token", "age:token_seq", "gender:token")
    write_table(tmp_path / "data/toy/toy.user", header, users)
    with pytest.raises(DataError, match="'age' has type token_seq; here it must be"):
        task({"name": "age", "kind": "profile", "field": "age"})


def test_an_instance_carries_its_users_most_recent_items(task):
    dataset = task({**DECADES, "MAX_ITEM_LIST_LENGTH": 3})
    train = dataset.build()[0]
    rows = train[torch.arange(len(train))]
    source = dataset.source
    for user, items, length in zip(
        rows["user_id"], rows["item_id_list"], rows["item_length"], strict=True
    ):
        token = dataset.id2token("user_id", user.item())
        known = source.token2id("user_id", token)
        expected, _ = source.histories(torch.tensor([known]), 3)
        assert items[:length].tolist() == expected[0, :length].tolist()


def test_of_users_a_task_keeps_ids_and_no_map_of_their_tokens(task):
    """Of a hundred tasks' users, these were most of what stayed in memory."""
    dataset = task(DECADES)
    splits = dataset.build()
    assert all("user_id" not in part.field2token_id for part in (dataset, *splits))
    assert dataset.id2token("user_id", 1).startswith("u")


def test_repeated_instances_are_left_out(task, tmp_path, toy_config):
    toy_config()
    rows = [(f"u{i % 9}", f"p{i % 4}", 5, i) for i in range(36)]
    write_table(tmp_path / "data/shop/shop.inter", INTER, rows * 3)
    dataset = task({**TARGET, "eval_args": {"mode": "full"}})
    assert len(dataset.inter_feat) == len({row[:2] for row in rows})


def test_a_user_with_two_values_is_an_error(task, tmp_path, toy_config):
    toy_config()
    users = [*AGES, ("u0", 40, "F")]
    write_table(tmp_path / "data/toy/toy.user", USER, users)
    with pytest.raises(DataError, match="user 'u0' has several values of gender"):
        task({"name": "gender", "kind": "profile", "field": "gender"})


def test_numbers_that_differ_are_labels_that_differ(task, tmp_path, toy_config):
    toy_config()
    days = [(f"u{i}", 20200101 + i % 3, "M") for i in range(12)]
    header = ("user_id:token", "age:float", "gender:token")
    write_table(tmp_path / "data/toy/toy.user", header, days)
    dataset = task({"name": "age", "kind": "profile", "field": "age"})
    assert dataset.labels == ["20200101", "20200102", "20200103"]
    assert bracket_names([1000001, 1000002.5]) == [
        "<1000001",
        "1000001-1000002.5",
        "1000002.5+",
    ]


def test_rows_are_kept_by_the_tokens_of_a_column(task, tmp_path):
    rows = [
        (f"u{i % 20}", f"p{i % 7}", ("buy", "click", "view")[i % 3]) for i in range(90)
    ]
    header = ("user_id:token", "item_id:token", "kind:token")
    write_table(tmp_path / "data" / "deeds" / "deeds.inter", header, rows)
    kept = {"val_interval": {"kind": ["buy", "view"]}}
    dataset = task({**TARGET, "dataset": "deeds", **kept})
    dataset._change_feat_format()
    found = zip(
        *(
            dataset.id2token(field, dataset.inter_feat[field])
            for field in ("user_id", "item_id")
        ),
        strict=True,
    )
    assert set(found) == {(user, item) for user, item, kind in rows if kind != "click"}


@pytest.mark.parametrize("kind", ["profile", "recommendation"])
def test_rows_without_user_beside_rows_without_label_are_refused(task, tmp_path, kind):
    rows = [(f"u{i}", "ab"[i % 2]) for i in range(20)]
    rows += [("", "a"), ("u20", ""), ("u21", "")]
    suffix = "user" if kind == "profile" else "inter"
    header = ("user_id:token", "item_id:token")
    write_table(tmp_path / "data" / "gaps" / f"gaps.{suffix}", header, rows)
    definition = {**TARGET, "name": "gaps", "dataset": "gaps"}
    if kind == "profile":
        definition = {**DECADES, "name": "gaps", "dataset": "gaps", "bins": None}
        definition["field"] = "item_id"
    with pytest.raises(DataError, match="1 rows without user and 2 without item_id"):
        task(definition)


@pytest.mark.parametrize(("user", "absent"), [("u20", "sex"), ("", "user")])
def test_rows_that_are_left_out_are_counted_in_one_line(
    task, tmp_path, caplog, user, absent
):
    rows = [(f"u{i}", "ab"[i % 2]) for i in range(20)] + [(user, "")] * 3
    write_table(
        tmp_path / "data" / "gaps" / "gaps.user", ("user_id:token", "sex:token"), rows
    )
    dataset = task({**DECADES, "dataset": "gaps", "field": "sex", "bins": None})
    assert len(dataset.inter_feat) == 20
    (message,) = (r.message for r in caplog.records if "left out" in r.message)
    assert f"3 rows of {dataset.dataset_path}" in message
    assert message.endswith(f"without {absent} left out")


@pytest.mark.parametrize(
    ("bins", "kind", "told"),
    [(None, "float", 1), (None, "token", 0), ([30], "float", 0)],
)
def test_a_class_for_each_of_many_numbers_is_told(
    task, tmp_path, caplog, bins, kind, told
):
    rows = [(f"u{i}", 20 + i) for i in range(40)]
    header = ("user_id:token", f"age:{kind}")
    write_table(tmp_path / "data" / "many" / "many.user", header, rows)
    task({**DECADES, "dataset": "many", "bins": bins})
    messages = [r.message for r in caplog.records if "bins cuts" in r.message]
    assert len(messages) == told
    assert all("each of 40 values of age" in message for message in messages)


@pytest.mark.parametrize("first", ["F", "M"])
def test_classes_are_in_order_whatever_the_file_s(task, tmp_path, first):
    rows = [(f"u{i}", 30, first if i < 5 else "MF"[first == "M"]) for i in range(20)]
    write_table(tmp_path / "data" / "toy" / "toy.user", USER, rows)
    assert task(TASKS[0]).labels == ["F", "M"]


def shop_rows(tmp_path, rows):
    write_table(tmp_path / "data" / "shop" / "shop.inter", INTER, rows)


def kept_times(dataset):
    return sorted(dataset.inter_feat["timestamp"].tolist())


@pytest.mark.parametrize("backwards", [False, True])
def test_of_repeated_instances_in_time_the_earliest_is_kept(task, tmp_path, backwards):
    rows = [("u1", "p1", 5, 0), ("u1", "p2", 5, 200), ("u1", "p1", 5, 400)]
    rows += [("u2", f"p{i}", 5, 500 + i) for i in (1, 2)]
    shop_rows(tmp_path, rows[::-1] if backwards else rows)
    arguments = {"order": "TO", "split": {"LS": "valid_and_test"}, "group_by": "user"}
    dataset = task({**TARGET, "eval_args": arguments})
    assert kept_times(dataset) == [0, 200, 501, 502]


def test_a_repeated_instance_without_a_time_is_at_the_mean_of_all(task, tmp_path):
    """As RecBole puts it, which fills times in after its filters."""
    rows = [("u1", "p1", 5, ""), ("u1", "p1", 5, 300), ("u1", "p2", 5, 200)]
    rows += [("u2", f"p{i}", 5, 50 + i) for i in (1, 2)]
    shop_rows(tmp_path, rows)  # the mean is 150.75
    arguments = {"order": "TO", "split": {"LS": "valid_and_test"}, "group_by": "user"}
    dataset = task({**TARGET, "eval_args": arguments})
    assert 300 not in kept_times(dataset)
    assert len(dataset.inter_feat) == 4


def own_items(folder, users_rows):
    """(user, item) pairs of a file's rows that are chosen by rating."""
    lines = (folder / "data/toy/toy.inter").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {(user, item) for user, item, rating, _ in rows if users_rows(float(rating))}


@pytest.mark.parametrize("apart", [False, True])
def test_targets_that_stand_in_the_users_own_histories_are_told(
    task, tmp_path, caplog, apart
):
    own = {"val_interval": {"rating": "[4,5]"}} if apart else {}
    source = {"val_interval": {"rating": "[1,3]"}} if apart else {}
    dataset = task({**TARGET, "dataset": "toy", **own}, **source)
    dataset.build()
    targets = own_items(tmp_path, lambda rating: not apart or rating >= 4)
    histories = own_items(tmp_path, lambda rating: not apart or rating <= 3)
    known = {user for user, _ in histories}
    targets = {pair for pair in targets if pair[0] in known}
    held = len(targets & histories)
    told = f"{held} of {len(targets)} instances are items that the network reads in"
    assert (told in caplog.text) == bool(held)
    assert bool(held) != apart


def test_items_before_those_that_a_task_reads_are_not_told(task, caplog):
    definition = {**TARGET, "dataset": "toy", "MAX_ITEM_LIST_LENGTH": 1}
    dataset = task(definition)
    dataset.build()
    assert f" {dataset.user_num - 1} of {len(dataset)} instances" in caplog.text


def test_another_file_s_items_are_not_looked_for_in_histories(task, caplog):
    task(TARGET).build()
    assert "the network reads" not in caplog.text


def test_the_last_of_duplicates_is_by_time_where_rows_are_split_at_random(
    task, tmp_path
):
    rows = [("u1", "p1", 1, 200), ("u1", "p1", 5, 100)]
    rows += [(f"u{u}", f"p{i}", 5, 300) for u in (2, 3) for i in (1, 2)]
    shop_rows(tmp_path, rows)
    keys = {"rm_dup_inter": "last", "val_interval": {"rating": "[4,5]"}}
    dataset = task({**TARGET, **keys})
    assert len(dataset) == 4  # the last of u1 is rated 1
    assert set(dataset.inter_feat.columns) == {"user_id", "item_id"}


def test_classes_are_counted_after_they_are_cut(task, tmp_path):
    ages = [(f"u{i}", 20 + i, "M") for i in range(30)]
    write_table(tmp_path / "data" / "toy" / "toy.user", USER, ages)
    definition = DECADES | {"bins": [30, 40], "item_inter_num_interval": "[10,inf)"}
    assert task(definition).labels == ["<30", "30-40", "40+"]
    definition["item_inter_num_interval"] = "[11,inf)"
    with pytest.raises(DataError, match="no interaction is left"):
        task(definition)


def test_items_are_counted_by_the_instances_that_the_task_has(task, tmp_path):
    rows = [("u1", "p1", 5, t) for t in range(3)]  # one instance
    rows += [(f"x{i}", "p2", 5, 1) for i in range(10)] + [("u2", "p2", 5, 1)]
    rows += [(f"u{i}", item, 5, 1) for i in range(10) for item in ("p3", "p4")]
    shop_rows(tmp_path, rows)
    dataset = task({**TARGET, "item_inter_num_interval": "[3,inf)"})
    dataset._change_feat_format()
    assert dataset.labels == ["p3", "p4"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("normalize_field", ["timestamp"]),
        ("threshold", {"rating": 3}),
        ("numerical_features", ["rating"]),
        ("unused_col", {"inter": ["rating"]}),
    ],
)
def test_what_is_made_of_the_sources_columns_is_not_made_of_a_tasks(task, key, value):
    assert task(TASKS[0], **{key: value}).labels == ["F", "M"]


def users_of(part):
    return part.id2token("user_id", part.inter_feat["user_id"]).tolist()


def test_another_seed_makes_another_split(task):
    parts = [task(TASKS[0], seed=seed).build() for seed in (1, 2)]
    tested = [set(users_of(part[2])) for part in parts]
    assert tested[0] != tested[1]


def test_histories_are_told_with_the_lengths_of_their_own_users(task, tmp_path):
    toy = [(f"u{i}", f"i{n}", 5, n) for i in range(20) for n in range(i + 2)]
    write_table(tmp_path / "data" / "toy" / "toy.inter", INTER, toy)
    users = [(f"u{i}", 30, "FM"[i % 2]) for i in reversed(range(20))]
    write_table(tmp_path / "data" / "toy" / "toy.user", USER, users)
    train = task(TASKS[0]).build()[0]
    expected = [int(user[1:]) + 2 for user in users_of(train)]
    assert train.lengths().tolist() == expected
