"""The command line, with a process (WHO, a rank) that fails as it trains (HOW); or TWICE."""

from __future__ import annotations

import os
import sys

from recbole_peterrec.cli import command, main
from recbole_peterrec.distributed import group
from recbole_peterrec.errors import TrainingError
from recbole_peterrec.trainer.base import BackboneTrainer

ERRORS = {"user": TrainingError, "bug": ZeroDivisionError}
TRAIN = BackboneTrainer._train_epoch


def fail(self, *args, **kwargs):
    if group.rank() == int(os.environ["WHO"]):
        raise ERRORS[os.environ["HOW"]]("the reason")
    return TRAIN(self, *args, **kwargs)


if __name__ == "__main__":
    if "TWICE" in os.environ:
        for run_dir in ("first", "second"):
            assert main([*sys.argv[1:], f"--run_dir={run_dir}"]) == 0
    else:
        BackboneTrainer._train_epoch = fail
        command()
