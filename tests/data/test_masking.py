"""Which items GRec masks."""

import torch

from recbole_peterrec.data.masking import mask_items, masked_number

LENGTHS = torch.tensor([1, 2, 5, 9, 30])


def test_the_share_of_masked_items_is_rounded_and_at_least_one():
    assert masked_number(LENGTHS, 0.3).tolist() == [1, 1, 2, 3, 9]


def test_something_is_left_to_predict_from():
    assert masked_number(LENGTHS, 0.97).tolist() == [1, 1, 4, 8, 29]


def test_each_item_is_as_likely_masked_and_padding_never():
    torch.manual_seed(0)
    items = (torch.arange(12) < 10).long().repeat(3000, 1) * 7
    masked, hidden = mask_items(items, torch.full((3000,), 10), 0.3, 99)
    assert (hidden.sum(1) == 3).all()
    assert torch.equal(masked == 99, hidden)
    assert torch.equal(masked[~hidden], items[~hidden])
    times = hidden.sum(0)
    assert not times[10:].any()
    assert ((times[:10] - 900).abs() < 130).all()  # standard deviation 25
