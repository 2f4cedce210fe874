"""What a user asks for: one run, or a suite of them."""

from __future__ import annotations

import os
import threading
from typing import Any

from recbole_peterrec import quick_start
from recbole_peterrec.config import Config
from recbole_peterrec.distributed import group
from recbole_peterrec.errors import ConfigError
from recbole_peterrec.results import table
from recbole_peterrec.suite import experiments
from recbole_peterrec.suite.plan import is_suite, plan
from recbole_peterrec.suite.tables import tables

_alone = threading.RLock()


def _renew() -> None:
    global _alone
    _alone = threading.RLock()


if hasattr(
    os, "register_at_fork"
):  # the thread that holds it is not in a forked process
    os.register_at_fork(after_in_child=_renew)


def run(
    model: str | None = None,
    dataset: str | None = None,
    config_file_list: list[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    arguments: list[str] | None = None,
) -> dict[str, Any]:
    """Train and evaluate a model, and write a run directory; or several, with several seeds.

    Args:
        model: ``PeterRec`` or a strategy of it (``FineAll``, ...), a backbone (``NextItNetAR``,
            ``GRec``), ``Conure``, or any sequential model of RecBole. None takes the key
            ``model`` of the files or the dict, or ``PeterRec``. Not for a suite, which names its
            own.
        dataset: name of a RecBole dataset; None takes the key, or ``ml-100k``.
        config_file_list: yaml files, later ones win.
        config_dict: keys from Python; win over files.
        arguments: flags ``--key=value``; win over all, but may not name another model or dataset.

    With ``nproc`` (RecBole's) above 1, so many processes are started and share the work; a script
    that asks for them needs ``if __name__ == "__main__":``. Under torchrun, each process calls
    this and gets the outcome. Calls from several threads run one after the other: random numbers
    and the working directory are the whole process's.

    Returns:
        RecBole's four keys ``best_valid_score``, ``valid_score_bigger``, ``best_valid_result`` and
        ``test_result`` (of the model, or of the pretraining), and ``results`` (what results.json
        holds) and ``run_dir``. With the key ``suite`` or ``seeds``, ``results`` is what suite.json
        holds, and RecBole's four are left out.

    Raises:
        UserError: anything that a user can mend; the message is one line.
    """
    given = model, dataset, config_file_list, config_dict, arguments
    with _alone, group.joined_from_environment():
        config = Config(*given)
        goes_on = experiments.holds_suite(config["resume"])
        if not goes_on and not is_suite(config):
            return quick_start.carry_out(config, given)
        if group.member() is not None:
            raise ConfigError(
                "a suite starts the processes of its runs by itself: leave torchrun out, and give "
                "--nproc=N"
            )
        if config["world_size"] not in (None, -1, config["nproc"]):
            raise ConfigError(
                f"a suite runs on one machine: leave world_size out, got {config['world_size']}"
            )
        if goes_on:
            return experiments.go_on(config, model, dataset)
        if config["resume"]:
            raise ConfigError(
                "resume takes up what was begun; leave out suite and seeds"
            )
        return experiments.begin(plan(config, model), config)


def told(outcome: dict[str, Any]) -> str:
    """What the command line prints of an outcome: tables, and where all is."""
    results = outcome["results"]
    text = tables(results) if "means" in results else table(results)
    return f"\n{text}\n\nrun directory: {outcome['run_dir']}"
