"""One run: from a config to a directory of results."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from recbole_peterrec.checkpoint import (
    remove_unfinished_writes,
    write_atomically,
)
from recbole_peterrec.config import Config
from recbole_peterrec.curves import write_curves
from recbole_peterrec.distributed import exchange, group
from recbole_peterrec.distributed.launch import launch, plan_of
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.conure import Conure
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.out_of_memory import out_of_memory
from recbole_peterrec.runs import directory
from recbole_peterrec.runs.continual import ContinualRun
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.resuming import finished, resumed
from recbole_peterrec.runs.run import Run
from recbole_peterrec.runs.sequential import SequentialRun
from recbole_peterrec.runs.tracking import tracked
from recbole_peterrec.runs.transfer import TransferRun
from recbole_peterrec.settings.device import device_of, gpu_numbers
from recbole_peterrec.settings.literals import to_yaml
from recbole_peterrec.version import __version__
from recbole_peterrec.writing import writing


def run(
    model: str | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: list[str] | None = None,
) -> dict[str, Any]:
    """One run; see :func:`recbole_peterrec.run`, which runs suites too."""
    given = model, dataset, config_file_list, config_dict, arguments
    with group.joined_from_environment():
        return carry_out(Config(*given), given)


def carry_out(config: Config, given: tuple) -> dict[str, Any]:
    """The run of a config, in processes of its own if it asks for several.

    Args:
        config: of the run.
        given: the arguments of :func:`run` that made it, which make it in each process again.
    """
    if config["resume"]:
        model, dataset, *_ = given
        config = resumed(config, {"model": model, "dataset": dataset})
    plan = plan_of(config)
    if plan is not None and group.member() is None:
        return launch(plan, run, given)
    return _run(config)


def _run(config: Config) -> dict[str, Any]:
    """The run of a config, in this process or as one of several."""
    if config["resume"] and directory.has_ended(config["run_dir"]):
        directory.end(Path(config["run_dir"]))
        results = finished(Path(config["run_dir"]))
        return _outcome(config, results, Path(config["run_dir"]))
    _settle_on_device(config)
    _join_processes(config)
    if config["run_dir"] and not config["resume"]:  # before an hour of reading
        with writing(f"run_dir {config['run_dir']}"):
            directory.require_no_run(Path(config["run_dir"]))
    with RunLog(config["state"]).active() as log:
        _warn_of_no_gpu(config)
        prepared = run_class(config)(config)
        stages = prepared.source, *prepared.tasks
        with out_of_memory(config["dataset"], "leave out data by filters"):
            data = {stage.name: stage.data_digest() for stage in stages}
            data |= prepared.starts_from()
        directory.require_same_data_everywhere(data)
        with _opened(config, log) as run_dir:
            for stage in stages:
                stage.config["run_dir"] = str(run_dir)
            with log.quiet_console():
                logging.getLogger().info(config)
            results = _nothing_yet(config)
            with (
                tracked(config, run_dir),
                directory.advising(directory.resumption(run_dir)),
                out_of_memory(config["model"]),  # beside training, where stages tell it
            ):
                if group.is_first():
                    directory.require_same_data(run_dir, data)
                prepared.source.tell_size()
                histories = prepared.execute(run_dir, log, results)
                if group.is_first():
                    write_curves(run_dir, histories, ended=True)
            exchange.barrier()  # nobody reads there any more
            if group.is_first():
                directory.end(run_dir)
    return _outcome(config, results, run_dir)


def _nothing_yet(config: Config) -> dict[str, Any]:
    """``results.json`` before anything is trained."""
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "version": __version__,
        "pretrain": {"valid": {}, "test": {}, "epochs": 0, "seconds": 0.0},
        "tasks": {},
    }


def _settle_on_device(config: Config) -> None:
    """Choose this process's device, now that it is known which of several it is.

    Raises:
        ConfigError: fewer GPUs than processes.
    """
    member = group.member()
    if member is not None:
        config["device"] = device_of(config, member.local_rank, member.local_size)
    if config["device"].type == "cuda":  # for what names none
        torch.cuda.set_device(config["device"])


def _warn_of_no_gpu(config: Config) -> None:
    """Say that a run whose user named GPUs computes on the CPU: torch sees none."""
    named = gpu_numbers(config["gpu_id"]) if "gpu_id" in config.given else None
    if named and config["use_gpu"] and config["device"].type == "cpu":
        logging.getLogger().warning(
            f"gpu_id {config['gpu_id']}: torch sees no GPU here, so the run computes on the CPU"
        )


def _join_processes(config: Config) -> None:
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
    group.connect(config["device"])
    if member.local_size == member.size:
        config["nproc"] = member.size  # for config.yaml: what resumes it
    if not group.is_first():
        config["show_progress"] = config["log_wandb"] = False


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


def run_class(config: Config) -> type[Run]:
    """The kind of run that a model needs; what cannot be shows when it is made of a config."""
    for model, run_class in ((Conure, ContinualRun), (PeterRec, TransferRun)):
        if issubclass(config.model_class, model):
            return run_class
    return SequentialRun


@contextlib.contextmanager
def _opened(config: Config, log: RunLog) -> Iterator[Path]:
    """The run directory with its log and its resolved config, held for this run alone.

    Raises:
        ConfigError: another run has begun there, or is still going.
        WriteError: the system refuses.
    """
    going_on = bool(config["resume"])
    advice = "start again"
    if going_on:
        advice = directory.resumption(config["run_dir"])
    key = "run_dir" if config["run_dir"] else "checkpoint_dir"
    with contextlib.ExitStack() as stack:
        with directory.advising(advice), writing(f"{key} {config[key]}"):
            run_dir = directory.make(config, config["model"])
            if group.is_first():
                stack.enter_context(directory.held(run_dir))
            if not going_on:
                content = to_yaml(config.resolved())  # `resume` reads it
                directory.require_unused(run_dir, content)
                # Before all that shows a run: one that gets no further may be begun again.
                write_atomically(run_dir / directory.CONFIG_FILE, content)
            if group.is_first():
                directory.begin(run_dir)
                if going_on:
                    remove_unfinished_writes(run_dir)
            log.open_file(run_dir)
        yield run_dir
