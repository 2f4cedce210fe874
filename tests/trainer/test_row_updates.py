"""Updates by rows: Adam where a step has been, and the same bytes everywhere else."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_peterrec import run as start
from recbole_peterrec.config import Config
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.grec import GRec
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.tasks import read_tasks
from recbole_peterrec.trainer import base, row_updates
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.one_pass import in_one_pass
from recbole_peterrec.trainer.row_updates import update_rows
from tests.toy import TASKS
from tests.toy import settings as toy

ROWS, RATE, DECAYS, EPSILON = 7, 0.01, (0.9, 0.999), 1e-8


def sparse(rows, values, shape):
    return torch.sparse_coo_tensor(
        torch.tensor([rows]), torch.from_numpy(values), shape, check_invariants=True
    )


class Reference:
    """Adam of the touched rows in float64, as its paper has it."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table.astype(np.float64)
        self.first, self.second = np.zeros((2, *table.shape))
        self.steps = 0

    def step(self, rows: list[int], values: np.ndarray) -> None:
        self.steps += 1
        grad = np.zeros_like(self.table)
        np.add.at(grad, rows, values)
        r = np.unique(rows)
        self.first[r] = DECAYS[0] * self.first[r] + (1 - DECAYS[0]) * grad[r]
        self.second[r] = DECAYS[1] * self.second[r] + (1 - DECAYS[1]) * grad[r] ** 2
        mean = self.first[r] / (1 - DECAYS[0] ** self.steps)
        square = self.second[r] / (1 - DECAYS[1] ** self.steps)
        self.table[r] -= RATE * mean / (np.sqrt(square) + EPSILON)


@given(
    steps=st.lists(
        st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=9),
        min_size=1,
        max_size=4,
    ),
    shape=st.sampled_from([(ROWS,), (ROWS, 3)]),
)
@settings(deadline=None)
def test_touched_rows_move_as_adam_says_and_the_others_keep_their_bytes(steps, shape):
    draw = np.random.default_rng(0)
    start = draw.normal(size=shape).astype(np.float32)
    table = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimiser = in_one_pass(update_rows(torch.optim.Adam([table], lr=RATE)))
    expected = Reference(start)
    for rows in steps:
        before = table.detach().clone()
        values = draw.normal(size=(len(rows), *shape[1:])).astype(np.float32)
        table.grad = sparse(rows, values, shape)
        expected.step(rows, values)
        optimiser.step()
        others = [row for row in range(ROWS) if row not in rows]
        assert torch.equal(table[others], before[others])
    np.testing.assert_allclose(
        table.detach().numpy(), expected.table, rtol=1e-4, atol=1e-6
    )


def test_where_every_row_is_touched_it_is_adam():
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(ROWS, 3, generator=draw)
    tables = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    rows, dense = (torch.optim.Adam([table], lr=RATE) for table in tables)
    update_rows(rows)
    for _ in range(20):
        grad = torch.randn(ROWS, 3, generator=draw)
        tables[0].grad, tables[1].grad = grad.to_sparse(1), grad
        rows.step(), dense.step()
    torch.testing.assert_close(*tables, rtol=1e-5, atol=1e-6)


def test_other_parameters_step_as_without_it_and_hooks_run_once_a_step():
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    table = torch.nn.Parameter(torch.ones(ROWS, 3))
    rows = in_one_pass(update_rows(torch.optim.Adam([weights[0], table], lr=RATE)))
    plain = in_one_pass(torch.optim.Adam([weights[1]], lr=RATE))
    calls = []
    rows.register_step_post_hook(lambda *_: calls.append(1))
    for number in range(3):
        for weight in weights:
            weight.grad = torch.full((3,), 0.5 + number)
        table.grad = torch.ones(ROWS, 3).to_sparse(1)
        rows.step(), plain.step()
    assert torch.equal(*weights)
    assert len(calls) == 3


def test_a_loaded_state_goes_on_as_the_saved_one():
    def stepped(table, optimiser, numbers):
        for number in numbers:
            draw = np.random.default_rng(number)
            values = draw.normal(size=(2, 3)).astype(np.float32)
            table.grad = sparse([number % ROWS, 1], values, table.shape)
            optimiser.step()

    def fresh(values):
        table = torch.nn.Parameter(values.detach().clone())
        return table, in_one_pass(update_rows(torch.optim.Adam([table], lr=RATE)))

    whole, one = fresh(torch.ones(ROWS, 3))
    stepped(whole, one, range(5))
    state = copy.deepcopy(one.state_dict())  # as a file holds it
    half, other = fresh(whole)
    other.load_state_dict(state)
    stepped(whole, one, range(5, 9))
    stepped(half, other, range(5, 9))
    assert torch.equal(whole, half)


# --- in a training


@pytest.fixture
def trained(toy_config):
    """A backbone's trainer after training, and the weights that it began with."""

    def make(kind=NextItNetAR, **changes):
        config = toy_config(kind.__name__, table_updates="rows", **changes)
        dataset = SequenceDataset(config)
        loaders = make_loaders(config, dataset)
        torch.manual_seed(0)
        model = kind(config, loaders[0]._dataset)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        trainer = BackboneTrainer(config, model)
        trainer.fit(loaders[0], verbose=False)
        return trainer, before

    return make


def windows(*rows):
    """A batch of windows of equal length, all of whose items but the first are targets."""
    items = torch.tensor(rows)
    length = torch.full((len(rows),), items.shape[1])
    return {"item_id_list": items, "item_length": length, "target_count": length - 1}


@pytest.mark.parametrize("samples", [0, 5])
def test_gradients_are_sparse_where_a_step_touches_few_rows(trained, samples):
    trainer, _ = trained(softmax_samples=samples)
    model = trainer.model
    trainer.optimizer.zero_grad()
    batch = windows([1, 2, 3, 0], [4, 5, 9, 9])
    batch["item_length"][0], batch["target_count"][0] = 3, 2
    model.calculate_loss(batch).backward()
    tables = {
        name for name, p in model.named_parameters() if p.grad.layout != torch.strided
    }
    output = {"output.weight", "output.bias"} if samples else set()
    assert tables == {"encoder.embedding.weight"} | output
    touched = model.encoder.embedding.weight.grad.coalesce().indices()[0]
    assert touched.tolist() == [1, 2, 3, 4, 5, 9]  # and no padding


def test_a_step_leaves_the_items_of_the_steps_before_it_where_they_were(trained):
    trainer, _ = trained()
    table = trainer.model.encoder.embedding.weight
    for seen, rest in (([1, 2, 3], [4, 5, 6]), ([4, 5, 6], [1, 2, 3])):
        before = table.detach().clone()
        trainer.optimizer.zero_grad()
        trainer.model.calculate_loss(windows([*seen, 7])).backward()
        trainer.optimizer.step()
        assert torch.equal(table[rest], before[rest])
        assert (table[seen] != before[seen]).any(1).all()


@pytest.mark.parametrize("kind", [NextItNetAR, GRec])
def test_padding_rests_and_what_is_trained_moves(trained, kind):
    trainer, before = trained(kind, softmax_samples=5)
    after = trainer.model.state_dict()
    for name in ("encoder.embedding.weight", "output.weight", "output.bias"):
        assert torch.equal(after[name][0], before[name][0]), name
        assert not torch.equal(after[name], before[name]), name


def test_a_model_learns_by_rows(trained):
    trainer, _ = trained(
        softmax_samples=10,
        epochs=20,
        train_batch_size=8,
        learning_rate=0.01,
        dropout_prob=0.0,
    )
    losses = list(trainer.train_loss_dict.values())
    assert losses[-1] < 0.85 * losses[0]


def test_two_trainings_give_the_same_bytes(trained):
    states = [trained(softmax_samples=5, epochs=2)[0] for _ in range(2)]
    one, other = (trainer.model.state_dict() for trainer in states)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_trains_in_bf16_too(trained, monkeypatch):
    monkeypatch.setattr(base, "has_bf16", lambda device: True)
    trainer, before = trained(softmax_samples=5, amp="bf16")
    weight = trainer.model.output.weight
    assert weight.dtype == torch.float
    assert not torch.equal(weight, before["output.weight"])


# --- in a task


@pytest.mark.parametrize(
    ("model", "tables"), [("FineAll", 1), ("PeterRec", 0), ("MTL", 3)]
)
def test_a_task_updates_by_rows_what_it_trains_of_the_tables(
    toy_config, monkeypatch, model, tables
):
    """FineAll the embedding, MTL the source's output layer too, PeterRec no table."""
    updated = []
    update = row_updates._update

    def watched(table, *rest):
        updated.append(table)
        update(table, *rest)

    monkeypatch.setattr(row_updates, "_update", watched)
    config = toy_config(
        model, table_updates="rows", softmax_samples=5, protocol=None, tasks=TASKS[:1]
    )
    run = TransferRun(config)
    stage = run.tasks[0]
    task = stage.build(run.encoder)
    embedding = task.network.encoder.embedding.weight
    before = embedding.detach().clone()
    joined = run._beside(stage)
    stage.train(RunLog("ERROR"), joined=joined)
    assert len({id(table) for table in updated}) == tables
    assert torch.equal(embedding, before) == (tables == 0)
    assert any(table is embedding for table in updated) == (tables > 0)
    assert not embedding[0].any()
    if joined is not None:
        assert any(table is joined[0].output.bias for table in updated)


# --- what it does not go with


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("NextItNetAR", {"weight_decay": 0.1}, "needs weight_decay 0, got 0.1"),
        ("NextItNetAR", {"learner": "sgd"}, "needs learner adam, got 'sgd'"),
        ("GRec", {"clip_grad_norm": {"max_norm": 5}}, "needs clip_grad_norm None"),
        ("NextItNetAR", {"compile": True}, "needs compile False"),
        ("Conure", {"prune_embeddings": True}, "needs prune_embeddings False"),
        ("SASRec", {"embedding_size": 64}, "needs a model of this package"),
        ("NextItNetAR", {"table_updates": "row"}, "must be dense or rows, got 'row'"),
    ],
)
def test_what_it_does_not_go_with_is_refused_in_a_line(
    tmp_path, model, changes, message
):
    keys = toy(tmp_path, **{"table_updates": "rows", **changes})
    with pytest.raises(ConfigError, match=message) as error:
        Config(model, "toy", config_dict=keys)
    assert "\n" not in str(error.value)


def test_a_tasks_own_decay_is_refused_and_its_heads_is_not(toy_config):
    task = {**TASKS[0], "head_weight_decay": 0.1}
    config = toy_config("FineAll", tasks=[task], table_updates="rows")
    assert read_tasks(config)[0].config["table_updates"] == "rows"
    task["weight_decay"] = 0.1
    config = toy_config("FineAll", tasks=[task], table_updates="rows")
    with pytest.raises(ConfigError, match="task 'gender': .*needs weight_decay 0"):
        read_tasks(config)


def test_conure_learns_its_source_by_rows_and_forgets_nothing(toy_config, tmp_path):
    keys = toy(
        tmp_path / "data",
        table_updates="rows",
        softmax_samples=5,
        run_dir=str(tmp_path / "conure"),
        state="ERROR",
        show_progress=False,
    )
    results = start("Conure", "toy", config_dict=keys)["results"]
    assert results["pretrain"]["test_after_all"] == results["pretrain"]["test"]


def test_a_row_that_was_read_in_vain_does_not_move():
    """An input that is padded away from the loss; how many there are differs by process."""
    table = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = update_rows(torch.optim.Adam([table], lr=RATE))
    for values in ([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]):
        table.grad = sparse([0, 1], np.array(values, np.float32), table.shape)
        before = table.detach().clone()
        optimizer.step()
        moved = (table.detach() != before).any(1)
    assert moved.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("optimizer", "keys", "message"),
    [(torch.optim.SGD, {}, "not SGD"), (torch.optim.Adam, {"weight_decay": 0.1}, "0")],
)
def test_what_rows_cannot_do_is_refused_whoever_asks(optimizer, keys, message):
    table = torch.nn.Parameter(torch.ones(3, 2))
    table.grad = sparse([0], np.ones((1, 2), np.float32), table.shape)
    with pytest.raises(ConfigError, match=message):
        update_rows(optimizer([table], lr=RATE, **keys)).step()


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_another_optimiser_than_adam_is_refused(kind):
    weights = [torch.nn.Parameter(torch.zeros(2, 3))]
    with pytest.raises(ConfigError, match=f"needs learner adam, not {kind.__name__}"):
        update_rows(kind(weights, lr=0.1, weight_decay=0.0))
