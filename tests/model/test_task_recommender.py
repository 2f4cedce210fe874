"""The loss and the scores of a task's instances."""

import pytest
import torch

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET


def learning(toy_config, task, **keys):
    """A task's model on a random encoder, and a batch of its instances."""
    keys = {"tuning": "head", "train_batch_size": 64, "dropout_prob": 0.0} | keys
    config = toy_config("PeterRec", tasks=[task], **keys)
    source = SequenceDataset(config)
    backbone = config.derive(model="NextItNetAR")
    make_loaders(backbone, source)
    encoder = NextItNetAR(backbone, source).encoder
    task = read_tasks(config)[0].config
    train = make_loaders(task, TaskDataset(task, source))[0]
    return PeterRec(task, train._dataset, encoder), next(iter(train))


def test_bpr_has_the_same_gradient_each_time_on_two_threads(toy_config):
    """Many instances share few labels: their gradients must be added in one order."""
    model, batch = learning(toy_config, TARGET)
    batch = batch.repeat(256)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    found = []
    for _ in range(8):
        model.zero_grad()
        model.calculate_loss(batch).backward()
        found.append([p.grad.clone() for p in model.network.head.parameters()])
    torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@torch.no_grad()
def test_a_row_s_own_score_is_its_label_s_of_all(toy_config):
    model, batch = learning(toy_config, TARGET)
    model.eval()
    model.network.head.weight.normal_()
    model.network.head.bias.normal_()
    every = model.full_sort_predict(batch)
    rows = torch.arange(len(every))
    own = every[rows, batch["item_id"]]
    assert torch.allclose(model.predict(batch), own, atol=1e-6)


def test_cross_entropy_over_many_labels_is_that_of_their_scores(
    toy_config, monkeypatch
):
    """Of so many instances that the scores are not made at once. A bias sums 65,536 gradients of
    float32, whose roundings come to some 1e-5."""
    task = TARGET | {"loss_type": "CE"}
    torch.manual_seed(0)
    model, batch = learning(toy_config, task)
    batch = batch.repeat(2**16 // len(batch))
    labels = batch["item_id"] - 1
    scores = model.full_sort_predict(batch)[:, 1:]
    assert scores.numel() > 2**17
    expected = torch.nn.functional.cross_entropy(scores, labels)
    expected.backward()
    head = list(model.network.head.parameters())
    wanted = [parameter.grad.clone() for parameter in head]
    model.zero_grad()
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", lambda *_: made.append(1))
        loss = model.calculate_loss(batch)
        loss.backward()
    assert loss.item() == pytest.approx(expected.item())
    assert not made
    for parameter, grad in zip(head, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=0, atol=5e-5)
