"""One run: from a config to a directory of results."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import yaml

from recbole_peterrec.checkpoint import (
    load_json,
    remove_unfinished_writes,
    save_json,
    save_tensors,
    write_atomically,
)
from recbole_peterrec.config import Config, read_yaml
from recbole_peterrec.continual_run import ContinualRun
from recbole_peterrec.data.sequence_dataset import SequenceDataset
from recbole_peterrec.data.vocabulary import describe, item_tokens
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.model.backbone import Backbone
from recbole_peterrec.model.conure import Conure
from recbole_peterrec.model.peterrec import PeterRec
from recbole_peterrec.results import write_results
from recbole_peterrec.runlog import RunLog, new_run_dir
from recbole_peterrec.saved_model import load_backbone, save_backbone
from recbole_peterrec.stages import Outcome, SequentialStage, TaskStage
from recbole_peterrec.tasks import read_tasks
from recbole_peterrec.version import __version__

FREE_TO_RESUME = {"resume", "show_progress", "state", "model", "dataset"}


def run(
    model: str = "PeterRec",
    dataset: str = "ml-100k",
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: list[str] | None = None,
) -> dict[str, Any]:
    """Train and evaluate a model, and write a run directory.

    Args:
        model: ``PeterRec`` or a strategy of it (``FineAll``, ...), a backbone (``NextItNetAR``,
            ``GRec``), or any sequential model of RecBole.
        dataset: name of a RecBole dataset.
        config_file_list: yaml files, later ones win.
        config_dict: keys from Python; win over files.
        arguments: flags ``--key=value``; win over all.

    Returns:
        RecBole's four keys ``best_valid_score``, ``valid_score_bigger``, ``best_valid_result`` and
        ``test_result`` (of the model, or of the pretraining), and ``results`` (what results.json
        holds) and ``run_dir``.

    Raises:
        UserError: anything that a user can mend; the message is one line.
    """
    config = Config(model, dataset, config_file_list, config_dict, arguments)
    if config["resume"]:
        config = _resumed(config)
        if _has_ended(config["run_dir"]):
            results = load_json(Path(config["run_dir"], "results.json"))
            return _outcome(config, results, Path(config["run_dir"]))
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
        prepared.execute(run_dir, log, results, histories)
        shutil.rmtree(run_dir / "training", ignore_errors=True)
    return _outcome(config, results, run_dir)


def _has_ended(run_dir: str) -> bool:
    """Whether a run has written all it writes; what it needs to go on is deleted last."""
    folder = Path(run_dir)
    return (folder / "results.json").is_file() and not (folder / "training").exists()


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
    for model, run_class in ((Conure, ContinualRun), (PeterRec, _TransferRun)):
        if issubclass(config.model_class, model):
            return run_class
    return _SequentialRun


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
    for key in ("show_progress", "state"):
        if key in config.external_config_dict:
            settings[key] = config[key]
    return Config(content["model"], content["dataset"], [str(file)], settings)


def _open(config: Config, log: RunLog, definitions: dict[str, Any]) -> Path:
    """Make the run directory with its log and its resolved config, or go on in it."""
    run_dir = new_run_dir(config)
    if (run_dir / "results.json").exists() and not config["resume"]:
        raise ConfigError(
            f"run_dir {run_dir} already holds results; name another, or resume an unfinished run "
            f"with --resume={run_dir}"
        )
    try:
        log.open_file(run_dir)
    except OSError as error:
        raise ConfigError(
            f"run_dir {run_dir} cannot be written: {error.strerror}"
        ) from error
    if config["resume"]:
        remove_unfinished_writes(run_dir)
    else:
        text = yaml.safe_dump(
            config.resolved() | definitions, sort_keys=True, allow_unicode=True
        )
        write_atomically(run_dir / "config.yaml", text.encode())
    return run_dir


class _SequentialRun:
    """A backbone or a baseline, trained and tested."""

    def __init__(self, config: Config) -> None:
        self.stage = SequentialStage(config)

    def definitions(self) -> dict[str, Any]:
        return {}

    def use(self, run_dir: Path) -> None:
        self.stage.config["run_dir"] = str(run_dir)

    def execute(
        self, run_dir: Path, log: RunLog, results: dict, histories: dict
    ) -> None:
        model, config = self.stage.model, self.stage.config
        outcome = self.stage.train(log)
        parameters = sum(p.numel() for p in model.parameters())
        results["pretrain"] = outcome.record() | {"trainable_parameters": parameters}
        histories[config["model"]] = outcome.history
        if isinstance(model, Backbone):
            _write_backbone(
                run_dir, config["model"], model, self.stage.dataset, results["pretrain"]
            )
        else:
            save_tensors(run_dir / "model.safetensors", model.state_dict())
        write_results(run_dir, results, histories)


class _TransferRun:
    """Pretraining, or a saved backbone, and then every task."""

    def __init__(self, config: Config) -> None:
        self.config = config
        tasks = read_tasks(config)
        epochs = config["pretrain_epochs"] or config["epochs"]
        self.pretraining = SequentialStage(
            config.derive(model=config["backbone"], epochs=epochs, stage="pretraining")
        )
        self.encoder = self.pretraining.model.encoder
        self.loaded = None
        if config["pretrained"] and config["pretrained_path"]:
            self.loaded = load_backbone(
                config["pretrained_path"],
                config["backbone"],
                self.encoder,
                describe(self.pretraining.dataset),
            )
        self.tasks = [
            TaskStage(task, self.pretraining.dataset, self.encoder.architecture)
            for task in tasks
        ]

    def definitions(self) -> dict[str, Any]:
        """The tasks with their defaults written out, for ``config.yaml``."""
        return {"tasks": [stage.task.definition for stage in self.tasks]}

    def use(self, run_dir: Path) -> None:
        for stage in (self.pretraining, *self.tasks):
            stage.config["run_dir"] = str(run_dir)

    def execute(
        self, run_dir: Path, log: RunLog, results: dict, histories: dict
    ) -> None:
        if self.loaded is not None:
            results["pretrain"] = self.loaded | {"epochs": 0, "seconds": 0.0}
        elif self.config["pretrained"]:
            outcome = self.pretraining.train(log)
            results["pretrain"] = self._pretraining_record(outcome)
            histories["pretraining"] = outcome.history
        _write_backbone(
            run_dir,
            self.config["backbone"],
            self.pretraining.model,
            self.pretraining.dataset,
            results["pretrain"],
        )
        for stage in self.tasks:
            model = stage.build(self.encoder)
            outcome = stage.train(model, log)
            record = stage.record(model, outcome)
            results["tasks"][stage.task.name] = record
            histories[stage.task.name] = outcome.history
            stage.save(run_dir, model, record)
            write_results(run_dir, results, histories)

    def _pretraining_record(self, outcome: Outcome) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.pretraining.model.parameters())
        return outcome.record() | {"trainable_parameters": parameters}


def _write_backbone(
    run_dir: Path,
    name: str,
    model: Backbone,
    source: SequenceDataset,
    pretrain: dict[str, Any],
) -> None:
    length = source.config["MAX_ITEM_LIST_LENGTH"]
    save_backbone(run_dir, name, model, describe(source), pretrain, length)
    save_json(run_dir / "vocabulary.json", {"items": item_tokens(source)})
