"""Scalars and hyperparameters for TensorBoard, written at once by the thread that has them."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams, scalar

from recbole_peterrec.distributed import group
from recbole_peterrec.writing import writing

_numbers = itertools.count()  # of this process's files


class EventFile:
    """What RecBole's trainers ask of torch's ``SummaryWriter``, whose thread would print
    tracebacks when a disk is full. Nothing is open between two writes.

    Of several processes, the first writes.

    Args:
        folder: of the file, made if it is missing.

    Raises:
        WriteError: here and in each method, the system refuses.
    """

    def __init__(self, folder: str | Path) -> None:
        name = f"{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
        self.path = Path(folder, f"events.out.tfevents.{name}.{next(_numbers)}")
        self._write(file_version="brain.Event:2")

    def add_scalar(self, tag: str, value: float, step: int | None = None) -> None:
        """A point of a curve."""
        self._write(summary=scalar(tag, value), step=step)

    def add_hparams(self, values: dict[str, Any], metrics: dict[str, float]) -> None:
        """Hyperparameters and what they reached, as a run of its own below this one."""
        run = EventFile(self.path.parent / str(time.time()))
        for summary in hparams(values, metrics):
            run._write(summary=summary)
        for tag, value in metrics.items():
            run.add_scalar(tag, value)

    def close(self) -> None:
        """Nothing."""

    def _write(self, **content: Any) -> None:
        if not group.is_first():
            return
        event = Event(wall_time=time.time(), **content)
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
