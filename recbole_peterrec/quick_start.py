"""One run: from a config to a directory of results."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from recbole_peterrec.checkpoint import (
    TRAINING,
    load_json,
    remove_unfinished_writes,
    write_atomically,
    writing,
)
from recbole_peterrec.config import Config
from recbole_peterrec.continual_run import ContinualRun
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.distributed.launch import launch, plan_of
from recbole_peterrec.errors import ConfigError, WriteError
from recbole_peterrec.literals import read_yaml
from recbole_peterrec.model.conure import Conure
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.runlog import RunLog, new_run_dir
from recbole_peterrec.sequential_run import SequentialRun
from recbole_peterrec.transfer_run import TransferRun
from recbole_peterrec.version import __version__

ENDED = f".{TRAINING}.ended"  # the same, being deleted
PROCESSES = ("nproc", "world_size", "ip", "port", "group_offset")
FREE_TO_RESUME = {
    *("resume", "show_progress", "state", "model", "dataset", "data_path"),
    *PROCESSES,
}


def run(
    model: str | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: list[str] | None = None,
) -> dict[str, Any]:
    """Train and evaluate a model, and write a run directory.

    Args:
        model: ``PeterRec`` or a strategy of it (``FineAll``, ...), a backbone (``NextItNetAR``,
            ``GRec``), or any sequential model of RecBole. None takes the key ``model`` of the
            files or the dict, or ``PeterRec``.
        dataset: name of a RecBole dataset; None takes the key, or ``ml-100k``.
        config_file_list: yaml files, later ones win.
        config_dict: keys from Python; win over files.
        arguments: flags ``--key=value``; win over all.

    With ``nproc`` (RecBole's) above 1, so many processes are started and share the work; a script
    that asks for them needs ``if __name__ == "__main__":``. Under torchrun, each process calls
    this and gets the outcome.

    Returns:
        RecBole's four keys ``best_valid_score``, ``valid_score_bigger``, ``best_valid_result`` and
        ``test_result`` (of the model, or of the pretraining), and ``results`` (what results.json
        holds) and ``run_dir``.

    Raises:
        UserError: anything that a user can mend; the message is one line.
    """
    given = model, dataset, config_file_list, config_dict, arguments
    with group.joined_from_environment():
        config = Config(*given)
        if config["resume"]:
            config = _resumed(config)
        plan = plan_of(config)
        if plan is not None and group.member() is None:
            return launch(plan, run, given)
        return _run(config)


def _run(config: Config) -> dict[str, Any]:
    """The run of a config, in this process or as one of several."""
    if config["resume"] and _has_ended(config["run_dir"]):
        _end(Path(config["run_dir"]))
        results = load_json(Path(config["run_dir"], "results.json"))
        return _outcome(config, results, Path(config["run_dir"]))
    _share(config)
    with RunLog(config["state"]).active() as log:
        prepared = _run_class(config)(config)
        run_dir = _open(config, log, prepared.definitions())
        prepared.use(run_dir)
        with log.quiet_console():
            logging.getLogger().info(config)
        results = {
            "model": config["model"],
            "dataset": config["dataset"],
            "seed": config["seed"],
            "version": __version__,
            "pretrain": {"valid": {}, "test": {}, "epochs": 0, "seconds": 0.0},
            "tasks": {},
        }
        histories: dict[str, list] = {}
        with _then(_resumption(run_dir)):
            prepared.execute(run_dir, log, results, histories)
        exchange.barrier()  # nobody reads there any more
        if group.is_first():
            _end(run_dir)
    return _outcome(config, results, run_dir)


def _share(config: Config) -> None:
    """Connect this process to the others of the run, if there are any.

    Raises:
        ConfigError: a setting that several processes cannot have.
    """
    member = group.member()
    if member is None:
        return
    if config["enable_scaler"]:
        raise ConfigError(
            "enable_scaler scales each process's gradients by itself; use amp: bf16"
        )
    config["device"] = group.connect(config["device"])
    if member.local_size == member.size:
        config["nproc"] = member.size  # for config.yaml: what resumes it
    if not group.is_first():
        config["show_progress"] = False


def _has_ended(run_dir: str) -> bool:
    """Whether a run has written all it writes: what it needs to go on is there from the first
    to the last moment."""
    folder = Path(run_dir)
    return (folder / "results.json").is_file() and not (folder / TRAINING).exists()


def _end(run_dir: Path) -> None:
    """Delete what going on needs, all of it at once as others see it."""
    training, ended = run_dir / TRAINING, run_dir / ENDED
    if training.is_dir():
        training.rename(ended)
    shutil.rmtree(ended, ignore_errors=True)


def _resumption(run_dir: str | Path) -> str:
    return f"go on with --resume={run_dir}"


@contextlib.contextmanager
def _then(advice: str) -> Iterator[None]:
    """Say what to do when what a write has met is mended."""
    try:
        yield
    except WriteError as error:
        raise WriteError(f"{error}, then {advice}") from error


def _outcome(config: Config, results: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    pretrain = results["pretrain"]
    return {
        "best_valid_score": pretrain["valid"].get(config["valid_metric"].lower()),
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": pretrain["valid"],
        "test_result": pretrain["test"],
        "results": results,
        "run_dir": str(run_dir),
    }


def _run_class(config: Config) -> type:
    """The kind of run that a model needs."""
    for model, run_class in ((Conure, ContinualRun), (PeterRec, TransferRun)):
        if issubclass(config.model_class, model):
            return run_class
    return SequentialRun


def _resumed(config: Config) -> Config:
    """The config of the run that ``resume`` names, to go on in its directory.

    Raises:
        ConfigError: keys that would change it, or no run there.
    """
    run_dir = Path(config["resume"]).absolute()
    changed = sorted(set(config.external_config_dict) - FREE_TO_RESUME)
    if changed:
        raise ConfigError(
            f"resume goes on with the configuration of {run_dir}; leave out {', '.join(changed)}"
        )
    file = run_dir / "config.yaml"
    if not file.is_file():
        raise ConfigError(
            f"resume: {run_dir} has no config.yaml, so there is nothing to go on with; start anew"
        )
    content = read_yaml(file)
    if not all(isinstance(content.get(key), str) for key in ("model", "dataset")):
        raise ConfigError(f"resume: {file} names no model and dataset")
    settings = {"run_dir": str(run_dir), "resume": str(run_dir)}
    for key in ("show_progress", "state", "data_path", *PROCESSES):
        if key in config.external_config_dict:
            settings[key] = config[key]
    return Config(content["model"], content["dataset"], [str(file)], settings)


def _require_unused(run_dir: Path) -> None:
    """Refuse a directory in which a run has begun: its states are not the new run's."""
    files = [
        name for name in ("results.json", "config.yaml") if (run_dir / name).exists()
    ]
    if exchange.of_first(files):
        raise ConfigError(
            f"run_dir {run_dir.absolute()} already holds a run; name another, or go on with that "
            f"one by --resume={run_dir.absolute()}"
        )


def _open(config: Config, log: RunLog, definitions: dict[str, Any]) -> Path:
    """Make the run directory with its log and its resolved config, or go on in it.

    Raises:
        ConfigError: another run has begun there.
        WriteError: the system refuses.
    """
    going_on = bool(config["resume"])
    if config["run_dir"] and not going_on:
        _require_unused(Path(config["run_dir"]))
    with _then(_resumption(config["run_dir"]) if going_on else "start again"):
        with writing(f"run_dir {config['run_dir'] or config['checkpoint_dir']}"):
            run_dir = new_run_dir(config)
            log.open_file(run_dir)
            if group.is_first():
                (run_dir / TRAINING).mkdir(exist_ok=True)
        if going_on:
            if group.is_first():
                remove_unfinished_writes(run_dir)
            return run_dir
        text = yaml.safe_dump(
            config.resolved() | definitions, sort_keys=True, allow_unicode=True
        )
        write_atomically(run_dir / "config.yaml", text.encode())
    return run_dir
