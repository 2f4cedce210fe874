"""Estimates of what a stage holds are near what torch really keeps, never above it."""

import numpy as np
import pytest
import torch

from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.runs import needs
from recbole_peterrec.runs.needs import (
    HALF,
    evaluation_need,
    kernel_need,
    trained_copies,
    training_need,
)

ROWS, LENGTH, WIDTH = 6, 40, 16


def kept_bytes(architecture, last, amp=False):
    """Bytes of the distinct tensors that autograd keeps of activations."""
    encoder = DilatedEncoder(architecture)
    weights = {p.data_ptr() for p in encoder.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    items = torch.randint(1, 20, (ROWS, LENGTH))
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=amp),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        if last:
            states = encoder.last_states(items, torch.full((ROWS,), LENGTH))
        else:
            states = encoder(items)
    assert states.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_activations_are_estimated_from_below_and_nearly(norm, causal, last):
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2, 1), causal, norm)
    need = training_need(architecture, np.full(ROWS, LENGTH), ROWS, last)
    kept = kept_bytes(architecture, last)
    assert 0.6 * kept < need.bytes <= kept
    half = training_need(architecture, np.full(ROWS, LENGTH), ROWS, last, HALF)
    assert half.bytes == need.bytes / 2 <= kept_bytes(architecture, last, amp=True)


def test_histories_count_with_their_own_lengths():
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2), False, "pre")
    mixed = training_need(architecture, np.array([2, 2, 2, 26]), ROWS, False)
    alike = training_need(architecture, np.full(4, 8), ROWS, False)
    assert mixed.bytes == alike.bytes
    evaluated = evaluation_need(architecture, np.array([2, 14]), ROWS, False)
    assert evaluated.bytes == 2 * 4 * ROWS * 8 * WIDTH


@pytest.mark.parametrize("last", [True, False])
def test_evaluation_of_last_states_counts_no_others(last):
    """They are made from the few positions that they see."""
    architecture = DilatedArchitecture(20, WIDTH, 3, (1, 2), True, "pre")
    needs = [
        evaluation_need(architecture, np.full(9, length), ROWS, last).bytes
        for length in (10, 1000)
    ]
    assert (needs[0] == needs[1]) == last


def test_kernels_grow_with_the_square_of_the_channels():
    narrow, wide = (
        kernel_need(DilatedArchitecture(20, k, 3, (1, 2), True, "pre"), 1)
        for k in (8, 16)
    )
    assert narrow.with_setting("embedding_size", 16) == wide.bytes
    assert narrow.with_setting("train_batch_size", 16) == narrow.bytes


@pytest.mark.parametrize(
    ("keys", "copies"),
    [
        ({"learner": "adam", "table_updates": "dense"}, 4),
        ({"learner": "adamw", "table_updates": "dense"}, 4),
        ({"learner": "adam", "table_updates": "rows"}, 3),
        ({"learner": "sgd", "table_updates": "dense"}, 2),
    ],
)
def test_copies_of_a_table_are_those_that_its_training_holds(keys, copies):
    assert trained_copies(keys) == copies


def test_processes_keep_a_place_in_which_they_sum_gradients(monkeypatch):
    monkeypatch.setattr(needs.group, "size", lambda: 2)
    assert trained_copies({"learner": "sgd", "table_updates": "dense"}) == 3
    assert trained_copies({"learner": "sgd", "table_updates": "rows"}) == 1
