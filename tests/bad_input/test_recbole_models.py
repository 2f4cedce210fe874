"""What RecBole's models cannot do, or lack, is one line."""

import pytest

from tests.bad_input.case import holds

NONE_OF_OURS = {"tasks": None, "patch_reduction": 8}


@pytest.mark.parametrize(
    ("model", "keys", "words"),
    [
        ("SASRec", {"benchmark_filename": ["a", "b", "c"]}, ["benchmark_filename"]),
        ("GRU4RecCPR", {}, ["reranker_CAN_NUM", "at most 30", "100"]),
        ("GRU4RecCPR", {"reranker_CAN_NUM": "31,5"}, ["reranker_CAN_NUM", "'31,5'"]),
        ("GRU4RecCPR", {"reranker_CAN_NUM": "5,20"}, ["reranker_CAN_NUM", "'5,20'"]),
        ("GRU4RecCPR", {"reranker_CAN_NUM": "²"}, ["reranker_CAN_NUM", "'²'"]),
        ("SASRecCPR", {"reranker_CAN_NUM": None}, ["reranker_CAN_NUM must", "None"]),
        ("TransRec", {"loss_type": "CE"}, ["TransRec has no loss_type"]),
        ("DIN", {"train_neg_sample_args": None}, ["DIN needs train_neg_sample_args"]),
        ("NARM", {"dropout_probs": [0.1]}, ["NARM cannot be built", "index"]),
        ("FPMC", {"loss_type": "CE"}, ["loss_type of FPMC", "BPR"]),
        (
            "SASRec",
            {"epochs": 4, "eval_step": 2, "select_epoch": "last", "pretrain_epochs": 1},
            ["select_epoch last", "multiple of eval_step 2, got 1"],
        ),
        (
            "SASRec",
            {"recent_interactions": 3},
            ["recent_interactions needs a backbone of ours", "SASRec"],
        ),
        (
            "SASRec",
            {"eval_args": {"order": "RO", "split": {"RS": [0.6, 0.2, 0.2]}}},
            ["order RO", "needs a backbone of ours"],
        ),
        ("sasrec", {}, ["unknown model", "'SASRec'"]),
    ],
)
def test_models_of_recbole_say_what_is_wrong(case, model, keys, words):
    holds(case.error(model=model, **NONE_OF_OURS | keys), *words)
