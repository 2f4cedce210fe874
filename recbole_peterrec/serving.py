"""Use finished runs: one backbone in memory, any of their tasks by name."""

from __future__ import annotations

import contextlib
import numbers
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recbole_peterrec.errors import CheckpointError, DataError, did_you_mean
from recbole_peterrec.histories import Histories
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.stored.learner import open_learner, open_network
from recbole_peterrec.stored.listing import (
    missing_task,
    require_same_backbone,
    saved_tasks,
    told_tasks,
)
from recbole_peterrec.stored.networks import (
    PRETRAINING,
    is_learner,
    open_backbone,
    open_next_item,
    open_task,
)

AT_ONCE = 512  # users that are encoded together


@dataclass(frozen=True)
class _Served:
    """A task ready to score."""

    network: TaskNetwork
    labels: list[str]
    max_length: int


class UserModel:
    """A saved run, PeterRec's or Conure's; a task is opened when it is first asked for.

    Besides the tasks, ``pretraining`` predicts the next item of the source. Tasks of later runs
    on the same backbone are added by :meth:`add`. Threads may share a model; of a Conure run,
    whose one encoder is set to the task that is asked for, they wait for each other.

    Args:
        run_dir: directory of a finished run. Of a link, the run that it leads to now is served.
        device: on which it computes, such as ``cuda:0``.

    Raises:
        CheckpointError: files missing, damaged or not fitting each other.
    """

    def __init__(self, run_dir: str | Path, device: torch.device | str = "cpu") -> None:
        self.run_dir = _settled(run_dir)
        self.device = torch.device(device)
        self._learner: Learner | None = None
        self._viewed: str | None = None
        if is_learner(self.run_dir):
            self._learner, self._headers, header = open_learner(self.run_dir)
            self._encoder = self._learner.encoder
        else:
            self._encoder, header = open_backbone(self.run_dir)
        self._backbone = header
        self._encoder.to(self.device)
        items = self._encoder.architecture.items
        self._histories = Histories(self.run_dir, header, items)
        self._added: dict[str, Path] = {}  # where the tasks of other runs are
        self._served: dict[str, _Served] = {}
        self._lock = threading.RLock()

    def add(self, run_dir: str | Path, replace: bool = False) -> None:
        """Serve the tasks of another run too, which learned them on the same backbone.

        Such a run began with ``pretrained_path``, here or at a run that began so. Its copy of the
        backbone is neither read nor needed. Other threads may be asking meanwhile.

        Args:
            run_dir: directory of the run; tasks that it saves later are not served.
            replace: whether a task whose name there is already takes its place.

        Raises:
            CheckpointError: another backbone, no tasks, one whose folder is missing, or a name that
                there is already; nothing is added then. Damage in a task's own files shows when it
                is first asked for.
        """
        run_dir = _settled(run_dir)
        if self._learner is not None:
            raise CheckpointError(
                f"{self.run_dir} holds a Conure learner, to which --continue_from adds tasks; open "
                f"{run_dir} as a model of its own"
            )
        require_same_backbone(run_dir, self._backbone, self.run_dir)
        names = saved_tasks(run_dir)
        for task in told_tasks(run_dir):
            if task not in names:  # that of an earlier run would be served instead
                raise CheckpointError(missing_task(run_dir, task))
        if not names:
            raise CheckpointError(f"{run_dir} has no tasks to add")
        with self._lock:
            places = self._places()
            taken = [name for name in names if name in places]
            if taken and not replace:
                raise CheckpointError(
                    f"{run_dir}: there is a task {taken[0]!r} already, of {places[taken[0]]}; "
                    f"replace=True serves the new one instead"
                )
            # Anew: threads may be reading the old one.
            self._added = self._added | dict.fromkeys(names, run_dir)
            for name in taken:
                self._served.pop(name, None)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order in which the run learned them, then those of added runs.

        Where results.json does not tell the order, or is missing, it is that of their names.
        """
        return list(self._places())

    def knows(self, history: Sequence[str]) -> bool:
        """Whether a history has an item that the backbone knows, which :meth:`scores` needs.

        Raises:
            DataError: something else than a list of texts or whole numbers.
        """
        return bool(self._histories.of_user(history, "the history"))

    def labels(self, task: str) -> list[str]:
        """Tokens of a task's labels, in the order of the columns of :meth:`scores`."""
        return list(self._open(task).labels)

    @torch.inference_mode()
    def scores(self, task: str, histories: Sequence[Sequence[str]]) -> torch.Tensor:
        """Score every label for every user, however many.

        Args:
            task: name of a task of the run, or ``pretraining``.
            histories: item tokens of each user in the order of time, at least one known item;
                unknown items are left out.

        Returns:
            ``[users, labels]``, on the CPU; of a profile task, ``softmax`` makes them probabilities.

        Raises:
            DataError: no user, something else than lists of texts or whole numbers, or a history
                without any known item.
            CheckpointError: no such task, or damaged files.
        """
        return self._scores(self._open(task), task, histories)

    def _scores(
        self, served: _Served, task: str, histories: Sequence[Sequence[str]]
    ) -> torch.Tensor:
        users = self._histories.of_users(histories)
        rows = [torch.tensor(ids[-served.max_length :]) for ids in users]
        scores = torch.cat(
            [
                self._scores_of(task, served.network, rows[start : start + AT_ONCE])
                for start in range(0, len(rows), AT_ONCE)
            ]
        )
        return scores[:, 1:] if task == PRETRAINING else scores  # column 0 is padding

    @torch.inference_mode()
    def top(
        self, task: str, history: Sequence[str], number: int = 5
    ) -> list[tuple[str, float]]:
        """The best labels of one user with their scores, best first.

        Args:
            task: as of :meth:`scores`.
            history: the user's item tokens.
            number: of labels, at least 1; fewer where there are not so many.

        Raises:
            DataError: a number below 1, or as of :meth:`scores`.
            CheckpointError: as of :meth:`scores`.
        """
        whole = isinstance(number, numbers.Integral) and not isinstance(number, bool)
        if not whole or number < 1:
            raise DataError(
                f"number must be a whole number of at least 1, got {number!r}"
            )
        # Once: another run's task may take its place meanwhile.
        served = self._open(task)
        scores = self._scores(served, task, [history])[0]
        best = scores.topk(min(int(number), len(scores)))
        return [
            (served.labels[i], score)
            for i, score in zip(
                best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]

    def _scores_of(
        self, task: str, network: TaskNetwork, rows: list[torch.Tensor]
    ) -> torch.Tensor:
        """Of a few users by the ids of their items."""
        lengths = torch.tensor([len(row) for row in rows])
        items = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        with self._viewing(task):
            return network.scores(items.to(self.device), lengths.to(self.device)).cpu()

    @contextlib.contextmanager
    def _viewing(self, task: str) -> Iterator[None]:
        """Keep a learner's encoder set to a task meanwhile."""
        if self._learner is None:
            yield
            return
        with self._lock:
            if self._viewed != task:
                self._learner.view(task)
                self._viewed = task
            yield

    def _places(self) -> dict[str, Path]:
        """The run directory of each task."""
        if self._learner is not None:
            return dict.fromkeys(self._headers, self.run_dir)
        return dict.fromkeys(saved_tasks(self.run_dir), self.run_dir) | self._added

    def _open(self, task: str) -> _Served:
        served = self._served.get(task) if isinstance(task, str) else None
        if served is not None:  # whatever another thread loads meanwhile
            return served
        # A network in the making marks on the shared encoder what it was trained with.
        with self._lock:
            if not isinstance(task, str) or task not in self._served:
                places = self._places() | {PRETRAINING: self.run_dir}
                if not isinstance(task, str) or task not in places:
                    raise CheckpointError(self._missing(task, list(places)))
                self._served[task] = self._load(task, places[task])
            return self._served[task]

    def _missing(self, task: object, known: list[str]) -> str:
        """What to tell who asks for a task that there is not."""
        if self._learner is None and task in told_tasks(self.run_dir):
            return missing_task(self.run_dir, task)
        return f"{self.run_dir} has no task {task!r}{did_you_mean(str(task), known)}"

    def _load(self, task: str, run_dir: Path) -> _Served:
        if self._learner is not None:  # all of it is in memory
            header = self._headers.get(task, self._backbone)
            network = open_network(self._learner, task, header, run_dir)
        elif task == PRETRAINING:
            network, header = open_next_item(run_dir, self._encoder, self._backbone)
        else:
            network, header = open_task(run_dir, task, self._encoder, self._backbone)
        labels = self._histories.tokens if task == PRETRAINING else header["labels"]
        network.to(self.device).eval()
        return _Served(network, labels, header["max_length"])


def _settled(run_dir: str | Path) -> Path:
    """Where a run is, whatever becomes of links and of the working directory."""
    return Path(os.path.realpath(run_dir))
