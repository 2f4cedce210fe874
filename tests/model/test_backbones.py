"""What backbones are pretrained on: PeterRec's Eq. 1 and 2, over pairs listed by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from recbole.data.interaction import Interaction

from recbole_peterrec.data.masking import mask_items
from recbole_peterrec.data.sequence_dataset import TARGETS, SequenceDataset
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.next_item import NextItemBackbone
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.nn.sampled_softmax import sampled_softmax_loss

ITEMS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [9, 10, 0, 0, 0]])
LENGTHS = torch.tensor([5, 3, 2])


@pytest.fixture
def build(toy_config):
    def make(backbone, **changes):
        torch.manual_seed(0)
        config = toy_config(backbone.__name__, **changes)
        model = backbone(config, SequenceDataset(config).build()[0]).eval()
        for parameter in model.parameters():  # the output layer's bias starts as zeros
            torch.nn.init.normal_(parameter)
        return model

    return make


@pytest.mark.parametrize("reads", ["mean", "tcl_both", None])
def test_a_backbone_says_where_it_is_read(build, monkeypatch, reads):
    """Else it would be evaluated in one place and served from another."""
    monkeypatch.setattr(NextItemBackbone, "reads", reads)
    with pytest.raises(TypeError, match="reads must be one of tcl_end, last"):
        build(NextItNetAR)


def loss_of(model, **more):
    torch.manual_seed(1)  # of the masks
    columns = {model.ITEM_SEQ: ITEMS, model.ITEM_SEQ_LEN: LENGTHS, **more}
    return model.calculate_loss(Interaction(columns))


def cross_entropy(model, items, pairs):
    """Mean over pairs of a (row, position) of `items` and the item to predict there."""
    states = model.encoder(items)
    hidden = torch.stack([states[row, position] for row, position, _ in pairs])
    logits = hidden @ model.output.weight.t() + model.output.bias
    return F.cross_entropy(logits, torch.tensor([item for *_, item in pairs]))


def test_a_causal_backbone_predicts_each_target_of_a_window_from_what_precedes(build):
    model = build(NextItNetAR)
    loss = loss_of(model, **{TARGETS: torch.tensor([2, 2, 1])})
    # Of the first window the last two are targets: the others were, in an earlier one.
    pairs = [(0, 2, 4), (0, 3, 5), (1, 0, 7), (1, 1, 8), (2, 0, 10)]
    torch.testing.assert_close(loss, cross_entropy(model, ITEMS, pairs))


def test_a_masked_backbone_predicts_each_hidden_item_from_the_others(build):
    model = build(GRec, mask_ratio=0.4)
    loss = loss_of(model)
    torch.manual_seed(1)
    masked, hidden = mask_items(ITEMS, LENGTHS, 0.4, model.encoder.special_token)
    places = hidden.nonzero().tolist()
    assert [row for row, _ in places] == [0, 0, 1, 2]
    pairs = [(row, place, int(ITEMS[row, place])) for row, place in places]
    torch.testing.assert_close(loss, cross_entropy(model, masked, pairs))


def test_a_masked_backbone_does_not_see_what_is_hidden(build):
    model = build(GRec)
    before = loss_of(model).item()
    torch.manual_seed(1)
    _, hidden = mask_items(ITEMS, LENGTHS, 0.3, model.encoder.special_token)
    table = model.encoder.embedding.weight.data
    table[ITEMS[hidden]] += 1
    assert loss_of(model).item() == before
    shown = ITEMS[~hidden & (ITEMS > 0)]
    table[shown] += 1
    assert loss_of(model).item() != before


@pytest.mark.parametrize(
    ("samples", "drawn"), [(0, 0), (7, 7), (0.2, 6), (0.25, 8), (0.001, 1)]
)
def test_a_fraction_of_the_items_is_sampled(build, samples, drawn):
    """Of the toy's 30, rounded, and never none, which would be all (a fifth: Conure, section 6.1)."""
    assert build(NextItNetAR, softmax_samples=samples).softmax_samples == drawn


def test_a_sampled_loss_of_many_targets_has_several_samples(build):
    model = build(NextItNetAR, softmax_samples=7)
    width = model.output.weight.shape[1]
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(600, width, generator=generator)
    targets = torch.randint(1, 31, (600,), generator=generator)
    torch.manual_seed(3)
    loss = model.item_loss(hidden, targets)
    torch.manual_seed(3)
    samples = [model.sampler() for _ in range(3)]  # 256 targets a sample
    weight, bias = model.output.weight, model.output.bias
    wanted = sampled_softmax_loss(hidden, targets, weight, bias, samples)
    assert loss.item() == wanted.item()


@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_popular_items_of_the_training_rows_are_sampled_more_often(
    build, toy_config, power
):
    """As a power of how often they are in the training windows, and an unseen one at times."""
    train = SequenceDataset(toy_config("NextItNetAR")).build()[0]
    counts = np.bincount(train.sequences.items[train.read_in_training()], minlength=31)
    model = build(NextItNetAR, softmax_samples=3, softmax_popularity=power)
    told = torch.full((30,), torch.nan)
    for _ in range(2000):
        drawn, log_share = model.sampler()
        told[drawn - 1] = log_share.exp()
    wanted = (1.0 + counts[1:]) ** power
    wanted *= 3 / wanted.sum()
    assert told.isfinite().all()
    np.testing.assert_allclose(told, wanted, rtol=0.03)
