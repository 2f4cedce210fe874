"""A tiny seeded dataset as RecBole's atomic files, and the command line run on it."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TASKS = [
    {"name": "gender", "kind": "profile", "field": "gender"},
    {"name": "age", "kind": "profile", "field": "age", "bins": [25, 45]},
]
# Of the target .inter, its items and ratings; the toy's negatives are fewer than the papers' 99.
TARGET = {
    "name": "buy",
    "kind": "recommendation",
    "dataset": "shop",
    "eval_args": {
        "split": {"RS": [0.6, 0.2, 0.2]},
        "order": "RO",
        "group_by": "none",
        "mode": "uni5",
    },
}
# A task's tuned network, as its file tells it.
TUNING: dict[str, Any] = {
    "tuning": "patch",
    "tune_layers": 1,
    "tune_layernorm": False,
    "pooling": "tcl_end",
    "patch_insertion": "serial_before_norm",
    "patch_count": None,
    "patch_reduction": 4,
    "patch_activation": "relu",
    "patch_cardinality": 1,
}
SETTINGS: dict[str, Any] = {
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "embedding_size": 8,
    "kernel_size": 3,
    "dilations": [1],
    "block_num": 1,
    "norm": "post",
    "embedding_init": "random",
    "embedding_learning_rate": None,
    "embedding_scale": 1.0,
    "dropout_prob": 0.1,
    "softmax_samples": 0,
    "softmax_popularity": 0.5,
    "epochs": 1,
    "train_batch_size": 64,
    "learning_rate": 0.001,
    "MAX_ITEM_LIST_LENGTH": 10,
    "patch_reduction": 4,
    "use_gpu": False,
    "seed": 2020,
    "tasks": TASKS,
}


@dataclass(frozen=True)
class Finished:
    """What a command left: exit status and output."""

    status: int
    stdout: str
    stderr: str


def write_table(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """An atomic file: columns as ``name:type``, separated by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def inter_rows(
    users: int, items: int, seed: int, shortest: int, longest: int
) -> list[tuple]:
    """Rows of an .inter file; every item occurs, and each user's items differ."""
    draw = random.Random(seed)
    rows = []
    for user in range(users):
        length = draw.randint(shortest, longest)
        chosen = draw.sample(range(items), length)
        if user * shortest < items:
            chosen = [(user * shortest + i) % items for i in range(shortest)]
        rows += [
            (f"u{user}", f"i{item}", draw.randint(1, 5), 1000 * user + 10 * time)
            for time, item in enumerate(chosen)
        ]
    draw.shuffle(rows)
    return rows


INTER = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
USER = ("user_id:token", "age:token", "gender:token")


def user_rows(users: int, seed: int) -> list[tuple]:
    """Rows of a .user file: 30 % women, ages 15 to 64, neither tied to the interactions."""
    draw = random.Random(seed)
    return [
        (f"u{user}", draw.randint(15, 64), "F" if draw.random() < 0.3 else "M")
        for user in range(users)
    ]


def write_toy(folder: Path) -> Path:
    """Write the datasets ``toy`` (60 users, 30 items, .inter and .user) and ``shop`` (.inter).

    Returns:
        ``folder``, which is the key ``data_path``.
    """
    write_table(folder / "toy" / "toy.inter", INTER, inter_rows(60, 30, 1, 4, 12))
    write_table(folder / "toy" / "toy.user", USER, user_rows(60, 2))
    shop = [
        (user, f"p{item[1:]}", *rest)
        for user, item, *rest in inter_rows(60, 20, 3, 2, 6)
    ]
    write_table(folder / "shop" / "shop.inter", INTER, shop)
    return folder


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """The toy's configuration as a dict of its own; ``changes`` win."""
    return {**copy.deepcopy(SETTINGS), "data_path": str(folder), **changes}


def write_config(path: Path, folder: Path, **changes: Any) -> Path:
    """The toy's configuration as a yaml file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings(folder, **changes)), encoding="utf-8")
    return path


def python(
    arguments: Sequence[str], cwd: Path, path: Path | None = ROOT, timeout: float = 120
) -> Finished:
    """Run Python in a process of its own, on one thread, in ``cwd``.

    Args:
        arguments: of the interpreter.
        cwd: working directory, made if it is missing.
        path: what ``PYTHONPATH`` holds; None for nothing.
        timeout: seconds after which the process is killed and the test fails.
    """
    cwd.mkdir(parents=True, exist_ok=True)
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONPATH"
    }
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def command_line(arguments: Sequence[str], cwd: Path) -> Finished:
    """``python run_recbole_peterrec.py ARGUMENTS``, typed in ``cwd``."""
    return python([ROOT / "run_recbole_peterrec.py", *arguments], cwd)


def toy_flags(config: Path, model: str = "PeterRec", dataset: str = "toy") -> list[str]:
    """The flags of a run on the toy with a file of :func:`write_config`."""
    return [f"--model={model}", f"--dataset={dataset}", f"--config_files={config}"]


def files_below(folder: Path) -> set[str]:
    """Relative paths of all files below a folder."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    }


def without_seconds(content: Any) -> Any:
    """Results without what a clock told."""
    if isinstance(content, dict):
        return {k: without_seconds(v) for k, v in content.items() if k != "seconds"}
    return content


def left_by(run_dir: Path) -> dict[str, Any]:
    """Contents of all files that a run leaves and that must not depend on its interruptions."""
    files = {
        str(path.relative_to(run_dir)): path.read_bytes()
        for path in run_dir.rglob("*")
        if path.suffix in (".safetensors", ".csv", ".png")
    }
    files["results.json"] = without_seconds(
        json.loads((run_dir / "results.json").read_text())
    )
    assert not (run_dir / "training").exists()
    return files
