"""One backbone for all models whose pretraining is the same, and for no other."""

from __future__ import annotations

import pytest

from recbole_peterrec import run
from recbole_peterrec.suite.sharing import NOT_OF_PRETRAINING, pretraining_of
from tests.toy import TARGET, left_by, settings, write_toy

# Another value than the toy's for each key that is said not to touch pretraining.
OTHER = {
    "carry_encoder": (True, {"tuning": "all"}),
    "finetune_epochs": (2, {}),
    "head_dropout": (0.5, {}),
    "head_learning_rate": (0.1, {}),
    "head_weight_decay": (0.5, {}),
    "joint_coefficient": (0.5, {"tuning": "all"}),
    "patch_activation": ("gelu", {}),
    "patch_cardinality": (2, {}),
    "patch_count": (1, {"patch_insertion": "serial_before_norm"}),
    "patch_insertion": ("serial_after_block", {}),
    "patch_reduction": (2, {}),
    "patch_weight_decay": (0.5, {}),
    "pooling": ("sum", {}),
    "task_defaults": ({"profile": {"learning_rate": 0.1}}, {}),
    "task_order": (["age"], {}),
    "tasks": ([TARGET], {}),
    "train_share": (0.5, {}),
    "tune_layernorm": (True, {}),
    "tune_layers": (2, {"tuning": "last"}),
    "tuning": ("head", {}),
}
OF_A_RUN = {"given", "model", "pretrained"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def ran(folder, tmp_path_factory):
    """Runs a model on the toy: what it leaves, and where."""

    def ran(model="PeterRec", **changes):
        run_dir = tmp_path_factory.mktemp("run")
        keys = settings(folder, show_progress=False, state="ERROR", **changes)
        run(model, "toy", config_dict={**keys, "run_dir": str(run_dir)})
        return left_by(run_dir), run_dir

    return ran


@pytest.fixture(scope="module")
def usual(ran):
    return ran()


def test_every_key_that_is_left_out_is_tried():
    assert OTHER.keys() | OF_A_RUN == NOT_OF_PRETRAINING


@pytest.mark.parametrize("key", OTHER)
def test_keys_that_are_left_out_do_not_touch_the_backbone(toy_config, usual, ran, key):
    value, needed = OTHER[key]
    changes = {key: value, **needed}
    assert pretraining_of(toy_config("PeterRec")) == pretraining_of(
        toy_config("PeterRec", **changes)
    )
    (left, _), (other, _) = usual, ran(**changes)
    assert left["backbone.safetensors"] == other["backbone.safetensors"]
    assert left["results.json"]["pretrain"] == other["results.json"]["pretrain"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 7),
        ("learning_rate", 0.01),
        ("weight_average", 0.5),
        ("epochs", 2),
        ("pretrain_epochs", 2),
        ("dropout_prob", 0.2),
        ("backbone", "GRec"),
        ("MAX_ITEM_LIST_LENGTH", 9),
        ("val_interval", {"rating": "[3,5]"}),
        ("dilations", [1, 2]),
        ("eval_args", {"mode": "uni5"}),
        ("protocol", "conure"),
    ],
)
def test_other_pretraining_is_told_apart(toy_config, key, value):
    usual = pretraining_of(toy_config("PeterRec"))
    assert pretraining_of(toy_config("PeterRec", **{key: value})) != usual


def test_strategies_share_and_what_pretrains_nothing_does_not(toy_config):
    usual = pretraining_of(toy_config("PeterRec"))
    assert usual is not None
    for model in ("FineAll", "FineLast", "FineCLS"):
        assert pretraining_of(toy_config(model)) == usual
    for model in ("PeterZero", "FineZero", "NextItNetAR", "GRU4Rec", "Conure"):
        keys = {"dilations": None} if model == "GRU4Rec" else {}
        assert pretraining_of(toy_config(model, **keys)) is None
    assert pretraining_of(toy_config("PeterRec", pretrained_path="x")) is None


@pytest.mark.parametrize("model", ["FineAll", "FineCLS", "Unprotected"])
def test_tasks_on_a_shared_backbone_are_those_on_the_runs_own(usual, ran, model):
    """To the last bit, whoever has pretrained it."""
    shared = {"protocol": "conure"} if model == "Unprotected" else {}
    made = ran(**shared)[1] if shared else usual[1]
    alone, _ = ran(model)
    taken, _ = ran(model, pretrained_path=str(made))
    for name in alone:
        if name.startswith("tasks/") or name == "backbone.safetensors":
            assert alone[name] == taken[name], name
    one, other = (left["results.json"] for left in (alone, taken))
    assert one["tasks"] == other["tasks"]
    assert one["pretrain"]["test"] == other["pretrain"]["test"]
