"""A source at the size of TTL: seconds and peak memory of its conversion, and of what uses it.

Each stage has a process of its own, so that its peak is its own; memory that maps the converted
file is counted, although the system may take it back.

    python -m recbole_peterrec.data.synthetic --out=DATA --preset=ttl   # 2.4 GiB, some minutes
    python tests/benchmarks/scale.py --data DATA --preset ttl
    python tests/benchmarks/scale.py --preset small                     # makes its set itself
    python tests/benchmarks/scale.py --preset ttl --data DATA --stages training --seconds 120
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from measure import memory, wait_for_gpu
from report import machine, write_report

from recbole_peterrec.checkpoint import save_state
from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.synthetic import PRESETS, generate
from recbole_peterrec.data.vocabulary import describe
from recbole_peterrec.runs.source_stage import SourceStage
from recbole_peterrec.trainer.base import BackboneTrainer

LIMIT = 16  # GB, of peak resident memory
WARM_UP = 3  # steps, among them the first, which makes Adam's moments
SETTINGS: dict[str, Any] = {
    "embedding_size": 256,
    "dilations": [1, 4],
    "block_num": 4,  # 16 convolutions, as in the papers
    "MAX_ITEM_LIST_LENGTH": 100,
    "eval_batch_size": 512,
    "source_cache": 0,
    "show_progress": False,
    "state": "ERROR",
    "use_gpu": torch.cuda.is_available(),
}


def start(config: Config, args: argparse.Namespace) -> str:
    """Open the source, converting it if need be, split it, and ask what a run asks of it."""
    dataset = SequenceDataset(config)
    parts = dataset.build()
    describe(dataset)
    users = len(dataset.users_with_sequence())
    rows = "/".join(f"{len(part):,}" for part in parts)
    return f"{dataset.inter_num:,} interactions, {users:,} users, {rows} rows"


def lasting(batches: Iterable, steps: int, seconds: float) -> Iterator[Any]:
    """Batches until there were so many, and so many seconds have passed."""
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        if number >= steps and time.perf_counter() - began >= seconds:
            return
        yield batch


def train(config: Config, args: argparse.Namespace) -> str:
    """Training steps, and what an epoch would take with them."""
    stage = SourceStage(config)
    trainer, loader = BackboneTrainer(config, stage.model), stage.loaders[0]
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    trainer._train_epoch(itertools.islice(batches, WARM_UP), 0)
    wait_for_gpu()
    began = time.perf_counter()
    trainer._train_epoch(lasting(batches, args.steps, args.seconds), 1)
    wait_for_gpu()
    each = (time.perf_counter() - began) / trainer._batch
    return (
        f"{each:.3g} s a step of {config['train_batch_size']} windows, mean of "
        f"{trainer._batch:,}; an epoch of {len(loader.dataset):,} windows would take "
        f"{each * len(loader):,.0f} s"
    )


def evaluate(config: Config, args: argparse.Namespace) -> str:
    """Validation steps, each ranking all items."""
    stage = SourceStage(config)
    trainer = BackboneTrainer(config, stage.model)
    whole = stage.loaders[1]
    some = slice(0, args.steps * config["eval_batch_size"])
    part = whole._dataset.copy(whole._dataset.inter_feat[some])
    loader = type(whole)(config, part, sampler=None)
    began = time.perf_counter()
    trainer.evaluate(loader, load_best_model=False)
    each = (time.perf_counter() - began) / len(loader)
    return f"{each:.3g} s a step of {config['eval_batch_size']} rows"


def checkpoint(config: Config, args: argparse.Namespace) -> str:
    """What a trainer writes after a validated epoch: the best weights, and all to go on with."""
    stage = SourceStage(config)
    trainer, loader = BackboneTrainer(config, stage.model), stage.loaders[0]
    trainer._train_epoch(itertools.islice(loader, 1), 0)  # Adam's moments
    before, began = memory("VmHWM"), time.perf_counter()
    trainer._save_checkpoint(0, verbose=False)
    save_state(trainer._progress_file, trainer._progress(0, loader))
    seconds = time.perf_counter() - began
    sizes = " and ".join(
        f"{Path(file).stat().st_size / 1e9:.2f}"
        for file in (trainer.saved_model_file, trainer._progress_file)
    )
    return (
        f"{seconds:.3g} s to write {sizes} GB; a step before had {before / 1e9:.2f} GB"
    )


def resume(config: Config, args: argparse.Namespace) -> str:
    """Go on from what the stage before has written, by one step."""
    stage = SourceStage(config)
    trainer, loader = BackboneTrainer(config, stage.model), stage.loaders[0]
    began = time.perf_counter()
    trainer._take_up(trainer._load_weights(str(trainer._progress_file)), loader)
    seconds = time.perf_counter() - began
    loaded = memory("VmHWM")
    trainer._train_epoch(itertools.islice(loader, 1), 1)
    return f"{seconds:.3g} s to read, {loaded / 1e9:.2f} GB at most by then"


STAGES = {
    "conversion": start,
    "second start": start,
    "training": train,
    "evaluation": evaluate,
    "checkpoint": checkpoint,
    "resumption": resume,  # by itself it needs --cache with the files of a checkpoint
}


def measure_one(name: str, data: Path, cache: Path, args: argparse.Namespace) -> dict:
    """The row of a stage, in the process that calls this."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    places = {"checkpoint_dir": str(cache), "run_dir": str(cache / "run")}
    chosen = {
        "data_path": str(data),
        "softmax_samples": min(4096, PRESETS[args.preset].items // 5),
        "train_batch_size": args.batch,
        "amp": args.amp,
        "table_updates": args.table_updates,
    }
    config = Config("NextItNetAR", "synthetic", config_dict=SETTINGS | places | chosen)
    base = memory("VmRSS")
    began = time.perf_counter()
    note = STAGES[name](config, args)
    wait_for_gpu()
    seconds, peak = time.perf_counter() - began, memory("VmHWM") / 1e9
    row = {
        "what": name,
        "seconds": f"{seconds:.1f}",
        "peak GB": f"{peak:.2f}",
        f"below {LIMIT} GB": "met" if peak < LIMIT else "missed",
    }
    if config["device"].type == "cuda":
        row["GPU's peak GB"] = f"{torch.cuda.max_memory_allocated() / 1e9:.2f}"
    return row | {"note": f"{note}; {base / 1e9:.2f} GB before anything is read"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--data", type=Path, help="folder of a generated set")
    parser.add_argument("--cache", type=Path, help="where to convert to; kept then")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument(
        "--steps", type=int, default=5, help="of training, at least, and of evaluation"
    )
    parser.add_argument(
        "--seconds", type=float, default=0, help="of training, at least, after warm-up"
    )
    parser.add_argument("--batch", type=int, default=32, help="windows a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--amp", choices=["bf16"])
    parser.add_argument("--table_updates", choices=["dense", "rows"], default="rows")
    parser.add_argument("--out", type=Path, default=Path("saved/benchmarks/scale"))
    args = parser.parse_args()
    data = args.data or Path("saved/benchmarks/data") / args.preset
    if not data.exists():
        generate(data, "synthetic", PRESETS[args.preset], seed=2020)
    torch.set_num_threads(args.threads)
    cache = args.cache or Path(tempfile.mkdtemp(prefix="scale."))
    amp = f", {args.amp}" if args.amp else ""
    caption = (
        f"Source of the preset {args.preset}, NextItNetAR k 256{amp}, tables by "
        f"{args.table_updates}; {machine()}"
    )
    rows = []
    try:
        for name in args.stages:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                stage = pool.submit(measure_one, name, data, cache, args)
                rows.append(stage.result())
            write_report(args.out, rows, caption)
    finally:
        if args.cache is None:
            shutil.rmtree(cache)


if __name__ == "__main__":
    main()
