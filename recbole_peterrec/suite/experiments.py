"""Running a suite: each model with each seed, one run after the other, in one directory."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_peterrec import quick_start
from recbole_peterrec.checkpoint import (
    load_json,
    remove_unfinished_writes,
    write_atomically,
)
from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError, UserError
from recbole_peterrec.runs import directory
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.settings.literals import to_yaml
from recbole_peterrec.suite import report
from recbole_peterrec.suite.plan import Suite, plan
from recbole_peterrec.suite.sharing import pretraining_of
from recbole_peterrec.writing import writing

CONFIG_FILE = "config.yaml"


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
    with RunLog(config["state"]).active() as log:
        backbones = _backbones(suite)  # before there is anything on disk
        key = "run_dir" if config["run_dir"] else "checkpoint_dir"
        content = to_yaml(suite.content())
        with contextlib.ExitStack() as stack:
            with writing(f"{key} {config[key]}"):
                folder = directory.make(config, suite.name)
                stack.enter_context(directory.held(folder))
                directory.require_unused(folder, content)
            write_atomically(folder / CONFIG_FILE, content)
            results = report.results_of(suite, {}, _digest(folder))
            report.write_report(folder, results)
            log.open_file(folder)
            return _run_all(suite, folder, backbones, going_on=None)


def go_on(config: Config, model: str | None, dataset: str | None) -> dict[str, Any]:
    """Run what is still to be run of the suite in ``resume``, and go on with what was interrupted.

    Args:
        config: with ``resume``; besides it may tell where data are, the devices and the log.
        model: that was asked for beside it: none may be.
        dataset: as ``model``.

    Returns:
        As :func:`begin`.

    Raises:
        UserError: a key that would change it, an edited config, or what :func:`begin` raises.
    """
    folder = Path(config["resume"]).absolute()
    named = {"model": model, "dataset": dataset} | config.external_config_dict
    given = {key: value for key, value in named.items() if value is not None}
    free = quick_start.FREE_TO_RESUME - {"model", "dataset"}
    changed = sorted(given.keys() - free)
    if changed:
        raise ConfigError(
            f"resume goes on with the configuration of {folder}; leave out {', '.join(changed)}"
        )
    if load_json(folder / report.FILE).get("config") != _digest(folder):
        raise ConfigError(
            f"resume: {folder / CONFIG_FILE} was changed since the suite began; undo that, or "
            f"start anew with --config_files={folder / CONFIG_FILE}"
        )
    given.pop("resume")
    saved = Config(None, None, [str(folder / CONFIG_FILE)], given)
    suite = plan(saved, None)
    with RunLog(saved["state"]).active() as log:
        backbones = _backbones(suite)
        with contextlib.ExitStack() as stack:
            with writing(f"run_dir {folder}"):
                stack.enter_context(directory.held(folder))
                remove_unfinished_writes(folder)
            log.open_file(folder)
            return _run_all(suite, folder, backbones, given)


def _run_all(
    suite: Suite,
    folder: Path,
    backbones: Mapping[str, str | None],
    going_on: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Run all, and write the report after each.

    Args:
        suite: it.
        folder: its own.
        backbones: digests of what entries pretrain; of a seed, the first makes it for all with the
            same.
        going_on: keys that may differ from those with which the suite began; None as it begins.
    """
    digest = _digest(folder)
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    made: dict[tuple[str, int], Path] = {}
    order = list(suite.runs())
    for place, (seed, entry) in enumerate(order, 1):
        what = f"{entry.name}, seed {seed}"
        logging.getLogger().info(f"{suite.name}: {what} (run {place} of {len(order)})")
        run_dir = folder / entry.name / f"seed-{seed}"
        keys: dict[str, Any] = {"run_dir": str(run_dir)}
        backbone = backbones[entry.name]
        if (
            backbone is not None
            and made.setdefault((backbone, seed), run_dir) != run_dir
        ):
            keys["pretrained_path"] = str(made[backbone, seed])
        with _telling(what, folder):
            if going_on is not None and (run_dir / CONFIG_FILE).is_file():
                outcome = quick_start.run(
                    config_dict={**going_on, "resume": str(run_dir)}
                )
            else:
                settings = suite.config(entry, seed, **keys)
                outcome = quick_start.run(
                    entry.model, suite.dataset, config_dict=settings
                )
        runs.setdefault(entry.name, {})[seed] = outcome["results"]
        results = report.results_of(suite, runs, digest)
        report.write_report(folder, results)
    for warning in report.unlike_rows(suite, runs):
        logging.getLogger().warning(warning)
    return {"results": results, "run_dir": str(folder)}


def _backbones(suite: Suite) -> dict[str, str | None]:
    """What each entry pretrains; see :func:`recbole_peterrec.suite.sharing.pretraining_of`.

    Each run of the first seed is prepared, on the CPU, and let go: what cannot be shows before
    hours of training.

    Raises:
        UserError: settings, data, tasks or a model that cannot be, with the entry's name.
    """
    seed = suite.seeds[0]
    found = {}
    for entry in suite.entries:
        try:
            settings = suite.config(entry, seed)
            config = Config(entry.model, suite.dataset, config_dict=settings)
            found[entry.name] = pretraining_of(config)
            settings = suite.config(entry, seed, use_gpu=False)
            config = Config(entry.model, suite.dataset, config_dict=settings)
            with RunLog("ERROR").active():  # the run itself says it again
                quick_start.run_class(config)(config)
        except UserError as error:
            raise type(error)(f"{entry.name}: {error}") from error
    return found


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


@contextlib.contextmanager
def _telling(what: str, folder: Path) -> Iterator[None]:
    """Say in which run of a suite an error was met, and how to go on.

    Raises:
        UserError: the run's, of the same kind.
    """
    try:
        yield
    except UserError as error:
        advice = f"mend that, then {directory.resumption(folder)}"
        raise type(error)(f"{what}: {error}; {advice}") from error
