"""What processes of a test do; each function of the second half runs in two at once."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from recbole_peterrec import run
from recbole_peterrec.config import Config
from recbole_peterrec.data.loaders import make_loaders
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.task_dataset import TaskDataset
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.distributed.gradients import GradientSum
from recbole_peterrec.distributed.launch import Plan, launch
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.tasks import read_tasks
from recbole_peterrec.trainer.base import BackboneTrainer
from recbole_peterrec.trainer.multitask import MultiTaskTrainer
from recbole_peterrec.trainer.transfer import TransferTrainer
from tests.pretended_gpu import pretended_gpu
from tests.toy import TARGET, settings

PAIR = Plan(local_size=2, size=2, offset=0, host="localhost", port=0)


def in_two(function, *arguments: Any) -> Any:
    """What a function of this module gives in the first of two processes."""
    return launch(PAIR, function, arguments)


JOINT = {"tuning": "all", "pretrained": False, "joint_coefficient": 0.5}


def trainer_of(folder: str, model: str):
    """A trainer without dropout, whose steps show gradients as they are; and loaders.

    Batches are small and odd, and the last of an epoch has fewer rows than processes.
    """
    odd = {"train_batch_size": 13, "eval_batch_size": 7}
    config = Config(
        "PeterRec",
        "toy",
        config_dict=settings(
            Path(folder),
            tasks=[{**TARGET, **odd}],
            **odd,
            dropout_prob=0.0,
            run_dir=str(Path(folder) / "run"),
            clip_grad_norm={"max_norm": 0.1},
            learner="sgd",
            learning_rate=1.0,
            **JOINT if model == "MTL" else {},
        ),
    )
    source_config = config.derive(model="NextItNetAR")
    source = SequenceDataset(source_config)
    windows, *rows = make_loaders(source_config, source)
    torch.manual_seed(0)
    backbone = source_config.model_class(source_config, windows._dataset)
    if model == "NextItNetAR":
        return BackboneTrainer(source_config, backbone), (windows, *rows)
    task = read_tasks(config)[0].config
    loaders = make_loaders(task, TaskDataset(task, source))
    torch.manual_seed(0)
    network = task.model_class(task, loaders[0]._dataset, backbone.encoder)
    if model == "MTL":
        return MultiTaskTrainer(task, network, backbone, windows), loaders
    return TransferTrainer(task, network), loaders


def epoch_and_metrics(folder: str, model: str) -> dict[str, Any]:
    """Loss of an epoch, the weights it ends with, and metrics by them."""
    trainer, (train, valid, test) = trainer_of(folder, model)
    np.random.seed(0)
    loss = trainer._train_epoch(train, 0)
    weights = {k: v.tolist() for k, v in trainer._trained_state().items()}
    return {"loss": loss, "weights": weights, **metrics(trainer, valid, test)}


def metrics(trainer, valid, test) -> dict[str, dict[str, float]]:
    """Of the weights as they are."""
    return {
        "valid": trainer.evaluate(valid, load_best_model=False),
        "test": trainer.evaluate(test, load_best_model=False),
    }


# --- in each of two processes


def seen_by_both(folder: str, models: list[str]) -> dict[str, Any]:
    """What two processes exchange, and what each has after sharing an epoch."""
    group.connect(torch.device("cpu"))
    return {
        "ragged": [
            found.tolist() for found in exchange.gather(torch.ones(group.rank()))
        ],
        "first": exchange.of_first(f"of process {group.rank()}"),
        "after the first": exchange.gather_plain(_after_first(Path(folder, "first"))),
        "gradients": exchange.gather_plain(_summed("cpu")),
        "gradients on GPUs": exchange.gather_plain(_summed_on_gpus()),
        "disagreement": _disagreement(),
        "trained": {
            model: exchange.gather_plain(epoch_and_metrics(folder, model))
            for model in models
        },
    }


def _after_first(file: Path) -> list[bool]:
    """Whether the first process had done its work when this one did its own."""
    seen = []

    def work():
        time.sleep(0.2 * group.is_first())
        seen.append(file.exists())
        file.touch()

    group.first_ahead(work)
    return seen


def _summed_on_gpus() -> dict[str, Any]:
    """The same on pretended GPUs, and which exchanges were of their tensors; gloo stands for
    nccl."""
    of_gpus = []

    def noting(exchange, tensor):
        def noted(*arguments):
            of_gpus.append(arguments[tensor].is_cuda)
            return exchange(*arguments)

        return noted

    with pretended_gpu(), pytest.MonkeyPatch.context() as patch:
        for name, tensor in (("all_gather", 1), ("all_reduce", 0)):
            patch.setattr(dist, name, noting(getattr(dist, name), tensor))
        return _summed("cuda") | {"of GPUs": of_gpus}


def _summed(device: str) -> dict[str, Any]:
    """Gradients of parameters of which both, one and no process have one, and a sparse one."""
    first = group.is_first()
    both, one, none, sparse, frozen = (
        torch.nn.Parameter(torch.zeros(2, device=device)) for _ in range(5)
    )
    both.grad = torch.tensor([1.0, 2.0] if first else [10.0, 20.0], device=device)
    one.grad = torch.tensor([3.0, 4.0], device=device) if first else None
    places, values = ([[0, 1]], [5.0, 6.0]) if first else ([[1]], [60.0])
    sparse.grad = torch.sparse_coo_tensor(
        torch.tensor(places, device=device),
        torch.tensor(values, device=device),
        (2,),
        check_invariants=True,
    )
    frozen.requires_grad_(False)
    GradientSum()([both, one, none, sparse, frozen])
    return {
        "both": both.grad.tolist(),
        "one": one.grad.tolist(),
        "none": none.grad,
        "sparse": sparse.grad.to_dense().tolist(),
        "frozen": frozen.grad,
    }


def _disagreement() -> str:
    exchange.require_agreement("a constant", lambda: "same")
    try:
        exchange.require_agreement("a rank", lambda: str(group.rank()))
    except TrainingError as error:
        return str(error)
    return ""


def killed_while_writing(write: int, model: str, keys: dict[str, Any]) -> None:
    """A run whose first process is killed at a write."""
    replace, calls = os.replace, []

    def counted(source, target):
        calls.append(target)
        if len(calls) == write:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counted
    run(model, "toy", config_dict=keys)


def with_other_data_in_the_second(folders: list[str], keys: dict[str, Any]) -> None:
    """A run whose processes read their data from folders of their own."""
    run("NextItNetAR", "toy", config_dict=keys | {"data_path": folders[group.rank()]})


def with_a_gpu_in_the_second() -> None:
    """Connects processes of two kinds."""
    group.connect(torch.device(["cpu", "cuda"][group.rank()]))


def without_a_connection() -> None:
    """Each process meets torch's error of an exchange, and none has met another before."""
    group.PATIENCE = timedelta(seconds=0.1)
    with group.exchanging():
        raise RuntimeError("no route\nto host")
