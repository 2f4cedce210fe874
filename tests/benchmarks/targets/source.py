"""Whole models on ml-100k against RecBole's way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from measure import Row, medians
from torch.optim import Adam

from recbole_peterrec.config import Config
from recbole_peterrec.evaluation.ranks import ranks_by_states
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.trainer.one_pass import in_one_pass

QUIET = {"show_progress": False, "state": "ERROR", "use_gpu": False}
# The network of RecBole's NextItNet: 10 blocks of two convolutions, k 64.
NETWORK = {"embedding_size": 64, "kernel_size": 3, "dilations": [1, 4], "block_num": 5}


def make_stage(model: str, **settings: Any) -> SourceStage:
    """Model and loaders of a run on ml-100k."""
    return SourceStage(Config(model, "ml-100k", config_dict=QUIET | settings))


def _seconds_a_batch(
    batches: Iterable, work: Callable[[Any], Any], count: int
) -> float:
    """Mean over `count` batches after the first, loading included."""
    stream = iter(batches)
    work(next(stream))
    start = time.perf_counter()
    done = sum(1 for batch in islice(stream, count) if work(batch) is None)
    return (time.perf_counter() - start) / done


def training_step(
    model: torch.nn.Module, optimiser: Adam, in_bf16: bool = False
) -> Callable[[Any], None]:
    """What learns from a batch, on a CPU."""
    model.train()

    def step(batch) -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            loss = model.calculate_loss(batch)
        loss.backward()
        optimiser.step()

    return step


def _epoch(stage: SourceStage, optimiser: Adam, count: int) -> float:
    """Seconds of an epoch, extrapolated from `count` batches."""
    step, train = training_step(stage.model, optimiser), stage.loaders[0]
    return len(train) * _seconds_a_batch(train, step, count)


def epoch() -> list[Row]:
    """An epoch over the same 97,171 targets; RecBole's batches have 2048 rows.

    As RecBole ships them, its models train in torch's anomaly mode, which importing any of
    them turns on, with Adam's default kernel; as we run them, without, with the fused one.
    """
    stage = make_stage("NextItNetAR", **NETWORK)
    ours = _epoch(stage, in_one_pass(Adam(stage.model.parameters())), 30)
    note = "extrapolated from 30 and {} batches; ours {:.3g} s, theirs {:.3g} s"
    rows = []
    for model, count, target in (("NextItNet", 2, 40), ("GRU4Rec", 4, 15)):
        stage = make_stage(model, train_batch_size=2048, MAX_ITEM_LIST_LENGTH=50)
        case = f"epoch on ml-100k against RecBole's {model}"
        optimiser = Adam(stage.model.parameters())
        with torch.autograd.set_detect_anomaly(True):
            shipped = _epoch(stage, optimiser, count)
        faster = _epoch(stage, in_one_pass(optimiser), count)
        rows += [
            Row(what, theirs / ours, target, note=note.format(count, ours, theirs))
            for what, theirs in ((case, shipped), (f"{case}, as we run it", faster))
        ]
    return rows


def validation() -> list[Row]:
    """A validation, all items ranked, of an epoch's training, by RecBole's network and by ours."""
    rows = []
    for case, network in (("RecBole's NextItNet's size", NETWORK), ("default", {})):
        with tempfile.TemporaryDirectory() as folder:
            stage = make_stage("NextItNetAR", run_dir=folder, **network)
            train = _epoch(stage, in_one_pass(Adam(stage.model.parameters())), 30)
            trainer = stage._make_trainer(stage.config)
            times = medians(
                3,
                validation=lambda trainer=trainer, loader=stage.loaders[1]: (
                    trainer.evaluate(loader, load_best_model=False)
                ),
            )
        seconds = times["validation"]
        note = f"extrapolated from 30 batches; {seconds:.3g} s of {train:.3g} s"
        what = f"validation of an epoch's training, ml-100k, {case}"
        rows.append(Row(what, seconds / train, 0.1, at_most=True, note=note))
    return rows


def sampled_evaluation() -> list[Row]:
    """Ranking against 99 negatives: each row encoded once, or once a candidate."""
    arguments = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni99"}
    stage = make_stage("NextItNetAR", **NETWORK, eval_args=arguments)
    model, loader = stage.model.eval(), stage.loaders[2]

    @torch.no_grad()
    def once(batch) -> None:
        interaction, candidates, _, targets = batch
        states = model.user_states(interaction)
        ranks_by_states(states, *model.label_layer(), targets, candidates)

    @torch.no_grad()
    def again(batch) -> None:
        """As RecBole does: rows repeated for each candidate, 40 rows at a time."""
        interaction, candidates, _, targets = batch
        ranked = torch.cat([targets.unsqueeze(1), candidates], dim=1)
        for start in range(0, 40, 20):
            rows = slice(start, start + 20)
            repeated = interaction[rows].repeat_interleave(100)
            states = model.user_states(repeated)
            (states * model.output.weight[ranked[rows].flatten()]).sum(-1)

    batches = list(loader)
    rows = sum(len(batch[0]) for batch in batches)
    once(batches[0])
    start = time.perf_counter()
    for batch in batches:
        once(batch)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    again(batches[0])
    theirs = (time.perf_counter() - start) * rows / 40
    note = f"{rows} rows {ours:.3g} s, re-encoding {theirs:.3g} s, extrapolated from 40"
    case = "sampled evaluation against re-encoding, ml-100k"
    return [Row(case, theirs / ours, 50, note=note)]
