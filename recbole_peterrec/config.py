"""RecBole's configuration with our property files, literals only, and no unknown keys."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterable, Iterator
from typing import Any

from recbole.config import Config as RecBoleConfig
from recbole.utils import ModelType, argument_list

from recbole_peterrec import registry
from recbole_peterrec.errors import ConfigError, did_you_mean
from recbole_peterrec.settings.checks import check_switches, check_values
from recbole_peterrec.settings.defaults import merged_eval_args, merged_task_defaults
from recbole_peterrec.settings.device import device_of
from recbole_peterrec.settings.eval_checks import check_metrics
from recbole_peterrec.settings.flags import read_flags, typed
from recbole_peterrec.settings.given import (
    edited_keys,
    last_given,
    told_with,
    what_counts,
)
from recbole_peterrec.settings.keys import (
    DERIVED,
    PATHS,
    RECBOLE_EXTRA,
    UNLISTED,
    UNREAD,
)
from recbole_peterrec.settings.literals import Loader, read_yaml
from recbole_peterrec.settings.losses import LOSSES, LOSSES_OF, check_loss
from recbole_peterrec.settings.parts import left_out

MAIN_JOB = {"model": "PeterRec", "dataset": "ml-100k"}


class Config(RecBoleConfig):
    """RecBole's ``Config``; flags win over the dict, the dict over files, files over defaults.

    Args:
        model: name of a model of ours, of one of our property files that ``extends`` one, or of
            RecBole's. None takes that of the files or the dict, the first of a suite, or the main
            job's.
        dataset: name of the dataset; None as for the model.
        config_file_list: yaml files, later ones win.
        config_dict: keys from Python.
        arguments: flags ``--key=value``; the process's own are not looked at.

    Attributes:
        given: what a user gave, before defaults were merged with it; of a run's
            ``config.yaml``, what its user gave.
        left_out: parts of mappings that a user gave and then replaced; see
            :func:`recbole_peterrec.settings.parts.left_out`.

    Raises:
        ConfigError: unknown model, key, metric or value, malformed flag, unreadable file, or one
            file instead of a list.
    """

    def __init__(
        self,
        model: str | None = None,
        dataset: str | None = None,
        config_file_list: list[str] | None = None,
        config_dict: dict[str, Any] | None = None,
        arguments: list[str] | None = None,
    ) -> None:
        if isinstance(config_file_list, (str, os.PathLike)):
            raise ConfigError(
                f"config_file_list is a list of files, got {str(config_file_list)!r}; write it in []"
            )
        files = [read_yaml(path) for path in config_file_list or []]
        self._sources = [*files, config_dict or {}]
        with _recbole_refusals():
            flags = read_flags(arguments or [])
            _refuse_two("model", model, flags)
            _refuse_two("dataset", dataset, flags)
            self._asked = _asked_names(model, dataset, [*self._sources, flags])
            counted = [what_counts(source, self._asked) for source in self._sources]
            counted[-1] = tuple(typed(keys) for keys in counted[-1])
            counted.append((flags, flags))
            self._counts = [counts for counts, _ in counted]
            self.given = last_given(counted)
            names = self._asked["model"], self._asked["dataset"]
            super().__init__(*names, config_file_list, config_dict)
            self.left_out = left_out(self._counts, self.final_config_dict)
        self._given_or_default = frozenset(self.final_config_dict)

    def _build_yaml_loader(self):
        return Loader

    # RecBole asks for each kind of source in turn; all are read by then.

    def _load_config_files(self, file_list):
        *files, _, _ = self._counts
        return {key: value for keys in files for key, value in keys.items()}

    def _load_variable_config_dict(self, config_dict):
        return dict(self._counts[-2])

    def _load_cmd_line(self):
        return dict(self._counts[-1])

    def _get_model_and_dataset(self, model, dataset):
        model = str(model or MAIN_JOB["model"])
        dataset = str(dataset or MAIN_JOB["dataset"])
        return model, registry.model_class(model), dataset

    def _load_internal_config_dict(self, model, model_class, dataset):
        super()._load_internal_config_dict(model, model_class, dataset)
        given = self.external_config_dict
        if not given.get("protocol"):  # a model that brings one keeps it, and says so
            given.pop("protocol", None)
        ours, choice = self._our_defaults(model, dataset)
        for content in ours:
            self._put_over_task_defaults(content)
            self.internal_config_dict.update(content)
        self.internal_config_dict.pop(registry.EXTENDS, None)
        for content in self._sources:
            edited = edited_keys(content, self.internal_config_dict, choice)
            self.given = {
                key: given[key] for key in edited if key in given
            } | self.given
        self.reject_unknown(given)
        if "config_files" in given:
            raise ConfigError(
                "config_files names files as a flag (from Python, config_file_list does), not in a "
                "file or dict; give it there"
            )
        if given.get("stage") is not None:
            raise ConfigError("stage is set by the program; leave it out")
        if "eval_args" in given:
            given["eval_args"] = merged_eval_args(
                self.internal_config_dict["eval_args"], given["eval_args"]
            )
        self._put_over_task_defaults(given)
        registry.require_strategy(model, given)

    def _our_defaults(
        self, model: str, dataset: str
    ) -> tuple[list[dict[str, Any]], tuple[str | None, ...]]:
        """Contents of our property files, later ones win; and what chose them."""
        given = self.external_config_dict
        ours = [read_yaml(path) for path in registry.property_files(model, dataset)]
        protocol = given.get("protocol") or _last(ours, "protocol")
        if protocol:
            registry.require_protocol(protocol)
            files = registry.property_files(model, dataset, protocol)
            ours = [read_yaml(path) for path in files]
        backbone = given.get("backbone") or _last(ours, "backbone")
        if backbone:  # its keys are defaults below those of the model on top of it
            registry.require_backbone(backbone)
            ours.insert(1, registry.model_keys(backbone))
        return ours, (model, dataset, protocol, backbone)

    def _put_over_task_defaults(self, keys: dict[str, Any]) -> None:
        """Complete the ``task_defaults`` of a file or of a user by those that there are."""
        defaults = self.internal_config_dict.get("task_defaults")
        if "task_defaults" in keys and defaults is not None:
            keys["task_defaults"] = merged_task_defaults(
                defaults, keys["task_defaults"], self.reject_unknown
            )

    def reject_unknown(
        self,
        given: Iterable[str],
        where: str = "configuration",
        also: Iterable[str] = (),
    ) -> None:
        """Refuse keys that no model and no part of RecBole reads.

        Raises:
            ConfigError: with the nearest valid key.
        """
        known = self.known_keys().union(also)
        unknown = set(given) - known
        if unknown:
            known |= registry.all_property_keys()
        for key in sorted(unknown - known, key=str):
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}")

    def known_keys(self) -> set[str]:
        """Keys that the model's own files have, or any part of RecBole reads."""
        known = set(self.internal_config_dict).union(
            argument_list.general_arguments,
            argument_list.training_arguments,
            argument_list.evaluation_arguments,
            argument_list.dataset_arguments,
            RECBOLE_EXTRA,
            UNLISTED.get(self.model, ()),
        )
        return known.difference(UNREAD)

    def _set_default_parameters(self):
        values = self.final_config_dict
        self._data_root = values["data_path"]
        check_values(values, registry.is_ours(self.model))
        check_switches(values, self.internal_config_dict)
        check_metrics(values)
        if values["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            check_loss(values, self.model, self.internal_config_dict.get("loss_type"))
            self._load_what_sequences_need()
        self._settle_training_negatives()
        super()._set_default_parameters()
        own = os.path.join(self._data_root, self.dataset)
        if os.path.isdir(own):  # RecBole reads its own ml-100k, whatever there is
            values["data_path"] = own

    def _init_device(self):
        """The device of a run of one process; with several, each takes its own later."""
        values = self.final_config_dict
        values["single_spec"], values["local_rank"] = True, 0
        values["device"] = device_of(values)

    def _settle_training_negatives(self) -> None:
        """Cross entropy has no sampled negatives, BPR must, and so must RecBole's models that know
        no other loss than their own; RecBole's default fits neither."""
        values = self.final_config_dict
        negatives = values.get("train_neg_sample_args")
        absent = not negatives or negatives.get("distribution") in (None, "none")
        if values.get("loss_type") == "CE":
            if absent or "train_neg_sample_args" not in self.given:
                values["train_neg_sample_args"] = None
        elif absent and not LOSSES_OF.get(self.model, LOSSES):
            raise ConfigError(
                f"{self.model} needs train_neg_sample_args, such as "
                f"{{distribution: uniform, sample_num: 1}}"
            )
        elif values.get("loss_type") == "BPR" and absent:
            raise ConfigError(
                "loss_type BPR needs train_neg_sample_args, such as "
                "{distribution: uniform, sample_num: 1}; pretraining needs loss_type CE"
            )
        elif absent:  # RecBole makes of None what it refuses to take again
            values["train_neg_sample_args"] = None

    def _load_what_sequences_need(self) -> None:
        """RecBole's default loads user_id and item_id only; order and filters need more."""
        values = self.final_config_dict
        columns = (values.get("load_col") or {}).get("inter")
        if isinstance(columns, list):
            keys = "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD"
            needed = [values[key] for key in keys]
            needed += values.get("val_interval") or {}
            columns = list(dict.fromkeys([*columns, *needed]))
            values["load_col"] = {**values["load_col"], "inter": columns}

    @property
    def longest_history(self) -> int:
        """Items of a user's history that a model sees at most: the most recent ones."""
        recent = self["recent_interactions"]
        return min(self["MAX_ITEM_LIST_LENGTH"], recent or self["MAX_ITEM_LIST_LENGTH"])

    def derive(self, **overrides: Any) -> Config:
        """This config with other values for some keys, checked anew.

        Args:
            overrides: new values; ``dataset`` also moves ``data_path``, ``model`` the class.

        Raises:
            ConfigError: a value that RecBole does not accept.
        """
        new = copy.copy(self)
        new.final_config_dict = copy.deepcopy(self.final_config_dict)
        new.final_config_dict.update(copy.deepcopy(overrides))
        new.final_config_dict["data_path"] = self._data_root
        # A task's is False, for its sampler; RecBole refuses that of sequential models.
        repeatable = new.final_config_dict["repeatable"]
        new.final_config_dict["repeatable"] = True
        new.dataset = new.final_config_dict["dataset"]
        new.model = new.final_config_dict["model"]
        new.model_class = registry.model_class(new.model)
        with _recbole_refusals():
            new._set_default_parameters()
            new._set_train_neg_sample_args()
            new._set_eval_neg_sample_args("valid")
            new._set_eval_neg_sample_args("test")
        new.final_config_dict["repeatable"] = repeatable
        return new

    def resolved(self) -> dict[str, Any]:
        """Keys and values for ``config.yaml``; given as a config file, they run again."""
        resolved = {
            key: value
            for key, value in sorted(self.final_config_dict.items())
            # Some models of RecBole put keys of their own there.
            if key in self._given_or_default and key not in DERIVED
        }
        resolved["data_path"] = self._data_root
        for key in PATHS:  # they hold wherever the file is used
            if resolved.get(key):
                resolved[key] = os.path.abspath(resolved[key])
        if resolved.get("loss_type") == "CE":
            resolved["train_neg_sample_args"] = None
        given = {
            key: resolved[key] if key in PATHS else value
            for key, value in self.given.items()
            if key in resolved and key not in ("model", "dataset")
        }
        return told_with(resolved, given)


def _asked_names(
    model: str | None, dataset: str | None, sources: list[dict[str, Any]]
) -> dict[str, str | None]:
    """Model, dataset and protocol that a user asks for, later sources win.

    An empty protocol takes away that of an earlier source.
    """
    suites = [source["suite"] for source in sources if "suite" in source]
    first = registry.first_of_suite(suites[-1]) if suites else None
    protocols = [source["protocol"] for source in sources if "protocol" in source]
    return {
        "model": model or _last(sources, "model") or first,
        "dataset": dataset or _last(sources, "dataset"),
        "protocol": protocols[-1] if protocols else None,
    }


def _refuse_two(key: str, given: str | None, flags: dict[str, Any]) -> None:
    """Refuse flags that name another model or dataset than the caller."""
    if given and str(flags.get(key) or given) != str(given):
        raise ConfigError(f"{key} is {given} and, by a flag, {flags[key]}; name one")


def _last(files: list[dict[str, Any]], key: str) -> Any:
    """The value of the last file that has one; an empty one is none."""
    return next((file[key] for file in reversed(files) if file.get(key)), None)


@contextlib.contextmanager
def _recbole_refusals() -> Iterator[None]:
    """What RecBole's checks of a config raise, as one clear line."""
    try:
        yield
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"configuration: {reason}") from error
