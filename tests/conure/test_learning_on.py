"""Learning further tasks on a saved learner, months later."""

from __future__ import annotations

import shutil

import pytest
import torch

from recbole_peterrec import UserModel, run
from recbole_peterrec.errors import CheckpointError, ConfigError, TrainingError
from tests.conure.case import AGE, GENDER, HISTORIES, contents, keys, learn, results


def test_learning_goes_on_later_without_earlier_labels(learner, continued):
    before, after = UserModel(learner), UserModel(continued)
    assert after.tasks == ["buy", "gender", "age"]
    for task in ("pretraining", "buy", "gender"):
        for _ in range(2):  # whatever was viewed in between
            old, new = before.scores(task, HISTORIES), after.scores(task, HISTORIES)
            assert old.numpy().tobytes() == new.numpy().tobytes()
            after.scores("age", HISTORIES)
    told = results(continued)
    assert list(told["tasks"]) == ["buy", "gender", "age"]
    assert told["tasks"]["gender"] == results(learner)["tasks"]["gender"]
    free = told["tasks"]["age"]["capacity_free"]
    assert free == pytest.approx(0.7 * 0.8**3, abs=0.02)


def test_tasks_are_those_that_the_learner_has_kept(continued, tmp_path):
    """A run that was killed may have written of a task that its learner does not know."""
    copied = shutil.copytree(continued, tmp_path / "run")
    (copied / "results.json").write_text("damaged")
    shutil.copytree(copied / "tasks/age", copied / "tasks/later")
    model = UserModel(copied)
    assert model.tasks == ["buy", "gender", "age"]
    with pytest.raises(CheckpointError, match="no task 'later'"):
        model.scores("later", HISTORIES)


def test_continuing_leaves_the_saved_learner_as_it_was(folder, learner, tmp_path):
    before = contents(learner)
    learn(folder, tmp_path / "run", continue_from=str(learner), tasks=[AGE])
    assert contents(learner) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": [GENDER]}, "already has a task"),
        ({"tasks": [GENDER | {"name": "Gender"}]}, "by case alone"),
        (
            {"tasks": [AGE], "item_inter_num_interval": "[10,inf)"},
            "another item vocabulary",
        ),
        ({"tasks": [AGE], "embedding_size": 4}, "embedding_size 8, this config 4"),
    ],
)
def test_continuing_with_what_does_not_fit_is_one_clear_line(
    folder, learner, tmp_path, changes, message
):
    before = contents(learner)
    with pytest.raises((ConfigError, CheckpointError), match=message):
        learn(folder, tmp_path / "run", continue_from=str(learner), **changes)
    assert contents(learner) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": [AGE], "layernorm_per_task": True}, "begun with layernorm_per_task"),
        ({"tasks": [AGE], "prune_embeddings": True}, "begun with prune_embeddings"),
    ],
)
def test_what_a_learner_was_begun_with_cannot_be_changed(
    folder, learner, tmp_path, changes, message
):
    with pytest.raises(ConfigError, match=message):
        learn(folder, tmp_path / "run", continue_from=str(learner), **changes)


def test_owned_embeddings_are_not_updated_by_rows(folder, tmp_path):
    """Refused before the run, not by the --resume of it."""
    learn(folder, tmp_path / "begun", prune_embeddings=True, tasks=[])
    later = {"continue_from": str(tmp_path / "begun"), "tasks": [AGE]}
    with pytest.raises(ConfigError, match="table_updates rows needs prune_embeddings"):
        learn(folder, tmp_path / "run", table_updates="rows", **later)
    assert not (tmp_path / "run").exists()


def test_a_learner_is_no_pretrained_backbone(folder, learner, tmp_path):
    changes = keys(folder, tmp_path / "run", pretrained_path=str(learner))
    with pytest.raises(CheckpointError, match="continue_from"):
        run("PeterRec", "toy", config_dict=changes)


def test_a_learner_that_continues_has_its_first_task(folder, learner, tmp_path):
    paths = {"continue_from": str(learner), "pretrained_path": str(learner)}
    with pytest.raises(ConfigError, match="leave out pretrained_path"):
        learn(folder, tmp_path / "run", **paths)


def test_learning_on_leaves_the_first_task_its_longest_history(
    folder, learner, tmp_path
):
    keys_ = {"MAX_ITEM_LIST_LENGTH": 3, "tasks": [AGE]}
    learn(folder, tmp_path / "run", continue_from=str(learner), **keys_)
    history = [[f"i{number}" for number in range(1, 7)]]
    before, after = (
        UserModel(path).scores("pretraining", history)
        for path in (learner, tmp_path / "run")
    )
    assert torch.equal(before, after)


def test_tasks_learned_before_one_that_fails_are_served_and_go_on(folder, tmp_path):
    failing = {**AGE, "learning_rate": 1e30}
    with pytest.raises(TrainingError, match="age: loss is"):
        learn(folder, tmp_path / "run", tasks=[GENDER, failing], epochs=3)
    assert UserModel(tmp_path / "run").scores("gender", HISTORIES).isfinite().all()
    learn(folder, tmp_path / "on", continue_from=str(tmp_path / "run"), tasks=[AGE])
    assert list(results(tmp_path / "on")["tasks"]) == ["gender", "age"]
