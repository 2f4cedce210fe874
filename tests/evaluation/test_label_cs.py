"""The majority label."""

from types import SimpleNamespace

import torch
from recbole.data.interaction import Interaction

from recbole_peterrec.evaluation.label_cs import LabelCounts


def test_of_equally_frequent_labels_the_first_is_said():
    rows = Interaction({"label": torch.tensor([3, 2, 3, 2, 1])})
    train = SimpleNamespace(iid_field="label", item_num=4, inter_feat=rows)
    counts = LabelCounts(train, torch.device("cpu"))
    assert counts.full_sort_predict([0, 0]).argmax(1).tolist() == [2, 2]
