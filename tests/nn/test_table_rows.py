"""Rows of a table, and what its gradient adds up to."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_peterrec.nn.table_rows import add_rows, rows_of


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("shape", [(9,), (9, 4)])
def test_rows_and_their_gradient_are_those_of_indexing(shape, sparse):
    table = torch.randn(shape, dtype=torch.double)
    rows, grad = torch.randint(9, (30,)), torch.randn(30, *shape[1:]).double()
    found = []
    for look_up in (lambda t: rows_of(t, rows, sparse), lambda t: t[rows]):
        own = table.clone().requires_grad_()
        made = look_up(own)
        made.backward(grad)
        found.append((made.detach(), own.grad.to_dense()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("width", [(), (128,)])
def test_repeated_rows_are_added_in_the_same_order_each_time(two_threads, width):
    """Torch's own indexing fails here, on a machine of two cores or more."""
    number = 100_000 if width == () else 4096
    rows = torch.randint(20, (number,))
    grad = torch.randn(number, *width)
    found = []
    for _ in range(10):
        table = torch.zeros(20, *width, requires_grad=True)
        rows_of(table, rows).backward(grad)
        found.append(table.grad)
    assert all(torch.equal(found[0], other) for other in found)


class Accumulates(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket.__name__.startswith("index_put"):
            self.found.append(
                args[3] if len(args) > 3 else (kwargs or {}).get("accumulate", False)
            )
        return function(*args, **(kwargs or {}))


def test_repeated_rows_are_added_off_the_cpu_not_overwritten():
    table, rows = (
        torch.zeros(9, 4, device="meta"),
        torch.zeros(3, dtype=torch.long, device="meta"),
    )
    with Accumulates() as seen:
        add_rows(table, rows, torch.ones(3, 4, device="meta"))
    assert seen.found == [True]
