"""Conure as a user runs it: nothing is forgotten, learning goes on later, errors are clear."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
import yaml

from recbole_peterrec import UserModel, run
from recbole_peterrec.checkpoint import load_tensors, save_tensors
from recbole_peterrec.config import Config
from recbole_peterrec.errors import CheckpointError, ConfigError, TrainingError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, TASKS, command_line, settings, toy_flags, write_toy

BUY = {**TARGET, "eval_args": {**TARGET["eval_args"], "mode": "full"}}
GENDER, AGE = TASKS
HISTORIES = [["i1", "i2", "i3"], ["i7"], ["i5", "i9", "i9", "i11", "i2"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def keys(folder, run_dir, **changes):
    quiet = {"show_progress": False, "state": "ERROR", "run_dir": str(run_dir)}
    changes = {"epochs": 2, "tasks": [BUY, GENDER], **quiet, **changes}
    return settings(folder, **changes)


def learn(folder, run_dir, **changes):
    return run("Conure", "toy", config_dict=keys(folder, run_dir, **changes))


@pytest.fixture(scope="module")
def learner(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("learner") / "run"
    learn(folder, run_dir)
    return run_dir


@pytest.fixture(scope="module")
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


def contents(run_dir):
    return {
        str(p.relative_to(run_dir)): p.read_bytes()
        for p in run_dir.rglob("*")
        if p.is_file()
    }


def results(run_dir):
    return json.loads((run_dir / "results.json").read_text())


def test_every_task_is_after_the_last_what_it_was_when_it_was_learned(learner):
    told = results(learner)
    records = [told["pretrain"], *told["tasks"].values()]
    assert list(told["tasks"]) == ["buy", "gender"]
    for record in records:
        assert record["test_after_all"] == record["test"]
        assert set(record["before_pruning"]["test"]) == set(record["test"])
    free = [record["capacity_free"] for record in records]
    kept = [0.7, 0.7 * 0.8, 0.7 * 0.8 * 0.8]
    assert free == pytest.approx(kept, abs=0.02)


def test_a_learner_leaves_its_files_and_each_owner_takes_a_byte(learner):
    assert {"backbone.safetensors", "ownership.safetensors", "capacity.json"} <= {
        path.name for path in learner.iterdir()
    }
    weights = load_tensors(learner / "backbone.safetensors")
    owners = load_tensors(learner / "ownership.safetensors")
    assert all(name.endswith(".conv") for name in owners)
    for name, owner in owners.items():
        assert owner.dtype == torch.uint8
        assert owner.shape == weights[f"{name}.weight"].shape
        assert set(owner.unique().tolist()) == {0, 1, 2, 3}
    shares = json.loads((learner / "capacity.json").read_text())
    for name, parts in shares.items():
        assert list(parts) == ["free", "pretraining", "buy", "gender"]
        assert parts["free"] == pytest.approx((owners[name] == 0).float().mean().item())


@pytest.mark.parametrize(
    "changes",
    [
        {"prune_embeddings": True},
        {"layernorm_per_task": True, "weight_decay": 0.1},
        {"backbone": "GRec", "pooling": "sum", "learner": "sgd"},
        {"prune_ratio": "auto", "prune_tolerance": 0.9},
    ],
    ids=["embeddings", "norms", "grec", "auto"],
)
def test_options_forget_nothing_either(folder, tmp_path, changes):
    told = learn(folder, tmp_path / "run", **changes)["results"]
    for record in (told["pretrain"], *told["tasks"].values()):
        assert record["test_after_all"] == record["test"]
    model = UserModel(tmp_path / "run")
    assert model.scores("gender", HISTORIES).shape == (3, 2)


def test_pruned_embeddings_are_owned(folder, tmp_path):
    learn(folder, tmp_path / "run", prune_embeddings=True, embedding_prune_ratio=0.4)
    owner = load_tensors(tmp_path / "run/ownership.safetensors")["embedding"]
    assert (owner == 1).float().mean().item() == pytest.approx(0.6, abs=0.01)


def test_auto_takes_the_largest_ratio_that_keeps_the_valid_metric(folder, tmp_path):
    told = learn(
        folder, tmp_path / "run", prune_ratio="auto", tasks=[GENDER], state="INFO"
    )["results"]
    for name, record in (
        ("pretraining", told["pretrain"]),
        ("gender", told["tasks"]["gender"]),
    ):
        pattern = rf"{name}: pruning (\S+) gives valid \S+ (\S+), wanted (\S+)"
        tried = re.findall(pattern, (tmp_path / "run/run.log").read_text())
        ratios = [float(ratio) for ratio, _, _ in tried]
        assert ratios == pytest.approx(0.95 - 0.05 * np.arange(len(tried)))
        kept = [float(value) >= float(floor) for _, value, floor in tried]
        assert kept == [False] * (len(tried) - 1) + [kept[-1]]
        assert kept[-1] or ratios[-1] == 0.5
        assert record["prune_ratio"] == ratios[-1]


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


def test_the_ratio_that_keeps_a_metric_needs_rows_to_measure_it_on(folder, tmp_path):
    whole = {"order": "RO", "split": {"RS": [0.9, 0, 0.1]}}
    with pytest.raises(ConfigError, match="it needs validation rows"):
        learn(folder, tmp_path / "run", prune_ratio="auto", eval_args=whole)
    assert not (tmp_path / "run").exists()


def test_continuing_leaves_the_saved_learner_as_it_was(folder, learner, tmp_path):
    before = contents(learner)
    learn(folder, tmp_path / "run", continue_from=str(learner), tasks=[AGE])
    assert contents(learner) == before


def test_next_items_are_served_as_the_pretraining_predicts_them(learner):
    model = UserModel(learner)
    scores = model.scores("pretraining", HISTORIES)
    assert scores.shape == (3, len(model.labels("pretraining")))
    assert (
        model.labels("pretraining")
        == json.loads((learner / "vocabulary.json").read_text())["items"]
    )


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"prune_ratio": 1.0},
            "prune_ratio must be above 0 and below 1, or auto, got 1.0",
        ),
        ({"prune_ratio": "most"}, "prune_ratio must be above 0"),
        (
            {"prune_ratio": 0.5, "embedding_size": 1, "patch_reduction": 1},
            "weights keeps none|no free",
        ),
        ({"tasks": [{**GENDER, "prune_ratio": 2}]}, "task 'gender'.*prune_ratio"),
        ({"tasks": [{**GENDER, "name": "pretraining"}]}, "stands for the source"),
        ({"prune_tolerance": 2}, "prune_tolerance"),
        ({"protocol": "conur"}, "did you mean 'conure'"),
    ],
)
def test_settings_that_cannot_be_used_are_one_clear_line(
    folder, tmp_path, changes, message
):
    if changes.get("prune_ratio") == 0.5:
        tasks = [{**GENDER, "name": f"g{i}", "prune_ratio": 0.01} for i in range(9)]
        changes = {**changes, "tasks": tasks}
    with pytest.raises(ConfigError, match=message) as error:
        learn(folder, tmp_path / "run", **changes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": [GENDER]}, "already has a task"),
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


def test_a_learner_is_no_pretrained_backbone(folder, learner, tmp_path):
    changes = keys(folder, tmp_path / "run", pretrained_path=str(learner))
    with pytest.raises(CheckpointError, match="continue_from"):
        run("PeterRec", "toy", config_dict=changes)


def test_few_free_weights_are_told_before_training(folder, tmp_path):
    tasks = [{**GENDER, "prune_ratio": 0.04}, AGE]
    learn(folder, tmp_path / "run", tasks=tasks, state="WARNING")
    log = (tmp_path / "run/run.log").read_text()
    assert (
        "task 'age' will find 2.6% of blocks.0.branch.0.conv free"
        in log.splitlines()[0]
    )


@pytest.mark.parametrize("model", ["SinMo", "FineSmax", "STL", "MTL", "Unprotected"])
def test_the_papers_comparisons_run_on_the_same_splits(
    folder, learner, tmp_path, model
):
    told = run(model, "toy", config_dict=keys(folder, tmp_path / "run"))["results"]
    assert list(told["tasks"]) == ["buy", "gender"]
    for name, record in told["tasks"].items():
        assert record["instances"] == results(learner)["tasks"][name]["instances"]
        assert set(record["test"]) == set(results(learner)["tasks"][name]["test"])
    assert bool(told["pretrain"]["test"]) == (model not in ("SinMo", "MTL"))
    if model == "Unprotected":
        after = [record["pretrain_test"] for record in told["tasks"].values()]
        assert all(set(metrics) == {"mrr@5", "hit@5"} for metrics in after)


def test_the_command_line_tells_capacity_and_that_nothing_was_forgotten(
    folder, tmp_path
):
    file = tmp_path / "toy.yaml"
    changes = keys(folder, tmp_path / "run", state="INFO", show_progress=True)
    file.write_text(yaml.safe_dump(changes))
    done = command_line(toy_flags(file, "Conure"), tmp_path)
    assert done.status == 0, done.stderr
    for column in ("test before pruning", "test after all", "weights free"):
        assert column in done.stdout
    assert "gender is kept; 44." in done.stderr
    assert "| blocks.0.branch.1.conv |" in done.stderr
    assert "like" not in done.stdout


def test_the_first_task_may_start_from_a_saved_backbone(folder, learner, tmp_path):
    keys_of_backbone = keys(folder, tmp_path / "first", protocol="conure")
    run("PeterRec", "toy", config_dict=keys_of_backbone)
    learn(folder, tmp_path / "run", pretrained_path=str(tmp_path / "first"))
    told, expected = results(tmp_path / "run"), results(learner)
    before = told["pretrain"]["before_pruning"]
    assert before == expected["pretrain"]["before_pruning"]
    assert told["pretrain"]["epochs"] == expected["pretrain"]["epochs"] - 2
    owners, trained = (
        load_tensors(path / "ownership.safetensors")
        for path in (tmp_path / "run", learner)
    )
    for name, owner in owners.items():  # the largest of the same weights are kept
        assert torch.equal(owner == 1, trained[name] == 1)


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


def test_a_weight_that_changes_behind_the_learner_stops_the_run(
    folder, tmp_path, monkeypatch
):
    keep = Learner.keep

    def meddling(self, head):
        keep(self, head)
        if self.tasks[-1] == "gender":
            name = self.weights[0]
            first_owned = (self.owned(name).owner == 1).view(-1).nonzero()[0]
            self.stored(name).data.view(-1)[first_owned] += 1e-6

    monkeypatch.setattr(Learner, "keep", meddling)
    with pytest.raises(TrainingError, match="task 'pretraining' has changed"):
        learn(folder, tmp_path / "run", tasks=[GENDER])


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prune_ratio": "auto", "eval_step": 0}, "prune_ratio auto compares"),
        (
            {"tasks": [{**GENDER, "eval_step": 2, "retrain_epochs": 3}]},
            "task 'gender': retrain_epochs: select_epoch last",
        ),
        ({"tasks": [{**GENDER, "layernorm_per_task": True}]}, "a key of the run"),
        ({"tasks": [{**BUY, "rank_rho": 0.001}]}, "rank_rho 0.001 draws"),
        ({"tasks": [{**BUY, "rank_rho": 1e-9}]}, "rank_rho 1e-09 draws"),
    ],
)
def test_what_would_stop_a_run_later_stops_it_before_it_writes(
    folder, tmp_path, changes, message
):
    with pytest.raises(ConfigError, match=message):
        learn(folder, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_the_fullest_weight_is_the_one_that_is_told(folder, tmp_path):
    changes = {"prune_embeddings": True, "embedding_prune_ratio": 0.9}
    ratios = {"prune_ratio": 0.1, "embedding_prune_ratio": 0.9}
    tasks = [{**GENDER, **ratios}, {**AGE, **ratios}]
    settings_ = {**changes, "prune_ratio": 0.1, "tasks": tasks, "state": "WARNING"}
    learn(folder, tmp_path / "run", **settings_)
    log = (tmp_path / "run/run.log").read_text()
    assert "task 'age' will find 0.5% of blocks.0.branch.0.conv free" in log


def test_a_flag_wins_over_the_tasks_of_a_property_file():
    config = Config("Conure", "ml-100k", config_dict={"prune_ratio": "auto"})
    assert {task.config["prune_ratio"] for task in read_tasks(config)} == {"auto"}
    own = [{"name": "gender", "kind": "profile", "field": "gender", "prune_ratio": 0.6}]
    config = Config("Conure", "ml-100k", config_dict={"prune_ratio": 0.5, "tasks": own})
    assert [task.config["prune_ratio"] for task in read_tasks(config)] == [0.6]


def test_an_order_leaves_out_and_moves_tasks():
    def names(order):
        keys_ = {"task_order": order}
        return [
            t.name for t in read_tasks(Config("Conure", "ml-100k", config_dict=keys_))
        ]

    assert names(None) == ["like", "love", "age", "gender", "occupation"]
    assert names(["love"]) == ["love"]  # without T2 before T3
    assert names(["age", "love", "like"]) == ["age", "love", "like"]
    assert names([]) == []  # T1 alone


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["lov"], "no task 'lov'; did you mean 'love'"),
        (["love", "love"], "once each"),
        ("love", "a list of tasks' names"),
    ],
)
def test_an_order_of_tasks_that_there_are_not_is_refused(order, message):
    with pytest.raises(ConfigError, match=message):
        read_tasks(Config("Conure", "ml-100k", config_dict={"task_order": order}))


def test_the_ablation_without_the_second_task_is_a_flag(folder, tmp_path):
    learn(folder, tmp_path / "run", task_order=["gender"])
    assert list(results(tmp_path / "run")["tasks"]) == ["gender"]
    assert list(results(tmp_path / "run")["pretrain"]["test"]) == ["mrr@5", "hit@5"]
