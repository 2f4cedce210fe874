"""``recbole_peterrec.run``: what it returns, saved backbones, strategies and kinds of tasks."""

from __future__ import annotations

import copy
import gc
import json
import logging
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch

import recbole_peterrec
from recbole_peterrec import UserModel, serving
from recbole_peterrec.checkpoint import load_tensors
from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.errors import CheckpointError, ConfigError, DataError
from recbole_peterrec.runs.task_stage import TaskStage
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET, TASKS, settings, user_rows, write_toy

GENDER, AGE = TASKS
ITEMS, WIDTH, TAPS, BLOCKS, REDUCTION = 30, 8, 3, 2, 4


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    """``run`` on the toy, in a run directory of its own."""

    def started(model: str = "PeterRec", **changes) -> dict:
        run_dir = tmp_path_factory.mktemp("runs") / "run"
        keys = settings(
            data,
            embedding_size=WIDTH,
            kernel_size=TAPS,
            dilations=[1],
            block_num=BLOCKS,
            patch_reduction=REDUCTION,
            show_progress=False,
            run_dir=str(run_dir),
        )
        return recbole_peterrec.run(model, "toy", config_dict=keys | changes)

    return started


@pytest.fixture(scope="module")
def first(run) -> dict:
    """Pretraining and three tasks."""
    return run(tasks=[GENDER, AGE, TARGET])


def file_of(outcome: dict, name: str) -> bytes:
    return Path(outcome["run_dir"], name).read_bytes()


def timeless(record: dict) -> dict:
    return {key: value for key, value in record.items() if key != "seconds"}


# --- what comes back


def test_run_returns_the_four_keys_of_recbole(first):
    pretrain = first["results"]["pretrain"]
    assert first["best_valid_result"] == pretrain["valid"]
    assert first["test_result"] == pretrain["test"]
    assert first["best_valid_score"] == pretrain["valid"]["mrr@5"]
    assert first["valid_score_bigger"] is True


def test_run_returns_what_results_json_holds(first):
    assert json.loads(file_of(first, "results.json")) == first["results"]


def test_plain_backbone_returns_its_own_metrics_and_no_task(run):
    outcome = run("GRec")
    assert outcome["results"]["tasks"] == {}
    assert set(outcome["test_result"]) == {"mrr@5", "hit@5"}
    assert outcome["best_valid_score"] == outcome["best_valid_result"]["mrr@5"]
    assert Path(outcome["run_dir"], "backbone.safetensors").is_file()


def test_dicts_of_the_caller_are_not_changed(data, tmp_path):
    keys = settings(
        data, show_progress=False, run_dir=str(tmp_path / "run"), tasks=[GENDER]
    )
    before = copy.deepcopy(keys)
    recbole_peterrec.run("PeterRec", "toy", config_dict=keys)
    assert keys == before


def test_second_run_of_a_process_leaves_the_log_of_the_first_alone(run):
    handlers = logging.getLogger().handlers[:]
    one = run("GRec")
    log = file_of(one, "run.log")
    other = run("GRec")
    assert file_of(one, "run.log") == log
    assert b"test result" in file_of(other, "run.log")
    assert logging.getLogger().handlers == handlers


def test_flags_of_the_surrounding_program_are_not_read(run, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["program", "--embedding_size=4", "--nonsense=1", "file"]
    )
    outcome = run("GRec")
    assert "embedding_size: 8" in file_of(outcome, "config.yaml").decode()


# --- saved backbones


def test_saved_backbone_learns_a_new_task_without_being_trained(run, first):
    task = {"name": "old", "kind": "profile", "field": "age", "bins": [40]}
    outcome = run(tasks=[task], pretrained_path=first["run_dir"])
    assert list(outcome["results"]["tasks"]) == ["old"]
    assert file_of(outcome, "backbone.safetensors") == file_of(
        first, "backbone.safetensors"
    )
    pretrain = outcome["results"]["pretrain"]
    assert pretrain["epochs"] == 0 and pretrain["seconds"] == 0.0
    assert outcome["test_result"] == first["test_result"]
    assert outcome["best_valid_score"] == first["best_valid_score"]


def test_backbone_can_be_handed_on_twice(run, first):
    second = run(tasks=[AGE], pretrained_path=first["run_dir"])
    third = run(tasks=[GENDER], pretrained_path=second["run_dir"])
    for name in ("backbone.safetensors", "pretraining_head.safetensors"):
        assert file_of(third, name) == file_of(first, name)
    assert third["test_result"] == first["test_result"]


def test_a_sequence_of_networks_starts_from_the_saved_next_item_layer(run, first):
    """With steps of next to nothing, the source is forgotten by next to nothing."""
    outcome = run(
        "Unprotected",
        tasks=[GENDER],
        pretrained_path=first["run_dir"],
        learning_rate=1e-12,
        head_learning_rate=1e-12,
    )
    record = outcome["results"]["tasks"]["gender"]
    assert record["pretrain_test"] == outcome["results"]["pretrain"]["test"]


def test_a_task_of_a_sequence_goes_on_with_the_network_of_the_one_before(run, first):
    """The second of two tasks, whose steps are next to nothing, ends where the first did."""
    still = {**AGE, "learning_rate": 1e-12, "head_learning_rate": 1e-12}
    outcome = run(
        "Unprotected", tasks=[GENDER, still], pretrained_path=first["run_dir"]
    )
    run_dir = Path(outcome["run_dir"])
    learned, carried = (
        load_tensors(run_dir / "tasks" / name / "weights.safetensors")
        for name in ("gender", "age")
    )
    source = load_tensors(run_dir / "backbone.safetensors")
    name = "blocks.0.branch.0.conv.weight"
    trained = learned[f"encoder.{name}"]
    torch.testing.assert_close(carried[f"encoder.{name}"], trained)
    assert (trained - source[name]).abs().max() > 1e-3


def test_a_backbone_without_test_users_can_be_handed_on(run):
    whole = {"order": "RO", "split": {"RS": [9, 1, 0]}}
    first = run("NextItNetAR", eval_args=whole)
    assert first["test_result"] == {}
    outcome = run(tasks=[GENDER], pretrained_path=first["run_dir"], eval_args=whole)
    assert file_of(outcome, "pretraining_head.safetensors") == file_of(
        first, "pretraining_head.safetensors"
    )


def test_random_weights_are_no_backbone_to_hand_on_or_to_ask_for_items(run):
    outcome = run("PeterZero", tasks=[GENDER])
    with pytest.raises(CheckpointError, match="nothing was pretrained"):
        run(tasks=[GENDER], pretrained_path=outcome["run_dir"])
    with pytest.raises(CheckpointError, match="nothing was pretrained"):
        UserModel(outcome["run_dir"]).top("pretraining", ["i1"])


def test_networks_that_are_carried_on_are_trained_whole(run):
    with pytest.raises(ConfigError, match="task 'age': carry_encoder .* tuning all"):
        tasks = [GENDER, {**AGE, "tuning": "head"}]
        run(tuning="all", carry_encoder=True, tasks=tasks)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"histories": ["i1", "i2"]}, "history 0 must be a list"),
        ({"histories": "i1"}, "histories must be lists"),
        ({"histories": []}, "histories must be lists"),
        ({"histories": None}, "histories must be lists"),
        ({"histories": [None]}, "history 0 must be a list"),
        ({"histories": [{"i1", "i2"}]}, "history 0 must be a list"),
        ({"histories": [iter(["i1"])]}, "history 0 must be a list"),
        ({"history": "i1"}, "history 0 must be a list"),
        ({"history": ["i1"], "number": 0}, "number must be"),
        ({"history": ["i1"], "number": 2.5}, "number must be"),
        ({"history": ["i1"], "number": True}, "number must be"),
    ],
)
def test_a_text_is_no_history(first, asked, message):
    model = UserModel(first["run_dir"])
    ask = model.top if "history" in asked else model.scores
    with pytest.raises(DataError, match=message):
        ask("gender", **asked)


def test_an_order_of_any_kind_is_a_history(first):
    model, history = UserModel(first["run_dir"]), ["i1", "i2", "i3"]
    best = model.top("gender", history, np.int64(2))
    assert len(best) == 2
    for other in (tuple(history), np.array(history), pd.Series(history, [7, 8, 9])):
        assert model.top("gender", other, 2) == best


@pytest.mark.parametrize(
    "tasks",
    [[GENDER], [AGE], [TARGET], [TARGET, AGE, GENDER], [AGE, GENDER]],
    ids=lambda tasks: "-".join(task["name"] for task in tasks),
)
def test_result_of_a_task_does_not_depend_on_the_others(run, first, tasks):
    outcome = run(tasks=tasks, pretrained_path=first["run_dir"])
    assert list(outcome["results"]["tasks"]) == [task["name"] for task in tasks]
    for name, record in outcome["results"]["tasks"].items():
        assert timeless(record) == timeless(first["results"]["tasks"][name])
        weights = f"tasks/{name}/weights.safetensors"
        assert file_of(outcome, weights) == file_of(first, weights)


def test_tuning_everything_leaves_the_saved_backbone_alone(run, first):
    outcome = run("FineAll", tasks=[GENDER, AGE])
    assert file_of(outcome, "backbone.safetensors") == file_of(
        first, "backbone.safetensors"
    )


# --- strategies


LAYER = TAPS * WIDTH * WIDTH + WIDTH + 2 * WIDTH  # convolution and LayerNorm
ENCODER = (ITEMS + 2) * WIDTH + 2 * BLOCKS * LAYER  # padding and [TCL] are embedded too
HEAD = WIDTH * 2 + 2
NARROW = WIDTH // REDUCTION
PATCH = 2 * WIDTH * NARROW + NARROW + WIDTH


@pytest.mark.parametrize(
    ("model", "keys", "trainable"),
    [
        ("PeterRec", {}, 2 * BLOCKS * PATCH + HEAD),
        ("PeterRec", {"patch_insertion": "serial_after_block"}, BLOCKS * PATCH + HEAD),
        (
            "PeterRec",
            {"patch_insertion": "parallel_before_norm"},
            2 * BLOCKS * PATCH + HEAD,
        ),
        (
            "PeterRec",
            {"patch_insertion": "parallel_after_activation"},
            2 * BLOCKS * PATCH + HEAD,
        ),
        ("PeterRec", {"patch_count": 1}, BLOCKS * PATCH + HEAD),
        ("PeterRec", {"tune_layernorm": True}, 2 * BLOCKS * (PATCH + 2 * WIDTH) + HEAD),
        ("FineAll", {}, ENCODER + HEAD),
        ("FineLast", {}, LAYER + HEAD),
        ("FineLast", {"tune_layers": 3}, 3 * LAYER + HEAD),
        ("FineCLS", {}, HEAD),
        ("PeterZero", {}, 2 * BLOCKS * PATCH + HEAD),
        ("FineZero", {}, ENCODER + HEAD),
    ],
    ids=str,
)
def test_strategy_trains_as_many_parameters_as_its_formula_says(
    run, model, keys, trainable
):
    fixed = {
        "patch_insertion": "serial_before_norm",
        "patch_count": None,
        "patch_cardinality": 1,
        "tune_layers": 1,
        "tune_layernorm": False,
    }
    results = run(model, tasks=[GENDER], **(fixed | keys))["results"]
    assert results["model"] == model
    record = results["tasks"]["gender"]
    assert record["trainable_parameters"] == trainable
    assert record["total_parameters"] == ENCODER + HEAD
    zero = model.endswith("Zero")
    assert results["pretrain"]["epochs"] == (0 if zero else 1)
    assert bool(results["pretrain"]["test"]) is not zero


def test_zero_strategies_ignore_a_saved_backbone(run, first):
    outcome = run("PeterZero", tasks=[GENDER], pretrained_path=first["run_dir"])
    assert file_of(outcome, "backbone.safetensors") != file_of(
        first, "backbone.safetensors"
    )


@pytest.mark.parametrize("pooling", ["tcl_end", "tcl_both", "sum"])
def test_non_causal_backbone_carries_tasks_with_every_pooling(run, pooling):
    outcome = run(backbone="GRec", pooling=pooling, tasks=[GENDER])
    assert set(outcome["results"]["tasks"]["gender"]["test"]) == {"hit@1"}


# --- kinds of tasks


def test_recommendation_task_is_measured_by_mrr_and_hit_at_5(first, data):
    record = first["results"]["tasks"]["buy"]
    assert set(record["valid"]) == set(record["test"]) == {"mrr@5", "hit@5"}
    assert record["labels"] == 20
    rows = len((data / "shop" / "shop.inter").read_text().splitlines()) - 1
    assert sum(record["instances"].values()) == rows
    assert "label_cs" not in record


def test_recommendation_task_keeps_the_rows_that_its_interval_names(run, first, data):
    task = {**TARGET, "val_interval": {"rating": "[4,5]"}}
    outcome = run(tasks=[task], pretrained_path=first["run_dir"])
    rows = (data / "shop" / "shop.inter").read_text().splitlines()[1:]
    kept = [row.split("\t") for row in rows if int(row.split("\t")[2]) >= 4]
    record = outcome["results"]["tasks"]["buy"]
    assert sum(record["instances"].values()) == len(kept)
    assert record["labels"] == len({row[1] for row in kept})


def test_label_cs_is_the_majority_s_share_counted_by_hand(first, data):
    config = Config("PeterRec", "toy", config_dict=settings(data, tasks=[GENDER]))
    source = SequenceDataset(config.derive(model=config["backbone"]))
    source.build()
    (task,) = read_tasks(config)
    genders = {user: gender for user, _, gender in user_rows(60, 2)}
    splits = []
    for part in TaskDataset(task.config, source).build():
        users = part.field2id_token[part.uid_field][
            part.inter_feat[part.uid_field].numpy()
        ]
        splits.append(Counter(genders[user] for user in users))
    majority = splits[0].most_common(1)[0][0]
    record = first["results"]["tasks"]["gender"]
    assert [split.total() for split in splits] == list(record["instances"].values())
    for name, split in zip(("valid", "test"), splits[1:], strict=True):
        share = split[majority] / split.total()
        assert record["label_cs"][name] == {"hit@1": pytest.approx(share, abs=5e-5)}


def test_pretraining_and_tasks_have_bounds_of_epochs_of_their_own(run):
    outcome = run(pretrain_epochs=3, finetune_epochs=2, tasks=[GENDER])["results"]
    assert outcome["pretrain"]["epochs"] == 3
    assert outcome["tasks"]["gender"]["epochs"] == 2


def test_task_may_set_keys_for_itself(run, first):
    own = {**GENDER, "epochs": 3, "eval_args": {**TARGET["eval_args"], "mode": "full"}}
    outcome = run(tasks=[own, AGE], pretrained_path=first["run_dir"])
    records = outcome["results"]["tasks"]
    assert records["gender"]["epochs"] == 3 and records["age"]["epochs"] == 1
    assert records["gender"]["instances"] == {"train": 36, "valid": 12, "test": 12}
    assert timeless(records["age"]) == timeless(first["results"]["tasks"]["age"])


def test_a_task_of_mtl_is_what_it_is_alone(run):
    """The source's windows, which all tasks are learned beside, are shuffled as if it were."""
    both = run("MTL", tasks=[GENDER, AGE])
    alone = run("MTL", tasks=[AGE])
    name = "tasks/age/weights.safetensors"
    assert file_of(both, name) == file_of(alone, name)


@pytest.mark.parametrize("model", ["NextItNetAR", "GRU4Rec"])
def test_a_bound_of_pretraining_is_that_of_a_model_without_tasks(run, model):
    outcome = run(model, epochs=1, pretrain_epochs=2, tasks=None)
    assert outcome["results"]["pretrain"]["epochs"] == 2


def test_weights_that_mtl_trains_are_those_of_the_source_s_layer_too(run, first):
    task = run("MTL", tasks=[AGE])["results"]["tasks"]["age"]
    alone = run("FineAll", tasks=[AGE], pretrained_path=first["run_dir"])
    full = alone["results"]["tasks"]["age"]
    assert full["trainable_parameters"] == full["total_parameters"]
    layer = 31 * (8 + 1)  # of the toy's 30 items and padding
    assert task["trainable_parameters"] == full["trainable_parameters"] + layer
    assert task["total_parameters"] == task["trainable_parameters"]  # 100 %


def test_a_run_s_own_rho_of_ranked_negatives_is_its_tasks(run, data):
    keys = settings(data, protocol="conure", rank_rho=0.05, tasks=[TARGET])
    (task,) = read_tasks(Config("PeterRec", "toy", config_dict=keys))
    assert task.config["rank_rho"] == 0.05


def test_many_users_are_scored_a_few_at_a_time_in_their_order(first, monkeypatch):
    monkeypatch.setattr(serving, "AT_ONCE", 2)
    model = UserModel(first["run_dir"])
    histories = [[f"i{i}" for i in range(n, 2 * n + 1)] for n in (7, 1, 3, 9, 2)]
    network, sizes = model._open("buy").network, []
    network.register_forward_hook(lambda *given: sizes.append(len(given[2])))
    together = model.scores("buy", histories)
    assert sizes == [2, 2, 1]
    for history, row in zip(histories, together, strict=True):
        torch.testing.assert_close(model.scores("buy", [history])[0], row)


@pytest.mark.parametrize("round_", range(3))
def test_threads_may_share_a_served_model(first, round_):
    histories = [["i1", "i2", "i3"], ["i7"]]
    names = ["gender", "age", "buy", "pretraining"]
    alone = UserModel(first["run_dir"])
    expected = {name: alone.scores(name, histories) for name in names}
    shared = UserModel(first["run_dir"])
    together = Barrier(len(names))

    def ask(name):
        together.wait()
        return name, shared.scores(name, histories)

    with ThreadPoolExecutor(len(names)) as pool:
        for name, scores in pool.map(ask, names):
            assert torch.equal(scores, expected[name])


@pytest.mark.parametrize("model", ["PeterRec", "FineAll"])
def test_a_tasks_network_is_let_go_before_the_next_is_saved(run, monkeypatch, model):
    save, made, alive = TaskStage.save, [], []

    def watched(self, *args):
        gc.collect()
        alive.append(sum(reference() is not None for reference in made))
        made.append(weakref.ref(self.model))
        save(self, *args)

    monkeypatch.setattr(TaskStage, "save", watched)
    run(model, tasks=[GENDER, AGE, {**AGE, "name": "again"}])
    assert alive == [0, 0, 0]


def test_a_backbone_that_was_handed_on_tells_of_its_own_pretraining(run, first):
    second = run(tasks=[AGE], pretrained_path=first["run_dir"], MAX_ITEM_LIST_LENGTH=5)
    told, expected = (
        json.loads(file_of(outcome, "backbone.json")) for outcome in (second, first)
    )
    assert told["pretrain"] == expected["pretrain"]
    assert told["max_length"] == expected["max_length"] == 10


def test_where_more_labels_are_asked_for_than_there_are_all_come_best_first(first):
    model = UserModel(first["run_dir"])
    for task in ("gender", "buy", "pretraining"):
        best = model.top(task, ["i1", "i2"], 1000)
        assert sorted(label for label, _ in best) == sorted(model.labels(task))
        scores = [score for _, score in best]
        assert scores == sorted(scores, reverse=True)


def test_tasks_are_served_in_the_order_in_which_they_were_learned(first):
    assert UserModel(first["run_dir"]).tasks == ["gender", "age", "buy"]
