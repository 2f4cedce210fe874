"""What a suite can be told before it trains: what cannot be run, and what does not compare."""

from __future__ import annotations

import logging
import math

from recbole_peterrec import quick_start
from recbole_peterrec.config import Config
from recbole_peterrec.errors import UserError
from recbole_peterrec.runs.log import RunLog
from recbole_peterrec.runs.memory import unchecked
from recbole_peterrec.suite.plan import Entry, Suite
from recbole_peterrec.suite.scores import Scores, Value, unlike_stages
from recbole_peterrec.suite.tables import remarks

ANY = "any"  # metric of a stage


def foreseen(suite: Suite) -> list[str]:
    """Remarks on entries whose figures will not compare with the others'.

    The runs of the first seed are prepared for it, and let go. What a run takes from elsewhere, and
    does not judge itself, is seen when it has ended.

    Raises:
        UserError: settings, data, tasks or a model that cannot be, with the entry's name.
    """
    seed = suite.seeds[0]
    scores: Scores = {}
    for entry in suite.entries:
        logging.getLogger().info(f"{suite.name}: {entry.name} is checked")
        try:
            judges = _judges(suite, entry)
        except UserError as error:
            raise type(error)(f"{entry.name}: {error}") from error
        scores[entry.name] = {
            (stage, ANY): {seed: Value(math.nan, judge)}  # no figure yet
            for stage, judge in judges.items()
        }
    return remarks(unlike_stages(scores), [seed])


def _judges(suite: Suite, entry: Entry) -> dict[str, str]:
    """What the stages of an entry will be judged by. Its run is prepared on the CPU, whose memory
    is not that of its runs, and on weights that take no time."""
    settings = suite.config(entry, suite.seeds[0], use_gpu=False)
    config = Config(entry.model, suite.dataset, config_dict=settings)
    config = config.derive(embedding_init="random")
    with RunLog("ERROR").active(), unchecked():  # the run itself tells and checks
        prepared = quick_start.run_class(config)(config)
        stages = list(prepared.tasks)
        if prepared.learns_source():
            stages.insert(0, prepared.source)
        return {stage.name: stage.judged_by() for stage in stages}
