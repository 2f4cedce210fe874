"""The directory of a run: its own from its first moment, and when it has ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recbole.utils import get_local_time

from recbole_peterrec.checkpoint import BEGUN_FILE, TRAINING, load_json, save_json
from recbole_peterrec.config import Config
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.errors import CheckpointError, ConfigError, WriteError
from recbole_peterrec.locks import AVAILABLE, kept_from_children, lock
from recbole_peterrec.settings.keys import STARTS_FROM
from recbole_peterrec.version import __version__

ENDED = f".{TRAINING}.ended"  # the folder of what a run needs to go on, being deleted
CONFIG_FILE = "config.yaml"
BEGUN = f"{TRAINING}/{BEGUN_FILE}"  # version and data of a run that has begun
TRACES = ("results.json", CONFIG_FILE, "run.log", TRAINING)
# What a run saves of its networks, all that may be left of one.
NETWORKS = (
    "backbone.json",
    "backbone.safetensors",
    "pretraining_head.safetensors",
    "ownership.safetensors",
    "model.safetensors",
    "tasks/*/task.json",
)


def make(config: Config, what: str) -> Path:
    """The directory of a run, there from now on: ``run_dir``, or a fresh one by name and time.

    All processes get the first one's. Of runs that start at once, each gets its own.

    Args:
        config: of the run.
        what: it runs, for the name: its model.

    Raises:
        OSError: it cannot be made.
    """
    if config["run_dir"]:
        path = Path(config["run_dir"]).absolute()
        path.mkdir(parents=True, exist_ok=True)
        return path
    fresh = str(_fresh(config, what)) if group.is_first() else ""
    return Path(exchange.of_first(fresh))


def _fresh(config: Config, what: str) -> Path:
    root = Path(config["checkpoint_dir"]).absolute()
    root.mkdir(parents=True, exist_ok=True)
    name = f"{what}-{config['dataset']}-{get_local_time()}"
    for number in itertools.count(1):
        path = root / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path


def require_no_run(run_dir: Path) -> None:
    """Refuse a directory in which a run has begun, or which has networks of one: they are not the
    new run's.

    Raises:
        ConfigError: it is one.
    """
    found = {name for name in TRACES if (run_dir / name).exists()}
    begun = "results.json" in found or (CONFIG_FILE in found and len(found) > 1)
    if exchange.of_first(begun):
        raise ConfigError(
            f"run_dir {run_dir.absolute()} already holds a run; name another, or go on with that "
            f"one by --resume={run_dir.absolute()}"
        )
    saved = [name for name in NETWORKS if any(run_dir.glob(name))]
    saved = exchange.of_first(saved)
    if saved:
        raise ConfigError(
            f"run_dir {run_dir.absolute()} holds {', '.join(saved)} of another run, and this run "
            f"would write over it; move it, or name another directory"
        )


def require_unused(run_dir: Path, config: bytes) -> None:
    """Refuse a directory that another run has begun, or wrote its configuration to.

    The same ``config.yaml`` alone is of this very run, which got no further before.

    Raises:
        ConfigError: it is one.
    """
    require_no_run(run_dir)
    file = run_dir / CONFIG_FILE
    other = file.exists() and file.read_bytes() != config
    if exchange.of_first(other):
        raise ConfigError(
            f"run_dir {run_dir.absolute()} holds another config.yaml, and this run would write "
            f"over it; move it, or name another directory"
        )


@contextlib.contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Keep other processes from going on there; the kernel lets go when the holder dies.

    The folder itself is locked, so no file has to be made or taken away. Where there are no such
    locks, nobody looks.

    Raises:
        ConfigError: another process is at work there.
        OSError: the folder cannot be opened.
    """
    if not AVAILABLE:  # nor can a folder be opened there
        yield
        return
    with contextlib.ExitStack() as stack:
        folder = os.open(run_dir, os.O_RDONLY)
        stack.callback(os.close, folder)
        stack.enter_context(kept_from_children(folder))
        try:
            lock(folder)
        except BlockingIOError as error:
            raise ConfigError(
                f"run_dir {run_dir}: a run is at work there; wait for its end, or stop it"
            ) from error
        yield


def begin(run_dir: Path) -> None:
    """From now on there is something to go on with; called by its holder.

    Raises:
        ConfigError: the run has ended while this process prepared.
        OSError: nothing can be written there.
    """
    if has_ended(run_dir):
        raise ConfigError(
            f"run_dir {run_dir}: its run has ended meanwhile; results.json is there"
        )
    (run_dir / TRAINING).mkdir(exist_ok=True)


def require_same_data(run_dir: Path, data: dict[str, str]) -> None:
    """Remember what data a run reads and with which version, or refuse to go on with other data.

    Args:
        run_dir: of a run that has begun.
        data: a digest of what each stage reads, and of the network that it starts from under
            ``pretrained_path`` or ``continue_from``.

    Raises:
        ConfigError: a stage's data, or the network, are not those that the run began with.
        WriteError: nothing can be written there.
    """
    begun = _begun(run_dir)
    if begun is None:
        save_json(run_dir / BEGUN, {"version": __version__, "data": data})
        return
    begun = begun.get("data", {})
    for stage, digest in data.items():
        if begun.get(stage) == digest:
            continue
        if stage in STARTS_FROM:
            raise ConfigError(
                f"resume: {stage} does not hold the network any more that the run in {run_dir} "
                f"began with; put that back, or start anew"
            )
        raise ConfigError(
            f"resume: the data of {stage} are not those that the run in {run_dir} began with "
            f"(other rows, in another order, or others that filters keep); put those back, or "
            f"start anew"
        )


def require_same_version(run_dir: Path) -> None:
    """Refuse to go on with a run that another version has begun; one that has ended is as it is.

    Raises:
        ConfigError: another version has.
    """
    begun = _begun(run_dir)
    if begun is not None:
        require_version(run_dir, begun.get("version"))


def _begun(run_dir: Path) -> dict[str, Any] | None:
    """What :func:`require_same_data` remembers of a run; None of one that begins or has ended.

    Raises:
        CheckpointError: it is not what that writes.
    """
    file = run_dir / BEGUN
    if not file.is_file():
        return None
    begun = load_json(file)
    version, data = begun.get("version", ""), begun.get("data", {})
    if not isinstance(version, str) or not isinstance(data, dict):
        raise CheckpointError(
            f"{file} is not what a run writes; put it back, or start anew with "
            f"--config_files={run_dir / CONFIG_FILE}"
        )
    return begun


def require_version(folder: Path, begun: str | None) -> None:
    """Refuse to go on with what another version has begun: its end would be of neither.

    Args:
        folder: of a run or a suite.
        begun: the version; None if it was an earlier one, which does not tell.

    Raises:
        ConfigError: it is another.
    """
    if begun != __version__:
        by = f"version {begun}" if begun else "an earlier version"
        raise ConfigError(
            f"resume: {folder} was begun by {by}, whose defaults and results may differ from those "
            f"of {__version__}; go on with that, or start anew with "
            f"--config_files={folder / CONFIG_FILE}"
        )


def require_same_data_everywhere(data: dict[str, str]) -> None:
    """Stop unless all processes of the run read the same, and start from the same network.

    Raises:
        TrainingError: they do not.
    """
    exchange.require_agreement("the list of stages", lambda: json.dumps(list(data)))
    for stage, digest in data.items():
        what = (
            f"the network of {stage}"
            if stage in STARTS_FROM
            else f"the data of {stage}"
        )
        exchange.require_agreement(what, lambda digest=digest: digest)


def has_ended(run_dir: str | Path) -> bool:
    """Whether a run has written all it writes: what it needs to go on is there from the first
    to the last moment."""
    folder = Path(run_dir)
    return (folder / "results.json").is_file() and not (folder / TRAINING).exists()


def end(run_dir: Path) -> None:
    """Delete what going on needs, all of it at once as others see it."""
    training, ended = run_dir / TRAINING, run_dir / ENDED
    if training.is_dir():
        training.rename(ended)
    shutil.rmtree(ended, ignore_errors=True)


def resumption(run_dir: str | Path) -> str:
    """What to tell who can go on there."""
    return f"go on with --resume={run_dir}"


@contextlib.contextmanager
def advising(advice: str) -> Iterator[None]:
    """Say what to do when what a write has met is mended, or after Ctrl-C.

    Raises:
        WriteError: the write's, with the advice.
        KeyboardInterrupt: with the advice alone.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(advice) from error
    except WriteError as error:
        raise WriteError(f"{error}, then {advice}") from error
