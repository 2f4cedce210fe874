"""Names and values of keys."""

from __future__ import annotations

import pytest

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError
from tests.bad_input.case import GENDER, holds


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("patch_insertion", "serial_before_nrm", "serial_before_norm"),
        ("pooling", "tcl_ennd", "tcl_end"),
        ("tuning", "pach", "patch"),
        ("norm", "pst", "post"),
        ("patch_activation", "rellu", "relu"),
        ("backbone", "NextItNetARR", "NextItNetAR"),
        ("valid_metric", "MMR@5", "mrr"),
        ("metrics", ["MMR"], "mrr"),
    ],
)
def test_unknown_name_is_refused_with_the_right_one(case, key, wrong, right):
    message = case.error(**{key: wrong})
    wrong = wrong[0] if isinstance(wrong, list) else wrong
    assert wrong.lower() in message.lower()
    assert right.lower() in message.lower()


@pytest.mark.parametrize("wrong", [5, None, ["user_id"]])
@pytest.mark.parametrize("key", ["USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"])
def test_a_column_that_is_no_text_is_told_by_its_own_key(case, key, wrong):
    holds(case.error(**{key: wrong}), f"{key} must be a text (in quotes)")


def test_a_filtered_column_that_is_no_text_is_told(case):
    holds(case.error(val_interval={5: "[1,2]"}), "val_interval must map columns' names")


@pytest.mark.parametrize("key", ["model", "dataset"])
def test_a_flag_that_names_another_than_the_caller_is_refused(key):
    flag = f"--{key}=FineAll"
    with pytest.raises(ConfigError, match=f"{key} is .*, by a flag, FineAll"):
        Config("PeterRec", "ml-100k", arguments=[flag])
    same = {"model": "PeterRec", "dataset": "ml-100k"}[key]
    Config("PeterRec", "ml-100k", arguments=[f"--{key}={same}"])


@pytest.mark.parametrize("wrong", ["PeterRek", "NextItNetArr", "FineAl", "SASRek"])
def test_unknown_model_suggests_the_nearest(case, wrong):
    right = {"P": "PeterRec", "N": "NextItNetAR", "F": "FineAll", "S": "SASRec"}[
        wrong[0]
    ]
    holds(case.error(model=wrong), repr(wrong), f"did you mean {right!r}")


def test_model_that_is_no_sequence_model_is_refused(case):
    holds(case.error(model="BPR"), "BPR", "sequential")


def test_unknown_flag_suggests_the_nearest(case):
    holds(
        case.error("--learning_rte=0.1"),
        "'learning_rte'",
        "did you mean 'learning_rate'",
    )


def test_unknown_key_of_a_file_suggests_the_nearest(case):
    holds(
        case.error(patch_reducton=4),
        "'patch_reducton'",
        "did you mean 'patch_reduction'",
    )


def test_patch_reduction_that_does_not_divide_the_width_is_refused(case):
    holds(case.error(patch_reduction=3), "patch_reduction 3", "embedding_size 8")


@pytest.mark.parametrize("count", [0, 3, "two"])
def test_patch_count_that_no_figure_has_is_refused(case, count):
    keys = {"patch_count": count, "patch_insertion": "serial_before_norm"}
    holds(case.error(**keys), "patch_count", "1 or 2")


def test_token_at_the_start_is_refused_with_the_paper_s_reason(case):
    holds(case.error(pooling="tcl_start"), "tcl_start", "Fig. 2b", "tcl_end")


def test_tokens_at_both_ends_of_a_causal_network_are_refused(case):
    holds(
        case.error(pooling="tcl_both", backbone="NextItNetAR"), "tcl_both", "non-causal"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("embedding_size", -8),
        ("embedding_size", "wide"),
        ("kernel_size", 0),
        ("block_num", 1.5),
        ("dilations", [0]),
        ("dilations", 3),
        ("dilations", []),
        ("dropout_prob", 1.5),
        ("dropout_prob", "some"),
        ("head_dropout", -1),
        ("learning_rate", "fast"),
        ("learning_rate", -1.0),
        ("weight_decay", "some"),
        ("head_weight_decay", -0.1),
        ("epochs", "many"),
        ("pretrain_epochs", -1),
        ("train_batch_size", 0),
        ("train_batch_size", "big"),
        ("eval_batch_size", 0),
        ("MAX_ITEM_LIST_LENGTH", 0),
        ("MAX_ITEM_LIST_LENGTH", "long"),
        ("seed", "lucky"),
        ("seed", -1),
        ("stopping_step", "soon"),
        ("topk", 0),
        ("topk", "five"),
        ("softmax_samples", "half"),
        ("softmax_samples", 1.0),
        ("softmax_samples", 1000),
        ("softmax_popularity", -0.1),
        ("softmax_popularity", 1.1),
        ("softmax_popularity", "often"),
        ("window_overlap", 1.0),
        ("tune_layers", 9),
        ("patch_reduction", 0),
        ("patch_reduction", "eight"),
        ("patch_cardinality", 0),
        ("eval_args", {"split": {"RS": [0.8, 0.1]}, "order": "RO", "mode": "full"}),
        (
            "eval_args",
            {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "fulll"},
        ),
        ("eval_args", "full"),
        ("val_interval", "[4,5]"),
        ("softmax_samples", float("inf")),
        (
            "eval_args",
            {"split": {"RS": [float("inf"), 1, 1]}, "order": "RO", "mode": "full"},
        ),
        ("encoding", -1),
        ("encoding", ""),
        ("NEG_PREFIX", ""),
        ("NEG_PREFIX", 5),
        ("backbone", {}),
        ("backbone", ["GRec"]),
        ("patch_insertion", ["serial_before_norm"]),
        ("patch_activation", {}),
        ("pooling", ["mean"]),
        ("clip_grad_norm", {"max_norm": 0}),
        ("load_col", {}),
        ("load_col", {"inter": "user_id"}),
        ("load_col", {"inter": [["user_id"]]}),
        ("extends", "PeterRec"),
        ("metric_decimal_place", 400),
        ("pretrained_path", 2024),
        ("learning_rate", 10**400),
        ("checkpoint_dir", 2024),
        ("checkpoint_dir", None),
        ("run_dir", "a\0b"),
        ("loss_type", "BPR"),
        ("valid_metric", "MRR@7"),
        ("seed", 2**31),
        ("topk", [5, 1_000_001]),
        ("eval_args", {"split": {"RS": [0, 1, 1]}}),
        ("eval_args", {"split": {"LS": "valid_only"}}),
        ("port", 0),
        ("port", 2**16),
        ("embedding_learning_rate", 0),
        ("recent_interactions", 0),
        ("weight_average", 1.0),
        ("checked_rows", -1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_value_that_cannot_be_is_refused_with_its_key(case, key, value):
    extra = {"tuning": "last"} if key == "tune_layers" else {}
    holds(case.error(tasks=[GENDER], **{key: value}, **extra), key)


def test_even_kernel_of_a_non_causal_backbone_is_refused(case):
    holds(case.error(backbone="GRec", kernel_size=4), "kernel_size", "odd")


@pytest.mark.parametrize("value", [0.0, 1.0, "some"])
def test_mask_ratio_out_of_range_is_refused(case, value):
    holds(case.error(backbone="GRec", mask_ratio=value), "mask_ratio")


def test_a_model_that_learns_in_two_runs_is_refused_before_it_begins(case):
    holds(case.error(model="S3Rec"), "S3Rec", "two runs")


@pytest.mark.parametrize("key", ["save_dataset", "save_dataloaders", "enable_amp"])
def test_a_key_of_recbole_that_would_do_nothing_here_is_refused(case, key):
    holds(case.error(**{key: True}), key, "must be False")
