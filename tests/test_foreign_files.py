"""Files of a finished run that were exchanged or edited: refused in one line, never used."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from recbole_peterrec import UserModel, run
from recbole_peterrec.checkpoint import load_json, save_json
from recbole_peterrec.errors import CheckpointError, DataError, UserError
from tests.stopping import stopped_at
from tests.toy import TARGET, TASKS, settings, write_toy

GENDER, AGE = TASKS
HISTORY = ["i1", "i2", "i3"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a PeterRec run, of one from another seed, and of a Conure run."""
    folder = tmp_path_factory.mktemp("made")
    data = write_toy(folder / "data")
    for name, model, seed in (
        ("one", "PeterRec", 1),
        ("two", "PeterRec", 2),
        ("conure", "Conure", 1),
    ):
        keys = settings(data, seed=seed, tasks=[GENDER, TARGET], state="ERROR")
        run(model, "toy", config_dict=keys | {"run_dir": str(folder / name)})
    return folder


@pytest.fixture
def copy(made, tmp_path):
    def copied(name):
        shutil.copytree(made / name, tmp_path / name)
        return tmp_path / name

    return copied


def edit(path, change):
    content = load_json(path)
    change(content)
    save_json(path, content)


@pytest.mark.parametrize("name", ["one", "conure"])
@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["items"].reverse(),
        lambda told: told["items"].__setitem__(0, told["items"][1]),
        lambda told: told["items"].__setitem__(0, ["i0"]),
        lambda told: told["items"].pop(),
    ],
)
def test_a_vocabulary_that_is_not_the_backbones_is_refused(copy, name, change):
    folder = copy(name)
    edit(folder / "vocabulary.json", change)
    with pytest.raises(CheckpointError, match=r"vocabulary.json does not fit"):
        UserModel(folder)


def test_a_task_of_another_backbone_is_refused(copy, made):
    folder = copy("one")
    shutil.rmtree(folder / "tasks" / "buy")
    shutil.copytree(made / "two" / "tasks" / "buy", folder / "tasks" / "buy")
    model = UserModel(folder)
    assert model.scores("gender", [HISTORY]).shape == (1, 2)
    with pytest.raises(CheckpointError, match=r"task.json was not written with"):
        model.scores("buy", [HISTORY])


def test_a_bit_of_a_tasks_weights_that_differs_is_refused(copy):
    file = copy("one") / "tasks" / "gender" / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"gender.task\.json was not written with"
    ):
        UserModel(file.parents[2]).scores("gender", [HISTORY])


def test_a_tasks_files_under_anothers_name_are_refused(copy):
    tasks = copy("one") / "tasks"
    shutil.rmtree(tasks / "buy")
    shutil.copytree(tasks / "gender", tasks / "buy")
    with pytest.raises(
        CheckpointError, match=r"buy.task\.json is that of task 'gender'"
    ):
        UserModel(tasks.parent).scores("buy", [HISTORY])


def test_a_task_of_an_earlier_version_tells_no_digest_of_its_weights(copy):
    folder = copy("one")
    expected = UserModel(folder).scores("gender", [HISTORY])
    edit(folder / "tasks" / "gender" / "task.json", lambda told: told.pop("weights"))
    assert torch.equal(UserModel(folder).scores("gender", [HISTORY]), expected)


def test_another_backbone_under_the_same_description_is_refused(copy, made):
    folder = copy("one")
    shutil.copy(made / "two" / "backbone.safetensors", folder)
    with pytest.raises(CheckpointError, match=r"backbone.json was not written with"):
        UserModel(folder)


def test_another_head_of_the_pretraining_is_refused(copy, made):
    folder = copy("one")
    shutil.copy(made / "two" / "pretraining_head.safetensors", folder)
    model = UserModel(folder)
    assert model.scores("gender", [HISTORY]).shape == (1, 2)
    with pytest.raises(CheckpointError, match=r"weights in pretraining_head"):
        model.top("pretraining", HISTORY)


@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_a_run_does_not_start_from_weights_that_their_file_does_not_tell_of(
    copy, made, tmp_path, model
):
    folder = copy("one")
    shutil.copy(made / "two" / "backbone.safetensors", folder)
    keys = settings(made / "data", tasks=[GENDER], state="ERROR")
    keys |= {"run_dir": str(tmp_path / "next"), "pretrained_path": str(folder)}
    with pytest.raises(CheckpointError, match=r"backbone.json was not written with"):
        run(model, "toy", config_dict=keys)


def test_files_that_tell_of_no_weights_are_read(copy):
    """Those of earlier versions."""
    folder = copy("one")
    before = UserModel(folder).scores("buy", [HISTORY])
    edit(folder / "backbone.json", lambda told: told.pop("weights"))
    edit(folder / "tasks/buy/task.json", lambda told: told.pop("backbone"))
    assert torch.equal(UserModel(folder).scores("buy", [HISTORY]), before)


@pytest.mark.parametrize("longest", [0, -3, True])
def test_a_longest_history_that_is_none_is_refused(copy, longest):
    folder = copy("one")
    file = folder / "tasks/gender/task.json"
    edit(file, lambda told: told.update(max_length=longest))
    with pytest.raises(CheckpointError, match="no usable 'max_length'"):
        UserModel(folder).scores("gender", [HISTORY])


@pytest.mark.parametrize("name", ["one", "conure"])
def test_a_pooling_that_there_is_not_is_refused(copy, name):
    folder = copy(name)
    told = {"pooling": "middle"}
    if name == "one":
        told = {"tuning": load_json(folder / "tasks/buy/task.json")["tuning"] | told}
    edit(folder / "tasks/buy/task.json", lambda content: content.update(told))
    with pytest.raises(CheckpointError, match="pooling"):
        UserModel(folder).scores("buy", [HISTORY])


def no_record(told):
    told["record"] = {}


def no_total(told):
    told["record"]["total_parameters"] = 0


def not_counted(told):
    told["record"]["trainable_parameters"] = "x"


def no_metrics(told):
    told["record"]["valid"] = [0.5]


@pytest.mark.parametrize("change", [no_record, no_total, not_counted, no_metrics])
def test_a_learned_task_without_a_record_is_not_continued(copy, made, tmp_path, change):
    folder = copy("conure")
    edit(folder / "tasks/gender/task.json", change)
    with pytest.raises(CheckpointError, match="'gender' has no usable record"):
        continued(made, tmp_path, folder)


def test_a_learned_task_of_no_pooling_is_not_continued(copy, made, tmp_path):
    """It would be told once a task has been trained. Earlier versions told of no digest of it."""
    folder = copy("conure")
    edit(folder / "tasks/gender/task.json", lambda told: told.update(pooling="middle"))
    edit(folder / "backbone.json", lambda told: told["learner"].pop("served"))
    with pytest.raises(CheckpointError, match="task 'gender': .*pooling"):
        continued(made, tmp_path, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told.update(pretrain={}), "no usable metrics"),
        (lambda told: told["pretrain"].update(seconds="x"), "no usable metrics"),
        (lambda told: told["learner"]["tasks"].append(5), "describes no learner"),
        (lambda told: told["learner"]["tasks"].append("../x"), "describes no learner"),
        (lambda told: told["learner"]["tasks"].append("gender"), "describes no"),
        (lambda told: told["learner"].update(served=3), "describes no learner"),
    ],
)
def test_a_learner_that_tells_wrong_of_itself_is_not_continued(
    copy, made, tmp_path, change, message
):
    folder = copy("conure")
    edit(folder / "backbone.json", change)
    with pytest.raises(CheckpointError, match=message):
        continued(made, tmp_path, folder)


def continued(made, tmp_path, folder):
    keys = settings(made / "data", seed=1, tasks=[AGE], state="ERROR")
    keys |= {"continue_from": str(folder), "run_dir": str(tmp_path / "next")}
    try:
        run("Conure", "toy", config_dict=keys)
    finally:
        assert not (tmp_path / "next").exists()


def test_a_file_of_best_weights_tells_of_no_progress(made, tmp_path):
    folder = tmp_path / "run"
    keys = settings(made / "data", epochs=2, tasks=[GENDER], state="ERROR")
    with stopped_at(9):
        run("PeterRec", "toy", config_dict=keys | {"run_dir": str(folder)})
    (best,) = folder.glob("training/*/best.pt")
    shutil.copy(best, best.with_name("progress.pt"))
    with pytest.raises(UserError, match=r"progress.pt does not tell how far"):
        run(config_dict={"resume": str(folder), "state": "ERROR"})


@pytest.mark.parametrize("tasks", [3, None, [["gender"]]])
def test_the_order_of_tasks_does_not_hang_on_results_json(copy, tasks):
    folder = copy("one")
    (folder / "results.json").write_text(json.dumps({"tasks": tasks}))
    assert UserModel(folder).tasks == ["buy", "gender"]


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ([["i1", 2.0]], "item tokens are texts or whole numbers, got 2.0"),
        (torch.tensor(5), "histories must be lists"),
        ([torch.tensor(3)], "history 0 must be a list"),
    ],
)
def test_numbers_that_name_no_item_are_refused(made, histories, message):
    with pytest.raises(DataError, match=message):
        UserModel(made / "one").scores("gender", histories)


def test_a_task_that_is_no_name_is_refused(made):
    with pytest.raises(CheckpointError, match="has no task"):
        UserModel(made / "one").scores(["gender"], [HISTORY])


@pytest.mark.parametrize("model", ["PeterRec", "Conure"])
def test_a_served_history_is_as_long_as_an_evaluated_one(made, tmp_path, model):
    shorter = {**AGE, "MAX_ITEM_LIST_LENGTH": 2}
    keys = settings(made / "data", tasks=[GENDER, shorter], state="ERROR")
    keys |= {"recent_interactions": 3, "run_dir": str(tmp_path / "run")}
    run(model, "toy", config_dict=keys)
    served = UserModel(tmp_path / "run")
    items = [f"i{i}" for i in range(9)]
    for task, length in (("pretraining", 3), ("gender", 3), ("age", 2)):
        long, short, shorter = (
            served.scores(task, [items[-most:]]) for most in (9, length, length - 1)
        )
        assert torch.equal(long, short)
        assert not torch.equal(long, shorter)
