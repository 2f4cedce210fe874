"""A learner that has learned two tasks, and one that went on with it."""

from __future__ import annotations

import shutil

import pytest

from tests.conure.case import AGE, learn
from tests.toy import write_toy


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="package")
def learner(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("learner") / "run"
    learn(folder, run_dir)
    return run_dir


@pytest.fixture(scope="package")
def continued(folder, learner, tmp_path_factory):
    """The learner, which then learned age where no label of its first tasks is left."""
    place = tmp_path_factory.mktemp("later")
    shutil.copytree(folder / "toy", place / "toy")
    users = [
        line.split("\t") for line in (place / "toy/toy.user").read_text().split("\n")
    ]
    (place / "toy/toy.user").write_text("\n".join("\t".join(u[:2]) for u in users))
    learn(place, place / "run", continue_from=str(learner), tasks=[AGE])
    return place / "run"
