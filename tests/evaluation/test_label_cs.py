"""The majority label."""

from types import SimpleNamespace

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_peterrec.evaluation.label_cs import LabelCounts
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.transfer import TransferRun
from tests.toy import TASKS


def test_of_equally_frequent_labels_the_first_is_said():
    rows = Interaction({"label": torch.tensor([3, 2, 3, 2, 1])})
    train = SimpleNamespace(iid_field="label", item_num=4, inter_feat=rows)
    counts = LabelCounts(train, torch.device("cpu"))
    assert counts.full_sort_predict([0, 0]).argmax(1).tolist() == [2, 2]


def test_the_majority_is_that_of_the_training_split(toy_config):
    run = TransferRun(toy_config("FineCLS", tasks=TASKS[:1]))
    (stage,) = run.tasks
    stage.build(run.encoder)
    outcome = stage.train(RunLog("ERROR"))
    rare = stage.dataset.token2id("gender", "F")
    stage.train_data.inter_feat["gender"][:] = rare
    told = stage.record(outcome)["label_cs"]
    for split, loader in zip(("valid", "test"), stage.loaders[1:], strict=True):
        right = (loader._dataset.inter_feat["gender"] == rare).float().mean().item()
        assert told[split] == {"hit@1": pytest.approx(right, abs=5e-5)}
