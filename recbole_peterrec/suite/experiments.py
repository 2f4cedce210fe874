"""Running a suite: each model with each seed, one run after the other, in one directory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from recbole_peterrec import quick_start
from recbole_peterrec.checkpoint import remove_unfinished_writes, write_atomically
from recbole_peterrec.config import Config
from recbole_peterrec.errors import (
    ConfigError,
    TrainingError,
    UserError,
    WriteError,
    permitted,
)
from recbole_peterrec.runs import directory
from recbole_peterrec.runs.directory import CONFIG_FILE
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.resuming import FREE_TO_RESUME
from recbole_peterrec.runs.unread import tell_left_out
from recbole_peterrec.settings.keys import STARTS_FROM
from recbole_peterrec.settings.literals import read_yaml, to_yaml
from recbole_peterrec.suite import report
from recbole_peterrec.suite.comparing import foreseen
from recbole_peterrec.suite.plan import Entry, Suite, plan
from recbole_peterrec.suite.progress import Progress
from recbole_peterrec.suite.sharing import Backbones
from recbole_peterrec.suite.tables import remarks
from recbole_peterrec.writing import writing

TOLD = 3  # failures in the error of a suite


def holds_suite(folder: str | None) -> bool:
    """Whether a directory is a suite's, not a run's."""
    return bool(folder) and os.path.isfile(Path(folder) / report.FILE)


def begin(suite: Suite, config: Config) -> dict[str, Any]:
    """Run a suite in a directory of its own.

    Args:
        suite: it.
        config: where it writes, and how much it tells.

    Returns:
        ``results``, which is what ``suite.json`` holds, and ``run_dir``.

    Raises:
        UserError: anything that a user can mend, with the model and the seed where it is met.
    """
    with RunLog(config["state"]).active() as log, contextlib.ExitStack() as stack:
        if config["run_dir"]:
            directory.require_no_run(Path(config["run_dir"]))
        warnings = foreseen(suite)  # before there is anything on disk
        key = "run_dir" if config["run_dir"] else "checkpoint_dir"
        content = to_yaml(suite.content())
        with writing(f"{key} {config[key]}"):
            folder = directory.make(config, suite.name)
            stack.enter_context(directory.held(folder))
            directory.require_unused(folder, content)
        progress = Progress(suite, folder, hashlib.sha256(content).hexdigest())
        progress.require_places()
        write_atomically(folder / CONFIG_FILE, content)
        progress.report()
        log.open_file(folder)
        if "seed" in config.given and config["seeds"]:
            warnings.append(
                f"seeds {config['seeds']} count, and not seed {config['seed']}"
            )
        tell_left_out(config)
        for warning in warnings:
            log.logger.warning(warning)
        return _run_all(progress, {})


def go_on(config: Config, model: str | None, dataset: str | None) -> dict[str, Any]:
    """Run what is still to be run of the suite in ``resume``, and go on with what was interrupted.

    Args:
        config: with ``resume``; besides it may tell where data are, the devices and the log, and
            where the network is now that the whole suite began with.
        model: that was asked for beside it: none may be.
        dataset: that was asked for beside it: the suite's.

    Returns:
        As :func:`begin`.

    Raises:
        UserError: a key that would change it, an edited config, results that are not its own, or
            what :func:`begin` raises.
    """
    folder = Path(config["resume"]).absolute()
    named = {"model": model, "dataset": dataset} | config.external_config_dict
    given = {key: value for key, value in named.items() if value is not None}
    file = folder / CONFIG_FILE
    begun = read_yaml(file) if file.is_file() else {}
    moved = {key for key in STARTS_FROM if begun.get(key) and given.get(key)}
    free = FREE_TO_RESUME - {"model", *STARTS_FROM} | moved
    changed = sorted(given.keys() - free)
    if changed:
        raise ConfigError(
            f"resume goes on with the configuration of {folder}; leave out {', '.join(changed)}"
        )
    told, digest = report.read_report(folder), _digest(folder)
    if told.get("config") != digest:
        raise ConfigError(
            f"resume: {folder / CONFIG_FILE} was changed since the suite began; undo that, or "
            f"start anew with --config_files={folder / CONFIG_FILE}"
        )
    given.pop("resume")
    asked = given.pop("dataset", None)
    saved = Config(None, None, [str(folder / CONFIG_FILE)], given)
    suite = dataclasses.replace(plan(saved, None), name=str(told.get("suite")))
    if asked not in (None, suite.dataset):
        raise ConfigError(
            f"resume: the suite in {folder} has dataset {suite.dataset}, not {asked}"
        )
    with RunLog(saved["state"]).active() as log, contextlib.ExitStack() as stack:
        with writing(f"run_dir {folder}"):
            stack.enter_context(directory.held(folder))
            remove_unfinished_writes(folder)
        log.open_file(folder)
        progress = Progress(suite, folder, digest, told["version"])
        progress.take_up(told["runs"])
        if not progress.is_complete():
            directory.require_version(folder, progress.version)
        progress.report()
        return _run_all(progress, given)


def _run_all(progress: Progress, now: Mapping[str, Any]) -> dict[str, Any]:
    """Run what has not ended, and write the report after each.

    A run that fails is told at the end, and others go on; nothing goes on where files cannot be
    written.

    Args:
        progress: of the suite.
        now: keys that may differ from those with which it began.
    """
    log, suite, folder = logging.getLogger(), progress.suite, progress.folder
    backbones = Backbones(progress)
    order, failures = list(suite.runs()), []
    for place, (seed, entry) in enumerate(order, 1):
        if progress.has(entry, seed):
            continue
        what = f"{entry.name}, seed {seed}"
        log.info(f"{suite.name}: {what} (run {place} of {len(order)})")
        try:
            with permitted():
                backbone = backbones.taken_by(entry, seed)
                results = _run(progress, entry, seed, now, backbone)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(directory.resumption(folder)) from error
        except WriteError as error:
            advice = directory.resumption(folder)
            raise WriteError(f"{what}: {error} (the suite: {advice})") from error
        except Exception as error:
            backbones.offer(entry, seed)
            if isinstance(error, TrainingError):
                backbones.fail(entry, seed)
            failures.append((what, error))
            log.error(f"{what}: {error}", exc_info=not isinstance(error, UserError))
            _let_go(error)
            continue
        progress.add(entry, seed, results)
        progress.report()
        backbones.offer(entry, seed)
    for remark in remarks(progress.results()["unlike"], suite.seeds):
        log.warning(remark)
    if failures:
        _raise(failures, len(order), folder)
    return {"results": progress.results(), "run_dir": str(folder)}


def _let_go(error: BaseException | None) -> None:
    """Free what the run had, which the error's frames still hold: its model and its data."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _raise(
    failures: list[tuple[str, Exception]], number: int, folder: Path
) -> NoReturn:
    """One error for all; one that is no user's as it is, once all is told."""
    told = "; ".join(f"{what}: {error}" for what, error in failures[:TOLD])
    if len(failures) > TOLD:
        told += f"; {len(failures) - TOLD} more are in run.log"
    message = (
        f"{len(failures)} of {number} runs failed: {told}; what has ended is in "
        f"{folder / 'results.md'}; to try these again, {directory.resumption(folder)}, or start "
        f"anew with other keys and --config_files={folder / CONFIG_FILE}"
    )
    for _, error in failures:
        if not isinstance(error, UserError):
            logging.getLogger().error(message)
            raise error
    first = failures[0][1]
    raise type(first)(message) from first


def _run(
    progress: Progress,
    entry: Entry,
    seed: int,
    now: Mapping[str, Any],
    backbone: Path | None,
) -> dict[str, Any]:
    """Begin one run, or go on with it: its ``results.json``.

    Args:
        progress: of the suite.
        entry: of the suite.
        seed: of the suite.
        now: keys that may differ from those with which the suite began.
        backbone: run directory of the one that it takes; None if it makes its own.
    """
    run_dir = progress.run_dir(entry, seed)
    own = {*STARTS_FROM}.intersection(entry.settings)
    keys = {key: value for key, value in now.items() if key not in own}
    if backbone is not None:
        keys["pretrained_path"] = str(backbone)
    if (run_dir / CONFIG_FILE).is_file():
        outcome = quick_start.run(config_dict={**keys, "resume": str(run_dir)})
    else:
        settings = progress.suite.config(entry, seed, **keys, run_dir=str(run_dir))
        dataset = progress.suite.dataset
        outcome = quick_start.run(entry.model, dataset, config_dict=settings)
    return outcome["results"]


def _digest(folder: Path) -> str:
    """SHA-256 of a suite's ``config.yaml``.

    Raises:
        ConfigError: there is none.
    """
    file = folder / CONFIG_FILE
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}; start anew") from error
