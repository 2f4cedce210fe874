"""Tasks of several runs served from one backbone in memory."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from recbole_peterrec import UserModel, run
from recbole_peterrec.checkpoint import load_json, save_json
from recbole_peterrec.errors import CheckpointError, DataError
from tests.toy import TARGET, TASKS, settings, write_toy

GENDER, AGE = TASKS
HISTORIES = [["i1", "i2", "i3"], ["i7"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs: the first one, three that began with its backbone (one of them at another such), one
    of another seed, a backbone alone, and one of Conure."""
    folder = tmp_path_factory.mktemp("made")
    data = write_toy(folder / "data")
    for name, model, tasks, start, changes in (
        ("first", "PeterRec", [GENDER], None, {}),
        ("later", "PeterRec", [TARGET, AGE], "first", {}),
        ("latest", "FineAll", [{**AGE, "name": "old"}], "later", {}),
        ("again", "PeterRec", [GENDER], "first", {"patch_reduction": 2}),
        ("other", "PeterRec", [AGE], None, {"seed": 1}),
        ("alone", "NextItNetAR", None, None, {}),
        ("conure", "Conure", [AGE], None, {}),
    ):
        keys = settings(data, tasks=tasks, state="ERROR", run_dir=str(folder / name))
        if start:
            keys["pretrained_path"] = str(folder / start)
        run(model, "toy", config_dict=keys | changes)
    return folder


def test_tasks_of_later_runs_score_as_they_do_in_their_own(made):
    model = UserModel(made / "first")
    model.add(made / "later")
    model.add(str(made / "latest"))
    assert model.tasks == ["gender", "buy", "age", "old"]
    for name, task in (("first", "gender"), ("later", "buy"), ("latest", "old")):
        own = UserModel(made / name)
        assert model.labels(task) == own.labels(task)
        assert torch.equal(model.scores(task, HISTORIES), own.scores(task, HISTORIES))


def test_labels_that_are_handed_out_are_not_those_that_it_names_by(made):
    model = UserModel(made / "first")
    best = model.top("gender", HISTORIES[0], 2)
    model.labels("gender").reverse()
    assert model.top("gender", HISTORIES[0], 2) == best


def test_the_backbone_is_in_memory_once(made):
    model = UserModel(made / "first")
    model.add(made / "later")
    tables = {
        model._open(task).network.encoder.embedding.weight.data_ptr()
        for task in ("gender", "buy", "age", "pretraining")
    }
    assert tables == {model._encoder.embedding.weight.data_ptr()}


def test_the_backbone_of_an_added_run_is_not_needed(made, tmp_path):
    folder = shutil.copytree(made / "later", tmp_path / "later")
    for name in ("backbone.safetensors", "pretraining_head.safetensors"):
        (folder / name).unlink()
    model = UserModel(made / "first")
    model.add(folder)
    expected = UserModel(made / "later").scores("buy", HISTORIES)
    assert torch.equal(model.scores("buy", HISTORIES), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "other",
            "other: its tasks were learned on another backbone than that of .*first",
        ),
        ("again", r"again: there is a task 'gender' already, of .*first; replace=True"),
        ("first", "there is a task 'gender' already"),
        ("alone", "has no tasks to add"),
        (
            "conure",
            "conure holds a Conure learner, whose newest run has all of its tasks",
        ),
        ("nothing", r"backbone\.json: No such file"),
    ],
)
def test_a_run_that_cannot_be_added_is_refused_and_nothing_of_it_is_served(
    made, name, message
):
    model = UserModel(made / "first")
    with pytest.raises(CheckpointError, match=message):
        model.add(made / name)
    assert model.tasks == ["gender"]


def test_nothing_is_added_to_a_learner(made):
    with pytest.raises(CheckpointError, match="to which --continue_from adds tasks"):
        UserModel(made / "conure").add(made / "first")


@pytest.mark.parametrize("part", ["weights", "vocabulary"])
def test_a_run_that_does_not_tell_its_backbone_is_refused(made, tmp_path, part):
    folder = shutil.copytree(made / "later", tmp_path / "later")
    told = load_json(folder / "backbone.json")
    del told[part]
    save_json(folder / "backbone.json", told)
    with pytest.raises(CheckpointError, match=f"no usable '{part}'"):
        UserModel(made / "first").add(folder)


def test_another_vocabulary_under_the_same_weights_is_refused(made, tmp_path):
    folder = shutil.copytree(made / "later", tmp_path / "later")
    told = load_json(folder / "backbone.json")
    told["vocabulary"]["sha256"] = "0" * 64
    save_json(folder / "backbone.json", told)
    with pytest.raises(CheckpointError, match="learned on another backbone"):
        UserModel(made / "first").add(folder)


def test_a_task_learned_again_takes_the_place_of_the_old_one_if_asked(made):
    model = UserModel(made / "first")
    before = model.scores("gender", HISTORIES)
    model.add(made / "again", replace=True)
    assert model.tasks == ["gender"]
    after = model.scores("gender", HISTORIES)
    assert torch.equal(after, UserModel(made / "again").scores("gender", HISTORIES))
    assert not torch.equal(after, before)


def test_a_run_may_be_added_while_threads_ask(made):
    model = UserModel(made / "first")
    expected = model.scores("gender", HISTORIES)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(model.scores, "gender", HISTORIES) for _ in range(40)]
        model.add(made / "later")
        added = [pool.submit(model.scores, "buy", HISTORIES) for _ in range(40)]
    assert all(torch.equal(one.result(), expected) for one in asked)
    assert all(one.result().shape == (2, 20) for one in added)


def test_a_task_that_is_served_does_not_wait_for_one_that_is_loaded(made):
    model = UserModel(made / "first")
    model.labels("gender")
    with model._lock, ThreadPoolExecutor(1) as pool:  # as while another is loaded
        assert pool.submit(model.labels, "gender").result(10) == ["F", "M"]


def test_a_task_whose_folder_is_gone_is_told_to_be(made, tmp_path):
    folder = shutil.copytree(made / "later", tmp_path / "later")
    shutil.rmtree(folder / "tasks" / "age")
    model = UserModel(folder)
    assert model.tasks == ["buy"]
    with pytest.raises(CheckpointError, match=r"results.json tells of task 'age', and"):
        model.scores("age", HISTORIES)


def test_a_run_that_lacks_a_task_it_tells_of_is_not_added_in_part(made, tmp_path):
    model = UserModel(made / "first")
    model.add(made / "later")
    before = model.scores("age", HISTORIES)
    folder = shutil.copytree(made / "later", tmp_path / "later")
    shutil.rmtree(folder / "tasks" / "age")
    with pytest.raises(CheckpointError, match=r"results.json tells of task 'age', and"):
        model.add(folder, replace=True)
    assert model._added == dict.fromkeys(("buy", "age"), made / "later")
    assert torch.equal(model.scores("age", HISTORIES), before)


def test_users_without_a_known_item_can_be_told_and_all_are_counted(made):
    model = UserModel(made / "first")
    histories = [["i1"], [], ["nothing"], ["nothing", "i2"]]
    assert [model.knows(h) for h in histories] == [True, False, False, True]
    message = (
        r"history 1 \(and 1 more\) has no item that the backbone knows; leave such"
    )
    with pytest.raises(DataError, match=message):
        model.scores("gender", histories)


@pytest.mark.parametrize("task", ["age", "pretraining"])
def test_what_another_run_left_in_an_open_models_place_is_not_served(
    made, tmp_path, task
):
    """Its patches and head would score the states of a network that they never saw."""
    place = shutil.copytree(made / "later", tmp_path / "run")
    model = UserModel(place)
    shutil.rmtree(place)
    shutil.copytree(made / "other", place)
    with pytest.raises(CheckpointError, match="open it anew"):
        model.scores(task, HISTORIES)


def test_an_open_learner_needs_its_files_no_more(made, tmp_path):
    place = shutil.copytree(made / "conure", tmp_path / "run")
    model, expected = UserModel(place), UserModel(made / "conure")
    shutil.rmtree(place / "tasks")
    (place / "pretraining_head.safetensors").unlink()
    for task in ("pretraining", "age"):
        ours, theirs = (each.scores(task, HISTORIES) for each in (model, expected))
        assert torch.equal(ours, theirs)


def test_a_link_may_lead_to_another_run_after_a_model_was_opened(
    made, tmp_path, monkeypatch
):
    link = tmp_path / "current"
    link.symlink_to(made / "later")
    monkeypatch.chdir(tmp_path)
    model = UserModel("current")
    link.unlink()
    link.symlink_to(made / "other")
    monkeypatch.chdir(made)
    expected = UserModel(made / "later").scores("age", HISTORIES)
    assert torch.equal(model.scores("age", HISTORIES), expected)


def test_the_best_labels_are_those_of_the_task_that_was_scored(made, monkeypatch):
    """Though another run's takes its place meanwhile."""
    model = UserModel(made / "later")
    expected = model.top("age", HISTORIES[0])
    buy, scores_of = model._open("buy"), UserModel._scores_of

    def replaced(self, *given):
        scores = scores_of(self, *given)
        self._served.clear()
        monkeypatch.setattr(self, "_load", lambda *_: buy)
        return scores

    monkeypatch.setattr(UserModel, "_scores_of", replaced)
    assert model.top("age", HISTORIES[0]) == expected
