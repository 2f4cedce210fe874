"""Fine-tuning steps of patches, and of a head alone, against those of the whole network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from measure import Row, command_memory, medians, milliseconds

from recbole_peterrec.config import Config
from recbole_peterrec.model.task_network import TaskNetwork, tuned_network
from recbole_peterrec.model.tuning import Tuning
from recbole_peterrec.nn.dilated import DilatedArchitecture, DilatedEncoder
from recbole_peterrec.nn.pooling import add_tokens, pool
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.trainer.transfer import TransferTrainer
from recbole_peterrec.trainer.user_vectors import kept_vectors

BATCH, LENGTH, WIDTH = 32, 100, 256
TASK = {
    "name": "gender",
    "kind": "profile",
    "field": "gender",
    "pooling": "tcl_end",
    "dropout_prob": 0.0,
}


def _network(tuning: str) -> TaskNetwork:
    return tuned_network(
        DilatedEncoder(DilatedArchitecture(1682, WIDTH, 3, (1, 4) * 4, True, "post")),
        Tuning(
            tuning=tuning,
            tune_layers=1,
            tune_layernorm=False,
            pooling="tcl_end",
            patch_insertion="serial_before_norm",
            patch_count=None,
            patch_reduction=8,
            patch_activation="relu",
            patch_cardinality=1,
        ),
        10,
    )


def _step(net: TaskNetwork, trimmed: bool) -> Callable[[], None]:
    """A step on a batch of full length; trimmed, it computes what its pooling reads."""
    items = torch.randint(1, 1682, (BATCH, LENGTH))
    lengths = torch.full((BATCH,), LENGTH)
    labels = torch.randint(0, 10, (BATCH,))
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained)

    def run() -> None:
        optimiser.zero_grad()
        if trimmed:
            user = net(items, lengths)
        else:
            token = net.encoder.special_token
            longer, ends = add_tokens(items, lengths, "tcl_end", token)
            user = pool(net.encoder(longer), ends, "tcl_end")
        F.cross_entropy(net.head(user), labels).backward()
        optimiser.step()

    return run


def patch_step() -> list[Row]:
    """One step with patches, whole and trimmed, against a full fine-tuning step."""
    torch.manual_seed(0)
    patched = _network("patch")
    steps = {
        "full": _step(_network("all"), False),
        "patch": _step(patched, False),
        "trimmed": _step(patched, True),
    }
    rows = []
    for state, memory in (
        ("", nullcontext),
        (", our command's malloc", command_memory),
    ):
        with memory():
            times = medians(15, **steps)
        case = f"step of full fine-tuning's, k 256, L 100{state}"
        note = milliseconds(times)
        rows += [
            Row(f"patch {case}", times["patch"] / times["full"], 0.85, True, note),
            Row(f"trimmed patch {case}", times["trimmed"] / times["full"], 0.65, True),
        ]
    return rows


def head_step() -> list[Row]:
    """A step of FineCLS on ml-100k, its batch's loading included, against a full step."""
    torch.manual_seed(0)
    task = TASK | {"MAX_ITEM_LIST_LENGTH": LENGTH, "train_batch_size": BATCH}
    settings = {
        "embedding_size": WIDTH,
        "dilations": [1, 4],
        "block_num": 4,
        "norm": "post",
        "use_gpu": False,
        "state": "ERROR",
        "tasks": [task],
    }
    with tempfile.TemporaryDirectory() as folder:
        settings["run_dir"] = folder
        run = TransferRun(Config("FineCLS", "ml-100k", config_dict=settings))
        stage = run.tasks[0]
        model = stage.build(run.encoder)
        train = stage.loaders[0]
        optimiser = TransferTrainer(stage.config, model).optimizer

        def epoch() -> None:
            for batch in train:
                optimiser.zero_grad()
                model.calculate_loss(batch).backward()
                optimiser.step()

        with kept_vectors(model, stage.loaders) as seconds:
            times = medians(7, full=_step(_network("all"), False), epoch=epoch)
    head = times["epoch"] / len(train)
    note = (
        f"head {1e3 * head:.3g} ms, full {1e3 * times['full']:.3g} ms; before the first step, "
        f"vectors of {stage.dataset.user_num - 1} users {seconds:.3g} s"
    )
    case = "cached head step of full fine-tuning's, k 256, L 100"
    return [Row(case, head / times["full"], 0.01, True, note)]
