"""Which figures of a suite compare: those of stages that are judged by the same."""

from __future__ import annotations

import logging

from recbole_peterrec import quick_start
from recbole_peterrec.config import Config
from recbole_peterrec.errors import UserError
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.memory import unchecked
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite import report
from recbole_peterrec.suite.plan import Entry, Suite


def unlike_stages(suite: Suite) -> report.Unlike:
    """Which stages of which entries are judged by others than those of the entry before them that
    has such a stage.

    The runs of the first seed are prepared for it, and let go: what cannot be shows before hours of
    training.

    Raises:
        UserError: settings, data, tasks or a model that cannot be, with the entry's name.
    """
    first: dict[str, tuple[str, str]] = {}
    unlike: dict[str, dict[str, str]] = {}
    for entry in suite.entries:
        logging.getLogger().info(f"{suite.name}: {entry.name} is checked")
        try:
            stages = _judged(suite, entry)
        except UserError as error:
            raise type(error)(f"{entry.name}: {error}") from error
        for stage, judged in stages.items():
            other, expected = first.setdefault(stage, (entry.name, judged))
            if judged != expected:
                unlike.setdefault(entry.name, {})[stage] = other
    for remark in report.remarks(unlike):
        logging.getLogger().warning(remark)
    return unlike


def _judged(suite: Suite, entry: Entry) -> dict[str, str]:
    """What each stage of an entry is tested on: digests. It is prepared on the CPU."""
    settings = suite.config(entry, suite.seeds[0], use_gpu=False)
    config = Config(entry.model, suite.dataset, config_dict=settings)
    with RunLog("ERROR").active(), unchecked():  # the run itself tells and checks
        prepared = quick_start.run_class(config)(config)
        tasks = {stage.task.name: stage for stage in getattr(prepared, "tasks", ())}
        judged = {name: stage.judged_by() for name, stage in tasks.items()}
        if config["pretrained"] is not False or not tasks:
            judged[PRETRAINING] = prepared.source.judged_by()
    return judged
