"""Where the network is read: Eq. 5 to 7 and Fig. 2."""

import pytest
import torch

from recbole_peterrec.nn.pooling import add_tokens, check_pooling, pool

ITEMS = torch.tensor([[5, 6, 7], [8, 0, 0]])
LENGTHS = torch.tensor([3, 1])
TOKEN = 99


def test_tcl_end_follows_the_last_item():
    items, lengths = add_tokens(ITEMS, LENGTHS, "tcl_end", TOKEN)
    assert items.tolist() == [[5, 6, 7, 99], [8, 99, 0, 0]]
    assert lengths.tolist() == [4, 2]


def test_tcl_both_is_at_both_ends():
    items, lengths = add_tokens(ITEMS, LENGTHS, "tcl_both", TOKEN)
    assert items.tolist() == [[99, 5, 6, 7, 99], [99, 8, 99, 0, 0]]
    assert lengths.tolist() == [5, 3]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("tcl_end", [[4.0], [50.0]]),
        ("tcl_both", [[5.0], [90.0]]),
        ("sum", [[10.0], [90.0]]),
        ("mean", [[2.5], [45.0]]),
    ],
)
def test_pooled_vector_by_hand(pooling, expected):
    hidden = torch.tensor([[1.0, 2, 3, 4], [40, 50, 1000, 1000]]).unsqueeze(-1)
    assert pool(hidden, torch.tensor([4, 2]), pooling).tolist() == expected


@pytest.mark.parametrize("pooling", ["tcl_start", "tcl_both"])
def test_what_fig_2b_rules_out_is_refused_with_the_reason(pooling):
    with pytest.raises(ValueError, match="has seen no item .*Fig. 2b.*use tcl_end, s"):
        check_pooling(pooling, causal=True)


def test_the_start_alone_of_a_non_causal_network_is_refused_for_another_reason():
    check_pooling("tcl_both", causal=False)
    with pytest.raises(ValueError, match="no network of the paper.*use tcl_end, tcl_b"):
        check_pooling("tcl_start", causal=False)
