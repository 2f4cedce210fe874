"""The loss of a task's instances."""

import torch

from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.model.nextitnet_ar import NextItNetAR
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.tasks import read_tasks
from tests.toy import TARGET


def test_bpr_has_the_same_gradient_each_time_on_two_threads(toy_config):
    """Many instances share few labels: their gradients must be added in one order."""
    keys = {"tuning": "head", "train_batch_size": 64, "dropout_prob": 0.0}
    config = toy_config("PeterRec", tasks=[TARGET], **keys)
    source = SequenceDataset(config)
    backbone = config.derive(model="NextItNetAR")
    make_loaders(backbone, source)
    encoder = NextItNetAR(backbone, source).encoder
    task = read_tasks(config)[0].config
    train = make_loaders(task, TaskDataset(task, source))[0]
    model = PeterRec(task, train._dataset, encoder)
    batch = next(iter(train)).repeat(256)
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
