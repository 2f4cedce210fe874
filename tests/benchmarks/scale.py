"""A source at the size of TTL: seconds and peak memory of its conversion, and of what uses it.

Each stage has a process of its own, so that its peak is its own; memory that maps the converted
file is counted, although the system may take it back.

    python -m recbole_peterrec.data.synthetic --out=DATA --preset=ttl   # 2.4 GiB, some minutes
    python tests/benchmarks/scale.py --data DATA --preset ttl
    python tests/benchmarks/scale.py --preset small                     # makes its set itself
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from measure import memory
from report import machine, write_report

from recbole_peterrec.config import Config
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.synthetic import PRESETS, generate
from recbole_peterrec.data.vocabulary import describe
from recbole_peterrec.stages import SequentialStage
from recbole_peterrec.trainer.base import BackboneTrainer

LIMIT = 16  # GB, of peak resident memory
SETTINGS: dict[str, Any] = {
    "embedding_size": 256,
    "dilations": [1, 4],
    "block_num": 4,  # 16 convolutions, as in the papers
    "MAX_ITEM_LIST_LENGTH": 100,
    "train_batch_size": 32,
    "eval_batch_size": 512,
    "source_cache": 0,
    "show_progress": False,
    "state": "ERROR",
    "use_gpu": torch.cuda.is_available(),
}


def start(config: Config, steps: int) -> str:
    """Open the source, converting it if need be, split it, and ask what a run asks of it."""
    dataset = SequenceDataset(config)
    parts = dataset.build()
    describe(dataset)
    users = len(dataset.users_with_sequence())
    rows = "/".join(f"{len(part):,}" for part in parts)
    return f"{dataset.inter_num:,} interactions, {users:,} users, {rows} rows"


def train(config: Config, steps: int) -> str:
    """Training steps."""
    stage = SequentialStage(config)
    trainer = BackboneTrainer(config, stage.model)
    trainer._train_epoch(itertools.islice(stage.loaders[0], 1), 0)  # Adam's moments
    began = time.perf_counter()
    trainer._train_epoch(itertools.islice(stage.loaders[0], steps), 1)
    each = (time.perf_counter() - began) / steps
    return f"{each:.3g} s a step of {config['train_batch_size']} windows"


def evaluate(config: Config, steps: int) -> str:
    """Validation steps, each ranking all items."""
    stage = SequentialStage(config)
    trainer = BackboneTrainer(config, stage.model)
    whole = stage.loaders[1]
    some = slice(0, steps * config["eval_batch_size"])
    part = whole._dataset.copy(whole._dataset.inter_feat[some])
    loader = type(whole)(config, part, sampler=None)
    began = time.perf_counter()
    trainer.evaluate(loader, load_best_model=False)
    each = (time.perf_counter() - began) / len(loader)
    return f"{each:.3g} s a step of {config['eval_batch_size']} rows"


STAGES = {
    "conversion": start,
    "second start": start,
    "training": train,
    "evaluation": evaluate,
}


def measure_one(name: str, data: Path, cache: Path, args: argparse.Namespace) -> dict:
    """The row of a stage, in the process that calls this."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    places = {"checkpoint_dir": str(cache), "run_dir": str(cache / "run")}
    places["softmax_samples"] = min(4096, PRESETS[args.preset].items // 5)
    keys = SETTINGS | places | {"data_path": str(data), "amp": args.amp}
    keys["table_updates"] = args.table_updates
    config = Config("NextItNetAR", "synthetic", config_dict=keys)
    base = memory("VmRSS")
    began = time.perf_counter()
    note = STAGES[name](config, args.steps)
    seconds, peak = time.perf_counter() - began, memory("VmHWM") / 1e9
    return {
        "what": name,
        "seconds": f"{seconds:.1f}",
        "peak GB": f"{peak:.2f}",
        f"below {LIMIT} GB": "met" if peak < LIMIT else "missed",
        "note": f"{note}; {base / 1e9:.2f} GB before anything is read",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--data", type=Path, help="folder of a generated set")
    parser.add_argument("--cache", type=Path, help="where to convert to; kept then")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--steps", type=int, default=5)
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
    caption = f"Source of the preset {args.preset}, NextItNetAR k 256; {machine()}"
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
