"""Going on with a run that was begun: by its own configuration, or, if it has ended, by its results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.config import Config
from recbole_peterrec.errors import CheckpointError, ConfigError
from recbole_peterrec.runs import directory
from recbole_peterrec.settings.given import GIVEN, is_unchanged
from recbole_peterrec.settings.keys import DEVICES, FOLDERS, PROCESSES, STARTS_FROM
from recbole_peterrec.settings.kinds import number
from recbole_peterrec.settings.literals import read_yaml
from recbole_peterrec.stored.header import require_record

FREE_TO_RESUME = {
    *("resume", "show_progress", "state", "model", "dataset"),
    *FOLDERS,  # where data and caches are now
    *STARTS_FROM,
    *PROCESSES,
    *DEVICES,
}


def resumed(config: Config, arguments: dict[str, str | None]) -> Config:
    """The config of the run that ``resume`` names, to go on in its directory.

    Args:
        config: what was given, and defaults.
        arguments: model and dataset, as given beside it.

    Raises:
        ConfigError: keys that would change it, or no run there.
    """
    given = config.external_config_dict
    run_dir = Path(config["resume"]).absolute()
    changed = sorted(set(given) - FREE_TO_RESUME)
    if changed:
        raise ConfigError(
            f"resume goes on with the configuration of {run_dir}; leave out {', '.join(changed)}"
        )
    file = run_dir / directory.CONFIG_FILE
    content = _content_of(run_dir, file)
    for key, value in arguments.items():
        asked = value or given.get(key)
        if asked and str(asked) != content[key]:
            raise ConfigError(
                f"resume: the run in {run_dir} has {key} {content[key]}, not {asked}"
            )
    for key in STARTS_FROM:
        asked = given.get(key, content.get(key))
        if bool(asked) != bool(content.get(key)):
            raise ConfigError(
                f"resume: {key} tells where a network is now that the run in {run_dir} began with: "
                f"it has {content.get(key) or 'none'}, got {asked!r}; leave it out"
            )
    settings = {key: value for key, value in given.items() if key not in arguments}
    settings |= {"run_dir": str(run_dir), "resume": str(run_dir)}
    return Config(content["model"], content["dataset"], [str(file)], settings)


def _content_of(run_dir: Path, file: Path) -> dict[str, Any]:
    """What the ``config.yaml`` of a run that has begun holds.

    Raises:
        ConfigError: none, a suite's, another version's, or one that was changed since.
    """
    if not os.path.isdir(run_dir):
        raise ConfigError(f"resume: there is no folder {run_dir}; give that of the run")
    if not os.path.isfile(file):
        raise ConfigError(
            f"resume: {run_dir} has no config.yaml, so there is nothing to go on with; start anew"
        )
    content = read_yaml(file)
    if any(content.get(key) is not None for key in ("suite", "seeds")):
        raise ConfigError(
            f"resume: nothing of the suite in {run_dir} has begun (there is no suite.json); begin "
            f"it with --config_files={file}"
        )
    if not all(isinstance(content.get(key), str) for key in ("model", "dataset")):
        raise ConfigError(f"resume: {file} names no model and dataset")
    directory.require_same_version(run_dir)
    if not isinstance(content.get(GIVEN), dict):
        raise ConfigError(
            f"resume: {file} was written by another version of recbole_peterrec; start anew"
        )
    if not is_unchanged(content) and not directory.has_ended(run_dir):
        raise ConfigError(
            f"resume: {file} was changed since the run began; undo that, or start anew with "
            f"--config_files={file} (where data are, the device and the log may be told by flags)"
        )
    return content


def finished(run_dir: Path) -> dict[str, Any]:
    """``results.json`` of a run that has ended.

    Raises:
        CheckpointError: none, no table can be made of it, or the run had not ended when what going
            on needs was deleted.
    """
    file = run_dir / "results.json"
    try:
        results = load_json(file)
        _require_results(file, results)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; put that of the run back, or move {run_dir} away and run it anew"
        ) from error
    _require_all_learned(run_dir, results)
    return results


def _require_all_learned(run_dir: Path, results: dict[str, Any]) -> None:
    """Raise :class:`CheckpointError` where a run has not done all that its configuration, as it
    wrote it, asks for."""
    content = read_yaml(run_dir / directory.CONFIG_FILE)
    if not content.get("backbone") or GIVEN not in content or not is_unchanged(content):
        return  # it learns no tasks, or nobody knows which
    names = content.get("task_order")
    if names is None:
        names = [task["name"] for task in content.get("tasks") or ()]
    records = [results["tasks"].get(name) for name in names]
    if not content.get("continue_from"):
        records.append(results["pretrain"])
    # A learner tests all that it learned again, at its end.
    if any(
        record is None
        or ("before_pruning" in record and "test_after_all" not in record)
        for record in records
    ):
        raise CheckpointError(
            f"{run_dir} has results of {', '.join(results['tasks']) or 'no task'} and has not come "
            f"further, and the folder training, from which it would go on, is missing; put it "
            f"back, or start anew with --config_files={run_dir / directory.CONFIG_FILE}"
        )


def _require_results(file: Path, results: dict[str, Any]) -> None:
    """Raise :class:`CheckpointError` unless a file of results has all its parts."""
    pretrain, tasks = results.get("pretrain"), results.get("tasks")
    usable = (
        isinstance(pretrain, dict)
        and all(isinstance(pretrain.get(split), dict) for split in ("valid", "test"))
        and all(number(pretrain.get(key), 0) for key in ("epochs", "seconds"))
        and isinstance(tasks, dict)
    )
    if not usable:
        raise CheckpointError(f"{file} is not what a run writes")
    for name, record in tasks.items():
        require_record(record, f"{file}: task {name!r}")
