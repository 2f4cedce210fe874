"""Conure as a user runs it: nothing is forgotten."""

from __future__ import annotations

import csv
import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from torch.nn.utils import parametrize

from recbole_peterrec import UserModel, run
from recbole_peterrec.checkpoint import load_tensors
from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.runs import continual
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.runs.task_stage import TaskStage
from recbole_peterrec.runs.training import Outcome
from recbole_peterrec.tasks import read_tasks
from tests.conure.case import GENDER, HISTORIES, keys, learn, results
from tests.toy import command_line, toy_flags

COMPARISONS = ("SinMo", "FineSmax", "STL", "MTL", "Unprotected")


def splits(folder, model):
    """Users and labels of each task's training, validation and test rows."""
    made = keys(folder, folder / "unused", protocol="conure")
    config = Config(model, "toy", config_dict=made)
    source = SequenceDataset(config.derive(model=config["backbone"]))
    source.build()
    return {
        task.name: [tokens(part) for part in TaskDataset(task.config, source).build()]
        for task in read_tasks(config)
    }


def tokens(part):
    """Users and labels of the rows of a split."""
    return [
        part.id2token(field, part.inter_feat[field].numpy()).tolist()
        for field in (part.uid_field, part.iid_field)
    ]


def histories_of(folder):
    """Every user's items in the order of time, as tokens."""
    table = (folder / "toy" / "toy.inter").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in table]
    histories = {}
    for user, item, *_ in sorted(rows, key=lambda row: float(row[3])):
        histories.setdefault(user, []).append(item)
    return histories


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


def test_a_task_s_metric_is_that_of_the_saved_network_counted_by_hand(folder, learner):
    users, genders = splits(folder, "Conure")["gender"][2]
    histories = histories_of(folder)
    model = UserModel(learner)
    scores = model.scores("gender", [histories[user] for user in users])
    said = [model.labels("gender")[place] for place in scores.argmax(1)]
    right = [one == other for one, other in zip(said, genders, strict=True)]
    record = results(learner)["tasks"]["gender"]
    assert record["test"] == {"hit@1": round(sum(right) / len(right), 4)}


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


def test_layer_norms_are_a_task_s_own_where_that_is_asked_for(folder, tmp_path):
    learn(folder, tmp_path / "run", layernorm_per_task=True, tasks=[GENDER])
    source = load_tensors(tmp_path / "run/backbone.safetensors")
    own = {
        name.removeprefix("encoder."): value
        for name, value in load_tensors(
            tmp_path / "run/tasks/gender/weights.safetensors"
        ).items()
        if name.startswith("encoder.")
    }
    assert any(not torch.equal(source[name], value) for name, value in own.items())


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
        with open(tmp_path / "run/curves.csv") as file:
            rows = [row for row in csv.DictReader(file)]
        stages = [row for row in rows if row["stage"].split("@")[0] == name]
        assert record["epochs"] == len({(r["stage"], r["epoch"]) for r in stages})


def test_next_items_are_served_as_the_pretraining_predicts_them(learner):
    model = UserModel(learner)
    scores = model.scores("pretraining", HISTORIES)
    assert scores.shape == (3, len(model.labels("pretraining")))
    assert (
        model.labels("pretraining")
        == json.loads((learner / "vocabulary.json").read_text())["items"]
    )


@pytest.mark.parametrize("model", COMPARISONS)
def test_the_papers_comparisons_learn_and_are_tested_on_the_same_rows(folder, model):
    own, learners = splits(folder, model), splits(folder, "Conure")
    assert list(own) == ["buy", "gender"]
    assert own == learners
    assert all(users for parts in own.values() for users, _ in parts)


@pytest.mark.parametrize("model", COMPARISONS)
def test_the_papers_comparisons_run(folder, learner, tmp_path, model):
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
    for column in (
        "test before pruning",
        "test after all",
        "prune ratio",
        "weights free",
    ):
        assert column in done.stdout
    assert "gender is kept; 44." in done.stderr
    assert "| owner       | blocks.0.branch.0.conv and 1 more   |" in done.stderr
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


def test_serving_a_learner_shares_nothing_with_other_threads(learner, monkeypatch):
    expected = UserModel(learner).scores("buy", HISTORIES)

    def shared():
        raise AssertionError("the cache of made weights is the whole process's")

    monkeypatch.setattr(parametrize, "cached", shared)
    model = UserModel(learner)
    assert torch.equal(model.scores("buy", HISTORIES), expected)
    assert model.scores("gender", HISTORIES).shape == (3, 2)
    assert torch.equal(model.scores("buy", HISTORIES), expected)


def test_each_task_is_served_by_its_own_weights_whatever_was_asked_before(learner):
    tasks = ("pretraining", "buy", "gender")
    alone = {task: UserModel(learner).scores(task, HISTORIES) for task in tasks}
    model = UserModel(learner)
    for task in (*tasks, *reversed(tasks)):
        assert torch.equal(model.scores(task, HISTORIES), alone[task])


def test_a_record_counts_what_is_trained_before_pruning_and_what_is_kept(learner):
    owners = load_tensors(learner / "ownership.safetensors").values()
    told = results(learner)
    records = [told["pretrain"], *told["tasks"].values()]
    for number, record in enumerate(records, 1):
        kept = sum(int((owner == number).sum()) for owner in owners)
        assert record["kept_parameters"] == kept
    for number, record in enumerate(records[1:], 2):
        free = sum(int(((owner == 0) | (owner >= number)).sum()) for owner in owners)
        head = record["labels"] * (8 + 1)
        assert record["trainable_parameters"] == free + head


def test_a_record_has_the_figures_before_pruning_beside_those_after():
    learned = SimpleNamespace(kept_weights=lambda name: 9, capacity_free=lambda: 0.5)
    before = Outcome({"hit@1": 0.1}, {"hit@1": 0.2}, epochs=3, seconds=4.0)
    after = Outcome({"hit@1": 0.3}, {"hit@1": 0.4}, epochs=5, seconds=6.0)
    run_ = SimpleNamespace(learner=learned)
    record = ContinualRun._continual_record(run_, "gender", before, after, 0.7)
    assert record["before_pruning"] == {"valid": {"hit@1": 0.1}, "test": {"hit@1": 0.2}}
    assert (record["valid"], record["test"]) == ({"hit@1": 0.3}, {"hit@1": 0.4})
    assert (record["epochs"], record["seconds"]) == (8, 10.0)


def test_rows_that_change_behind_the_learner_stop_the_run(
    folder, tmp_path, monkeypatch
):
    """Something that no fingerprint of weights tells of."""
    digests = map(str, itertools.count())
    monkeypatch.setattr(continual, "rows_digest", lambda stage: next(digests))
    with pytest.raises(TrainingError, match="task 'pretraining' has changed"):
        learn(folder, tmp_path / "run", tasks=[GENDER])


def test_processes_compare_the_learner_after_each_task(folder, tmp_path, monkeypatch):
    compared = {}
    monkeypatch.setattr(
        continual,
        "require_agreement",
        lambda what, digest: compared.update({what: digest()}),
    )
    learn(folder, tmp_path / "run", tasks=[GENDER])
    assert list(compared) == ["pretraining: the learner", "gender: the learner"]
    assert len(set(compared.values())) == 2


def test_metrics_that_are_others_after_all_stop_the_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(TaskStage, "test", lambda self: {"hit@1": 2.0})
    with pytest.raises(TrainingError, match="'gender': its test metrics were"):
        learn(folder, tmp_path / "run", tasks=[GENDER])


def test_retraining_has_a_bound_of_epochs_of_its_own(folder, tmp_path):
    told = learn(folder, tmp_path / "run", epochs=1, retrain_epochs=3, tasks=[])
    assert told["results"]["pretrain"]["epochs"] == 1 + 3
