"""The moving average, against its sum written out."""

import numpy as np
import torch

from recbole_peterrec.trainer.averaging import WeightAverage


def steps(number):
    draw = np.random.default_rng(0)
    return [draw.normal(size=(2, 3)).astype(np.float32) for _ in range(number)]


def fed(values, decay):
    parameter = torch.zeros(2, 3)
    average = WeightAverage([parameter], decay)
    for value in values:
        parameter.copy_(torch.from_numpy(value))
        average.update()
    return parameter, average


def test_the_average_is_the_weighted_sum_over_all_steps():
    values = steps(7)
    parameter, average = fed(values, 0.8)
    average.use()
    weights = 0.8 ** np.arange(6, -1, -1)
    expected = np.tensordot(weights, np.array(values), 1) / weights.sum()
    np.testing.assert_allclose(parameter.numpy(), expected, rtol=1e-5)


def test_training_goes_on_from_the_trained_weights():
    values = steps(3)
    parameter, average = fed(values, 0.5)
    average.use()
    average.use()  # twice is once
    average.train_on()
    assert torch.equal(parameter, torch.from_numpy(values[-1]))


def test_before_the_first_step_there_is_nothing_to_use():
    parameter = torch.ones(2)
    average = WeightAverage([parameter], 0.9)
    average.use()
    assert torch.equal(parameter, torch.ones(2))


def test_a_loaded_average_lies_where_its_weights_do():
    """Whatever device it was read onto: a state is read onto the CPU, a GPU trains."""
    _, saved = fed(steps(2), 0.5)
    saved.use()
    elsewhere = WeightAverage([torch.empty(2, 3, device="meta")], 0.5)
    elsewhere.load(saved.state())
    found = [*elsewhere.sums, *elsewhere.trained]
    assert [tensor.device.type for tensor in found] == ["meta", "meta"]


def test_a_loaded_average_goes_on_as_the_saved_one():
    values = steps(6)
    parameter, whole = fed(values, 0.7)
    other, half = fed(values[:3], 0.7)
    half.use()
    again = WeightAverage([other], 0.7)
    again.load(half.state())
    again.train_on()
    assert torch.equal(other, torch.from_numpy(values[2]))
    for value in values[3:]:
        other.copy_(torch.from_numpy(value))
        again.update()
    again.use(), whole.use()
    assert torch.equal(parameter, other)
