"""Weights and Biases, to which RecBole's trainers log with ``log_wandb``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from recbole_peterrec.config import Config
from recbole_peterrec.errors import ConfigError


@contextlib.contextmanager
def tracked(config: Config, run_dir: Path) -> Iterator[None]:
    """One run there for one of ours, with its files in the run directory; RecBole's trainers log to
    the one that they find.

    Raises:
        ConfigError: it cannot be begun.
    """
    if not config["log_wandb"]:
        yield
        return
    import wandb

    try:
        wandb.init(
            project=config["wandb_project"], dir=str(run_dir), config=config.resolved()
        )
    except (wandb.errors.Error, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"log_wandb: {reason}; set WANDB_MODE=offline, or leave log_wandb out"
        ) from error
    try:
        yield
    except BaseException:
        wandb.finish(exit_code=1)
        raise
    wandb.finish()
