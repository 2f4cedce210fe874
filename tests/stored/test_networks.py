"""Saved networks are opened as they were, or refused."""

import pytest
import torch

from recbole_peterrec import checkpoint
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import CheckpointError
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.model.task_network import tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.stored.learner import (
    open_learner,
    save_learned_task,
    save_learner,
)
from recbole_peterrec.stored.networks import (
    open_backbone,
    open_next_item,
    open_task,
    save_backbone,
    save_task,
)
from tests.model.lives import encoder as fresh_encoder
from tests.model.lives import live
from tests.toy import TUNING

TRAINED = {"valid": {}, "test": {}, "epochs": 1, "seconds": 0.5}


@pytest.mark.parametrize(
    "change", ["a patch is missing", "another shape", "one too many"]
)
def test_weights_of_another_task_are_refused(tmp_path, change):
    encoder = DilatedEncoder(DilatedArchitecture(20, 8, 3, (1, 4), True, "post"))
    tuning = Tuning.of(TUNING)
    network = tuned_network(encoder, tuning, 2)
    save_task(tmp_path, "t", network, tuning, {"labels": ["a", "b"], "max_length": 5})
    open_task(tmp_path, "t", encoder, {})
    file = tmp_path / "tasks" / "t" / "weights.safetensors"
    weights = checkpoint.load_tensors(file)
    if change == "a patch is missing":
        del weights["encoder.blocks.0.branch.0.conv.patch.down.weight"]
    elif change == "another shape":
        weights["head.bias"] = torch.zeros(3)
    else:
        weights["other"] = torch.zeros(3)
    checkpoint.save_tensors(file, weights)
    with pytest.raises(CheckpointError, match=r"does not fit its task\.json"):
        open_task(tmp_path, "t", encoder, {})


@pytest.mark.parametrize("reads", ["last", "tcl_end"])
@pytest.mark.parametrize("kind", [NextItNetAR, GRec])
@torch.no_grad()
def test_next_items_are_those_of_the_model_that_was_saved(
    toy_config, tmp_path, monkeypatch, kind, reads
):
    """Wherever a backbone, which may be a user's own, reads them."""
    monkeypatch.setattr(kind, "reads", reads)
    config = toy_config(kind.__name__)
    dataset = SequenceDataset(config)
    dataset.build()
    model = kind(config, dataset).eval()
    save_backbone(tmp_path, kind.__name__, model, {}, TRAINED, 10)
    network, _ = open_next_item(tmp_path, *open_backbone(tmp_path))
    items, lengths = torch.randint(1, 30, (3, 7)), torch.tensor([7, 1, 4])
    items = items.masked_fill(torch.arange(7) >= lengths[:, None], 0)
    rows = {model.ITEM_SEQ: items, model.ITEM_SEQ_LEN: lengths}
    expected = model.output(model.user_states(rows))
    torch.testing.assert_close(network.eval().scores(items, lengths), expected)


def test_weights_of_a_task_that_is_not_told_of_are_refused(tmp_path):
    learner = Learner(fresh_encoder())
    live(learner, [("adam", 0.5, False)])
    save_learner(tmp_path, "NextItNetAR", learner, {}, TRAINED, 9, {})
    open_learner(tmp_path)
    file = tmp_path / "ownership.safetensors"
    owners = checkpoint.load_tensors(file)
    for owner in owners.values():  # written by a run that was killed after it
        owner[owner == 0] = 2
    checkpoint.save_tensors(file, owners)
    with pytest.raises(CheckpointError, match="is owned by task 2 of 1"):
        open_learner(tmp_path)


@pytest.mark.parametrize("per_task", [False, True])
def test_layer_norms_of_another_learner_s_task_are_refused(tmp_path, per_task):
    learner = Learner(fresh_encoder(), layernorm_per_task=per_task)
    live(learner, [("adam", 0.5, False)] * 2)
    told = {"labels": [*"abcd"], "pooling": "last", "max_length": 9}
    save_learned_task(tmp_path, "t1", learner, told)
    save_learner(tmp_path, "NextItNetAR", learner, {}, TRAINED, 9, {"t1": told})
    open_learner(tmp_path)
    file = tmp_path / "tasks" / "t1" / "weights.safetensors"
    weights = checkpoint.load_tensors(file)
    weights["encoder.blocks.9.norm.weight"] = torch.ones(8)
    checkpoint.save_tensors(file, weights)
    with pytest.raises(CheckpointError, match="other LayerNorms than its learner"):
        open_learner(tmp_path)
