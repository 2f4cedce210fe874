"""A saved learner that something has happened to is one clear line."""

from __future__ import annotations

import shutil

import pytest

from recbole_peterrec.checkpoint import (
    load_json,
    load_tensors,
    save_json,
    save_tensors,
)
from recbole_peterrec.errors import CheckpointError
from tests.conure.case import AGE, contents, learn


def wrong_owners(run_dir):
    owners = load_tensors(run_dir / "ownership.safetensors")
    owners.popitem()
    save_tensors(run_dir / "ownership.safetensors", owners)


def unknown_owner(run_dir):
    owners = load_tensors(run_dir / "ownership.safetensors")
    next(iter(owners.values())).fill_(9)
    save_tensors(run_dir / "ownership.safetensors", owners)


def changed_weight(run_dir):
    weights = load_tensors(run_dir / "backbone.safetensors")
    weights["embedding.weight"][3] += 1
    save_tensors(run_dir / "backbone.safetensors", weights)


def renamed_label(run_dir):
    file = run_dir / "tasks" / "gender" / "task.json"
    told = load_json(file)
    told["labels"][0] = "another"
    save_json(file, told)


def another_pooling(run_dir):
    file = run_dir / "tasks" / "buy" / "task.json"
    save_json(file, load_json(file) | {"pooling": "sum"})


def no_owners(run_dir):
    (run_dir / "ownership.safetensors").unlink()


def torn(run_dir):
    """A later task's owners are written, what tells of it is not."""
    (run_dir / "training").mkdir()
    unknown_owner(run_dir)


def truncated(run_dir):
    file = run_dir / "ownership.safetensors"
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (wrong_owners, "does not fit the learner"),
        (unknown_owner, "owned by task 9 of 3"),
        (changed_weight, "not what it was"),
        (renamed_label, "of task 'gender' are not what they were"),
        (another_pooling, "of task 'buy' are not what they were"),
        (no_owners, "holds no learner"),
        (torn, "has not ended: finish it"),
        (truncated, "truncated"),
    ],
)
def test_a_damaged_learner_is_one_clear_line(
    folder, learner, tmp_path, damage, message
):
    copy = tmp_path / "copy"
    shutil.copytree(learner, copy)
    damage(copy)
    before = contents(copy)
    with pytest.raises(CheckpointError, match=message) as error:
        learn(folder, tmp_path / "run", continue_from=str(copy), tasks=[AGE])
    assert "\n" not in str(error.value)
    assert contents(copy) == before
    assert not (tmp_path / "run").exists()


def test_a_learner_of_a_version_that_does_not_tell_how_tasks_are_served_is_taken(
    folder, learner, tmp_path
):
    copy = tmp_path / "copy"
    shutil.copytree(learner, copy)
    header = load_json(copy / "backbone.json")
    del header["learner"]["served"]
    save_json(copy / "backbone.json", header)
    learn(folder, tmp_path / "run", continue_from=str(copy), tasks=[AGE])
    served = load_json(tmp_path / "run" / "backbone.json")["learner"]["served"]
    assert list(served) == ["buy", "gender", "age"]
