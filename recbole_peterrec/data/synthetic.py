"""A seeded generator of users with real transfer structure, as RecBole's atomic files.

Every user has latent interests. They drive the source sequences, the items of two later domains
(clicks and likes) and the profile, so that what one task teaches helps another. What is liked
depends besides on a taste that clicks show well and the source shows faintly, so that a learner of
clicks has an advantage on likes that no learner of the source alone has.

    python -m recbole_peterrec.data.synthetic --out=dataset --preset=small --seed=2020
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.writing import FOLDER_NAME, writing

CHUNK = 10_000  # users made at once
SHORTEST = 5  # interactions of a user; the papers ask for several


@dataclass(frozen=True)
class Shape:
    """Sizes of a synthetic set.

    Attributes:
        users: number of users.
        length: mean number of a user's interactions in the source.
        items: source items.
        topics: groups of source items that interests are about.
        click_items: items of the click domain.
        clicks: mean number of a user's clicks; those that repeat are then left out.
        like_items: items of the like domain.
        likes: mean number of a user's likes.
    """

    users: int
    length: int
    items: int
    topics: int
    click_items: int
    clicks: float
    like_items: int
    likes: float


PRESETS = {
    "tiny": Shape(400, 20, 200, 10, 160, 3.0, 128, 1.0),
    "small": Shape(20_000, 30, 2_000, 40, 800, 3.0, 400, 1.0),
    "medium": Shape(100_000, 50, 20_000, 100, 4_000, 2.0, 2_000, 0.5),
    # TTL (Conure, Table 1)
    "ttl": Shape(1_470_000, 100, 646_000, 400, 18_000, 1.84, 8_000, 0.184),
}
STATUSES = 6  # classes of life status, as in TTL
TASTES = 8  # hidden, and seen in clicks and likes; topics are seen everywhere
FAVOURITES = np.array([0.6, 0.3, 0.1])  # share of each of a user's topics
# What an interaction's topic comes from: the one before it, that one's successor, the user's
# taste, or the user's favourites.
STAYS, MOVES, TASTED = 0.45, 0.15, 0.12
FOLLOWS = 0.3  # probability that an item is the successor of the one before it, within a topic
SKEW = 3  # of popularity: rank = size * uniform ** SKEW
TRUE_TOPIC, TRUE_TASTE = 0.7, 0.75  # of a click or like; otherwise drawn at random


class _World:
    """What all users share: how topics and tastes lead to items and labels."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        draw = np.random.default_rng(np.random.SeedSequence([seed, 0]))
        topics = shape.topics
        sizes = np.bincount(
            draw.integers(topics, size=shape.items - topics), minlength=topics
        )
        self.topic_size = sizes + 1
        self.topic_start = np.concatenate([[0], self.topic_size.cumsum()[:-1]])
        self.item_token = draw.permutation(shape.items)
        self.successor = draw.permutation(topics)
        self.taste_topic = draw.integers(topics, size=TASTES)
        # Likes are about topics in another order.
        self.like_place = draw.permutation(topics)
        self.by_topic = draw.normal(size=(topics, 2 + STATUSES))
        self.by_taste = draw.normal(size=(TASTES, 2 + STATUSES))

    def users(
        self, draw: np.random.Generator, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Favourite topics ``[number, 3]`` and tastes ``[number]``."""
        favourites = draw.integers(self.shape.topics, size=(number, len(FAVOURITES)))
        return favourites, draw.integers(TASTES, size=number)

    def sequences(
        self, draw: np.random.Generator, favourites: np.ndarray, taste: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Source items of users, ``[users, longest]``, and how many of each row are real."""
        number = len(taste)
        lengths = draw.poisson(self.shape.length, number).clip(SHORTEST)
        items = np.zeros((number, lengths.max()), dtype=np.int64)
        topic = _favourite(draw, favourites)
        rank = self._rank(draw, topic)
        for step in range(items.shape[1]):
            cause = draw.random(number)
            wanted = _favourite(draw, favourites)
            wanted = np.where(
                cause < STAYS + MOVES + TASTED, self.taste_topic[taste], wanted
            )
            wanted = np.where(cause < STAYS + MOVES, self.successor[topic], wanted)
            wanted = np.where(cause < STAYS, topic, wanted)
            follows = (wanted == topic) & (draw.random(number) < FOLLOWS)
            next_rank = (rank + 1) % self.topic_size[wanted]
            rank = np.where(follows, next_rank, self._rank(draw, wanted))
            topic = wanted
            items[:, step] = self.topic_start[topic] + rank
        return self.item_token[items], lengths

    def targets(
        self,
        draw: np.random.Generator,
        favourites: np.ndarray,
        taste: np.ndarray,
        items: int,
        mean: float,
        place: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Users (rows) and items of a later domain; each pair once.

        The domain's items are in a group for each taste, in the order of the topics' `place`
        within it.
        """
        user = np.repeat(np.arange(len(taste)), draw.poisson(mean, len(taste)))
        topic = _favourite(draw, favourites[user])
        wild = draw.random(len(user)) > TRUE_TOPIC
        topic[wild] = draw.integers(self.shape.topics, size=wild.sum())
        liked = taste[user].copy()
        wild = draw.random(len(user)) > TRUE_TASTE
        liked[wild] = draw.integers(TASTES, size=wild.sum())
        group = items // TASTES
        share = (place[topic] + draw.random(len(user)) ** SKEW) / self.shape.topics
        item = liked * group + (share * group).astype(np.int64)
        pairs = np.unique(np.stack([user, item], axis=1), axis=0)
        return pairs[:, 0], pairs[:, 1]

    def profiles(
        self, draw: np.random.Generator, favourites: np.ndarray, taste: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Gender, age in years and life status of users, each ``[users]``."""
        lean = (self.by_topic[favourites] * FAVOURITES[:, None]).sum(1)
        lean = 2 * lean + self.by_taste[taste]
        noise = draw.gumbel(size=(len(taste), STATUSES))
        return {
            "gender": np.where(
                lean[:, 0] + draw.logistic(size=len(taste)) > 0, "F", "M"
            ),
            "age": (38 + 9 * lean[:, 1] + 6 * draw.normal(size=len(taste)))
            .clip(15, 70)
            .astype(int),
            "life_status": (lean[:, 2:] + noise).argmax(1),
        }

    def _rank(self, draw: np.random.Generator, topic: np.ndarray) -> np.ndarray:
        return (self.topic_size[topic] * draw.random(len(topic)) ** SKEW).astype(
            np.int64
        )


def _favourite(draw: np.random.Generator, favourites: np.ndarray) -> np.ndarray:
    """One of each row's topics, ``[N]``."""
    chosen = draw.choice(len(FAVOURITES), size=len(favourites), p=FAVOURITES)
    return favourites[np.arange(len(favourites)), chosen]


def tables(shape: Shape, seed: int) -> Iterator[dict[str, pd.DataFrame]]:
    """The set, some thousand users at a time; a chunk depends on the seed and its number only.

    Yields:
        Of each chunk, the rows of the files ``.inter``, ``.user``, ``_click.inter`` and
        ``_like.inter``, columns named as in the files.
    """
    world = _World(shape, seed)
    for chunk, first in enumerate(range(0, shape.users, CHUNK), 1):
        draw = np.random.default_rng(np.random.SeedSequence([seed, chunk]))
        number = min(CHUNK, shape.users - first)
        token = np.arange(first, first + number)
        favourites, taste = world.users(draw, number)
        items, lengths = world.sequences(draw, favourites, taste)
        real = np.arange(items.shape[1]) < lengths[:, None]
        made = {
            ".inter": pd.DataFrame(
                {
                    "user_id:token": np.repeat(token, lengths),
                    "item_id:token": items[real],
                    "timestamp:float": np.nonzero(real)[1],
                }
            )
        }
        domains = (
            ("_click.inter", shape.click_items, shape.clicks, np.arange(shape.topics)),
            ("_like.inter", shape.like_items, shape.likes, world.like_place),
        )
        for suffix, size, mean, place in domains:
            user, item = world.targets(draw, favourites, taste, size, mean, place)
            made[suffix] = pd.DataFrame(
                {"user_id:token": token[user], "item_id:token": item}
            )
        profiles = world.profiles(draw, favourites, taste)
        made[".user"] = pd.DataFrame(
            {
                "user_id:token": token,
                "gender:token": profiles["gender"],
                "age:float": profiles["age"],
                "life_status:token": profiles["life_status"],
            }
        )
        yield made


def generate(folder: str | Path, name: str, shape: Shape, seed: int) -> list[Path]:
    """Write the datasets ``name`` (source and profiles), ``name_click`` and ``name_like``.

    They appear whole or not at all. The same seed gives the same bytes.

    Args:
        folder: the key ``data_path`` of runs; made if it is missing.
        name: of the datasets.
        shape: sizes, such as ``PRESETS["small"]``.
        seed: fixes everything.

    Returns:
        The three folders.

    Raises:
        ConfigError: one of them is there already, or the name is none of a folder.
        WriteError: one cannot be written; none is there then.
    """
    if not re.fullmatch(FOLDER_NAME, name):
        raise ConfigError(
            f"--name must be letters, digits, '_', '-' and '.', first a letter or digit, "
            f"got {name!r}"
        )
    folder = Path(folder)
    datasets = [name, f"{name}_click", f"{name}_like"]
    with writing(folder):
        for dataset in datasets:
            if (folder / dataset).exists():
                raise ConfigError(
                    f"{folder / dataset} exists; delete it or choose another --name"
                )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making.") as making:
            _write(Path(making), name, shape, seed)
            for dataset in datasets:
                os.replace(Path(making, dataset), folder / dataset)
    return [folder / dataset for dataset in datasets]


def _write(folder: Path, name: str, shape: Shape, seed: int) -> None:
    for number, made in enumerate(tables(shape, seed)):
        for suffix, rows in made.items():
            dataset = name + suffix.partition(".")[0]
            (folder / dataset).mkdir(exist_ok=True)
            path = folder / dataset / f"{name}{suffix}"
            rows.to_csv(path, sep="\t", index=False, header=not number, mode="a")
    for path in folder.glob("*/*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recbole_peterrec.data.synthetic",
        description="Make users with real transfer structure, as RecBole's atomic files.",
    )
    parser.add_argument("--out", default="dataset", help="folder of the datasets")
    parser.add_argument("--name", default="synthetic")
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--seed", type=int, default=2020)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.seed < 0:
            raise ConfigError(f"--seed must be at least 0, got {chosen.seed}")
        made = generate(chosen.out, chosen.name, PRESETS[chosen.preset], chosen.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in made:
        size = sum(file.stat().st_size for file in path.iterdir())
        print(f"{path}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
