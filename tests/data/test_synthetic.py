"""The generator: sizes, determinism, RecBole reads it, and its structure is really there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from recbole_peterrec import run
from recbole_peterrec.data import synthetic
from recbole_peterrec.data.synthetic import (
    PRESETS,
    TASTES,
    Shape,
    _World,
    generate,
    main,
    tables,
)
from recbole_peterrec.errors import WriteError
from tests.toy import files_below

SHAPE = Shape(3_000, 30, 400, 20, 160, 3.0, 80, 1.0)


@pytest.fixture(scope="module")
def made():
    parts = list(tables(SHAPE, 1))
    return {name: pd.concat([part[name] for part in parts]) for name in parts[0]}


def bags(made):
    bag = np.zeros((SHAPE.users, SHAPE.items), dtype=np.float32)
    bag[made[".inter"]["user_id:token"], made[".inter"]["item_id:token"]] = 1
    return bag


def accuracy(features, labels):
    half = len(labels) // 2
    model = LogisticRegression(C=0.05, max_iter=500)
    return model.fit(features[:half], labels[:half]).score(
        features[half:], labels[half:]
    )


def test_sizes_are_as_promised(made):
    source = made[".inter"]
    per_user = source.groupby("user_id:token").size()
    assert len(per_user) == SHAPE.users
    assert per_user.min() >= 5
    assert per_user.mean() == pytest.approx(SHAPE.length, rel=0.05)
    for suffix, items, mean in (
        ("_click.inter", SHAPE.click_items, SHAPE.clicks),
        ("_like.inter", SHAPE.like_items, SHAPE.likes),
    ):
        rows = made[suffix]
        assert not rows.duplicated().any()
        assert rows["item_id:token"].between(0, items - 1).all()
        assert 0.7 * mean < len(rows) / SHAPE.users <= mean * 1.05
    profile = made[".user"]
    assert len(profile) == SHAPE.users
    assert set(profile["gender:token"]) == {"F", "M"}
    assert profile["age:float"].between(15, 70).all()
    assert profile["life_status:token"].nunique() == 6


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for place, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(tmp_path / place, "s", PRESETS["tiny"], seed)
    files = files_below(tmp_path / "a")
    assert files == {
        "s/s.inter",
        "s/s.user",
        "s_click/s_click.inter",
        "s_like/s_like.inter",
    }
    for file in files:
        content = [(tmp_path / place / file).read_bytes() for place in "abc"]
        assert content[0] == content[1]
        assert content[0] != content[2]


def test_what_is_made_in_parts_is_one_set_of_different_users(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "CHUNK", 150)
    generate(tmp_path, "s", PRESETS["tiny"], 3)
    users = pd.read_csv(tmp_path / "s" / "s.user", sep="\t")
    assert users["user_id:token"].tolist() == list(range(400))
    ages = users["age:float"].tolist()
    assert ages[:150] != ages[150:300]


def test_a_seed_that_numpy_does_not_take_is_one_line(tmp_path, capsys):
    assert main([f"--out={tmp_path / 'data'}", "--preset=tiny", "--seed=-1"]) == 2
    assert capsys.readouterr().err == "error: --seed must be at least 0, got -1\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../elsewhere", "", ".", "a/b", "a\nb", "-x"])
def test_a_name_that_no_folder_has_is_one_line(tmp_path, capsys, name):
    flags = [f"--out={tmp_path / 'data'}", "--preset=tiny", f"--name={name}"]
    assert main(flags) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: --name must be") and told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["gender:token", "life_status:token"])
def test_interests_tell_of_profiles_but_not_everything(made, label):
    labels = made[".user"][label].to_numpy()
    majority = pd.Series(labels).value_counts(normalize=True).iloc[0]
    reached = accuracy(bags(made), labels)
    assert majority + 0.05 < reached < 0.95


def test_clicks_tell_the_taste_that_the_source_shows_faintly(made):
    """The taste of a user's likes, guessed from clicks and from the source."""
    likes = made["_like.inter"].drop_duplicates("user_id:token")
    users = likes["user_id:token"].to_numpy()
    taste = likes["item_id:token"].to_numpy() // (SHAPE.like_items // TASTES)
    clicks = np.zeros((SHAPE.users, TASTES))
    rows = made["_click.inter"]
    group = rows["item_id:token"].to_numpy() // (SHAPE.click_items // TASTES)
    np.add.at(clicks, (rows["user_id:token"].to_numpy(), group), 1)
    by_clicks = accuracy(clicks[users], taste)
    by_source = accuracy(bags(made)[users], taste)
    assert by_clicks > by_source + 0.1
    assert by_source > 1 / TASTES + 0.03


def source_of(made):
    """The world, and of each row of the source its user, item by popularity, and topic."""
    world, rows = _World(SHAPE, 1), made[".inter"]
    place = np.argsort(world.item_token)[rows["item_id:token"].to_numpy()]
    topic = np.searchsorted(world.topic_start, place, side="right") - 1
    return world, rows["user_id:token"].to_numpy(), place, topic


def favourites_of(made):
    """Each user's most frequent topic in the source."""
    _, user, _, topic = source_of(made)
    counts = np.zeros((SHAPE.users, SHAPE.topics))
    np.add.at(counts, (user, topic), 1)
    return counts.argmax(1)


def test_the_next_item_depends_on_the_one_before(made):
    world, user, place, topic = source_of(made)
    pairs = user[1:] == user[:-1]
    stays = (topic[1:] == topic[:-1])[pairs].mean()
    moves = (topic[1:] == world.successor[topic[:-1]])[pairs].mean()
    follows = (place[1:] == place[:-1] + 1)[pairs].mean()
    assert stays > 0.45
    assert moves > 0.12
    assert follows > 0.1


def test_some_items_of_a_topic_are_more_popular_than_others(made):
    world, _, place, topic = source_of(made)
    rank = (place - world.topic_start[topic]) / world.topic_size[topic]
    assert (rank < 0.25).mean() > 0.4


def test_clicks_and_likes_are_about_the_topics_of_the_source(made):
    """Each in an order of the topics of its own."""
    world, favourites = _World(SHAPE, 1), favourites_of(made)
    for suffix, items, order in (
        ("_click.inter", SHAPE.click_items, np.arange(SHAPE.topics)),
        ("_like.inter", SHAPE.like_items, world.like_place),
    ):
        user, item = made[suffix].to_numpy().T
        group = items // TASTES
        place, expected = item % group, order[favourites] * group // SHAPE.topics
        by_chance = (place == np.roll(expected, 1)[user]).mean()
        assert (place == expected[user]).mean() > by_chance + 0.2


def test_ages_depend_on_interests_and_on_taste(made):
    """Users of one topic, and of one taste of their clicks, are of an age."""
    ages, rows = made[".user"]["age:float"], made["_click.inter"]
    taste = rows["item_id:token"] // (SHAPE.click_items // TASTES)
    taste = taste.groupby(rows["user_id:token"]).agg(lambda some: some.mode()[0])
    for groups in (favourites_of(made), taste.reindex(range(SHAPE.users))):
        assert ages.groupby(np.asarray(groups)).mean().std() > 3


def test_a_run_learns_on_it(tmp_path):
    generate(tmp_path, "synthetic", PRESETS["tiny"], 5)
    keys = {
        "data_path": str(tmp_path),
        "run_dir": str(tmp_path / "run"),
        "embedding_size": 16,
        "epochs": 1,
        "show_progress": False,
        "state": "ERROR",
    }
    tasks = run("PeterRec", "synthetic", config_dict=keys)["results"]["tasks"]
    assert list(tasks) == ["click", "like", "age", "gender", "life_status"]


def test_existing_folders_are_left_alone(tmp_path, capsys):
    flags = [f"--out={tmp_path}", "--preset=tiny"]
    assert main(flags) == 0
    before = files_below(tmp_path)
    assert main(flags) == 2
    assert "exists" in capsys.readouterr().err
    assert files_below(tmp_path) == before


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        generate(tmp_path / "file" / "below", "s", PRESETS["tiny"], 1)
