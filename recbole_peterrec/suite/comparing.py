"""What a suite can be told before it trains: what cannot be run, and what does not compare."""

from __future__ import annotations

import logging
from typing import Any

from recbole_peterrec import quick_start
from recbole_peterrec.config import Config
from recbole_peterrec.errors import UserError
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.memory import unchecked
from recbole_peterrec.stored.networks import PRETRAINING
from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.scores import scores_of, unlike_stages
from recbole_peterrec.suite.tables import remarks


def foreseen(suite: Suite) -> list[str]:
    """Remarks on entries whose figures will not compare with the others'.

    The runs of the first seed are prepared for it, and let go. What a run takes from elsewhere, and
    does not judge itself, is seen when it has ended.

    Raises:
        UserError: settings, data, tasks or a model that cannot be, with the entry's name.
    """
    seed = suite.seeds[0]
    prepared = {}
    for entry in suite.entries:
        logging.getLogger().info(f"{suite.name}: {entry.name} is checked")
        try:
            prepared[entry.name] = {seed: _prepared(suite, entry)}
        except UserError as error:
            raise type(error)(f"{entry.name}: {error}") from error
    return remarks(unlike_stages(scores_of(prepared)), [seed])


def _prepared(suite: Suite, entry: Entry) -> dict[str, Any]:
    """As ``results.json``, what the stages of an entry will be judged by. It is prepared on the
    CPU, whose memory is not that of its runs, and on weights that take no time."""
    settings = suite.config(entry, suite.seeds[0], use_gpu=False)
    config = Config(entry.model, suite.dataset, config_dict=settings)
    config = config.derive(embedding_init="random")
    with RunLog("ERROR").active(), unchecked():  # the run itself tells and checks
        prepared = quick_start.run_class(config)(config)
        judged = {stage.name: stage.judged_by() for stage in prepared.tasks}
        if prepared.learns_source():
            judged[PRETRAINING] = prepared.source.judged_by()
    records = {
        stage: {"test": {"any": 0.0}, "judged_by": by} for stage, by in judged.items()
    }
    return {"pretrain": records.pop(PRETRAINING, {}), "tasks": records}
