"""A saved learner that something has happened to is one clear line."""

from __future__ import annotations

import shutil

import pytest

from recbole_peterrec.checkpoint import load_tensors, save_tensors
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
