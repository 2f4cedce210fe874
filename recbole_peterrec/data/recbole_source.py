"""The source of a model of RecBole's: RecBole's own dataset, of files that were looked at before."""

from __future__ import annotations

import logging
import os
import re
from itertools import pairwise

import recbole.data.dataset as recbole_datasets
from recbole.data.dataset import SequentialDataset

from recbole_peterrec.data.atomic import (
    check_interval,
    path_of,
    read_header,
    reading,
    require_aligned,
    require_columns,
)
from recbole_peterrec.data.source_columns import require_names
from recbole_peterrec.data.times import tell_missing, tell_times
from recbole_peterrec.errors import ConfigError


def recbole_source(config) -> SequentialDataset:
    """The dataset that RecBole makes for a model, not split yet.

    Raises:
        ConfigError: a key that only the backbones of ours know, or that does not fit the data.
        DataError: a file or column that cannot be used.
    """
    _require_keys(config)
    columns = [config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
    require_columns(
        config, "inter", columns, "source", tokens=columns[:2], times=columns[2:]
    )
    require_names(config)
    name = f"{config['model']}Dataset"
    with reading("source", config):
        _require_fit_of_files(config)
        dataset = _telling(getattr(recbole_datasets, name, SequentialDataset))(config)
    tell_times(dataset, logging.getLogger().warning)
    _require_names_of_lists(dataset, columns)
    # KSR takes them as they are, beside its own weights of float32.
    for name, matrix in dataset._preloaded_weight.items():
        dataset._preloaded_weight[name] = matrix.astype("float32")
    _require_rerankers(config, dataset.item_num - 1)
    return dataset


def _telling(base: type[SequentialDataset]) -> type[SequentialDataset]:
    """A class of RecBole's that tells which times it makes up."""

    class Telling(base):
        def _fill_nan(self) -> None:
            missing = int(self.inter_feat[self.time_field].isnull().sum())
            tell_missing(missing, self.logger.warning)
            super()._fill_nan()

    return Telling


def _require_keys(config) -> None:
    model = config["model"]
    if config["eval_args"]["order"] != "TO":
        raise ConfigError(
            f"eval_args: order RO (held-out users) needs a backbone of ours, not {model}"
        )
    if config["recent_interactions"] is not None:
        raise ConfigError(
            f"recent_interactions needs a backbone of ours, not {model}; set it to ~"
        )
    if config["benchmark_filename"] is not None:
        raise ConfigError(
            "benchmark_filename (files split beforehand) is not for this runner: give one "
            ".inter file, and eval_args to split it"
        )


def _require_fit_of_files(config) -> None:
    """Look at the headers and rows of all files that RecBole reads, and at the intervals: its models
    filter by columns of users and items too."""
    kinds = _loaded_kinds(config, "inter")
    for suffix in ("user", "item", *(config["additional_feat_suffix"] or ())):
        loaded = suffix in (config["load_col"] or (suffix,))
        if loaded and os.path.isfile(path_of(config, suffix)):
            require_aligned(config, suffix, "source")
            kinds |= _loaded_kinds(config, suffix)
    for field, interval in (config["val_interval"] or {}).items():
        if field in kinds:  # RecBole refuses others
            check_interval("source", field, kinds[field], interval)


def _loaded_kinds(config, suffix: str) -> dict[str, str]:
    """Types of those columns of a file that RecBole reads: of a name that two files have, one may
    be left out."""
    wanted = (config["load_col"] or {}).get(suffix) or "*"
    left_out = (config["unload_col"] or {}).get(suffix) or ()
    return {
        name: kind
        for name, kind in read_header(config, suffix, "source")
        if (wanted == "*" or name in wanted) and name not in left_out
    }


def _require_names_of_lists(dataset, fields: list[str]) -> None:
    """Rows of RecBole's models have a list of each column but the user's."""
    *_, time = fields
    others = [field for field in dataset.inter_feat if field not in fields]
    suffix = dataset.config["LIST_SUFFIX"]
    lists = {f"the list of {field}": field + suffix for field in (time, *others)}
    columns = {f"the column {field}": field for field in others}
    require_names(dataset.config, columns | lists)


def _require_rerankers(config, items: int) -> None:
    """RecBole's CPR models rank so many items anew; of several rerankers, each some of those
    of the one before it, whose scores a larger one would replace."""
    if "reranker_CAN_NUM" not in config:
        return
    given = config["reranker_CAN_NUM"]
    sizes = [
        int(size) if re.fullmatch(r"\s*[0-9]{1,9}\s*", size) else 0
        for size in str(given).split(",")
    ]
    if not all(a > b for a, b in pairwise([items + 1, *sizes, 0])):
        raise ConfigError(
            f"reranker_CAN_NUM must be a number of items of at most {items}, or several that "
            f"fall, such as '100,20', got {given!r}"
        )
