"""Use a finished run: one network in memory, any of its tasks by name."""

from __future__ import annotations

import contextlib
import numbers
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.data.vocabulary import tokens_digest
from recbole_peterrec.errors import CheckpointError, DataError, did_you_mean
from recbole_peterrec.model.learner import Learner
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.stored.learner import is_learner, open_learner, open_network
from recbole_peterrec.stored.networks import (
    PRETRAINING,
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

    Besides the tasks, ``pretraining`` predicts the next item of the source. Threads may share a
    model; of a Conure run, whose one encoder is set to the task that is asked for, they wait for
    each other.

    Args:
        run_dir: directory of a finished run.
        device: on which it computes, such as ``cuda:0``.

    Raises:
        CheckpointError: files missing, damaged or not fitting each other.
    """

    def __init__(self, run_dir: str | Path, device: torch.device | str = "cpu") -> None:
        self.run_dir = Path(run_dir)
        self.device = torch.device(device)
        self._learner: Learner | None = None
        self._viewed: str | None = None
        if is_learner(run_dir):
            self._learner, self._headers, header = open_learner(run_dir)
            self._encoder = self._learner.encoder
        else:
            self._encoder, header = open_backbone(run_dir)
        self._encoder.to(self.device)
        tokens = load_json(self.run_dir / "vocabulary.json").get("items")
        told = header["vocabulary"].get("sha256")
        texts = isinstance(tokens, list) and all(isinstance(t, str) for t in tokens)
        if (
            not texts
            or len(tokens) != self._encoder.architecture.items - 1
            or tokens_digest(tokens) != told
        ):
            raise CheckpointError(
                f"{self.run_dir}: vocabulary.json does not fit its backbone"
            )
        self._ids = {token: i for i, token in enumerate(tokens, 1)}
        self._served: dict[str, _Served] = {}
        self._lock = threading.RLock()

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that the run has learned, in the order in which it learned them.

        Where results.json does not tell the order, or is missing, it is that of their names.
        """
        if self._learner is not None:
            return list(self._headers)
        saved = {path.parent.name for path in self.run_dir.glob("tasks/*/task.json")}
        file = self.run_dir / "results.json"
        order = load_json(file).get("tasks") if file.is_file() else None
        order = order if isinstance(order, dict) else {}
        learned = [name for name in order if name in saved]
        return learned + sorted(saved.difference(learned))

    def labels(self, task: str) -> list[str]:
        """Tokens of a task's labels, in the order of the columns of :meth:`scores`."""
        return self._open(task).labels

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
        if not _is_list(histories) or not len(histories):
            raise DataError(
                f"histories must be lists of item tokens, got {histories!r}"
            )
        served = self._open(task)
        rows = []
        for number, history in enumerate(histories):
            if not _is_list(history):
                raise DataError(
                    f"history {number} must be a list of item tokens, got {history!r}"
                )
            tokens = history.tolist() if hasattr(history, "tolist") else history
            for token in tokens:
                if not isinstance(token, (str, numbers.Integral)):
                    raise DataError(
                        f"history {number}: item tokens are texts or whole numbers, got {token!r}"
                    )
            ids = [self._ids[str(token)] for token in tokens if str(token) in self._ids]
            if not ids:
                raise DataError(f"history {number} has no item that the backbone knows")
            rows.append(torch.tensor(ids[-served.max_length :]))
        scores = torch.cat(
            [
                self._scores_of(task, served.network, rows[start : start + AT_ONCE])
                for start in range(0, len(rows), AT_ONCE)
            ]
        )
        return scores[:, 1:] if task == PRETRAINING else scores  # column 0 is padding

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
        scores = self.scores(task, [history])[0]
        best = scores.topk(min(int(number), len(scores)))
        labels = self.labels(task)
        return [
            (labels[i], score)
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

    def _open(self, task: str) -> _Served:
        # A network in the making marks on the shared encoder what it was trained with.
        with self._lock:
            if not isinstance(task, str) or task not in self._served:
                known = [*self.tasks, PRETRAINING]
                if task not in known:
                    raise CheckpointError(
                        f"{self.run_dir} has no task {task!r}{did_you_mean(str(task), known)}"
                    )
                self._served[task] = self._load(task)
            return self._served[task]

    def _load(self, task: str) -> _Served:
        if task == PRETRAINING:
            network, header = open_next_item(self.run_dir, self._encoder)
            network.to(self.device).eval()
            return _Served(network, list(self._ids), header["max_length"])
        if self._learner is not None:
            header = self._headers[task]
            network = open_network(self._learner, task, header, self.run_dir)
        else:
            network, header = open_task(self.run_dir, task, self._encoder)
        network.to(self.device).eval()
        return _Served(network, header["labels"], header["max_length"])


def _is_list(value: object) -> bool:
    """Whether a value has an order and a length; a text, whose letters may be items, is none."""
    if getattr(value, "ndim", 1) == 0:  # an array of one number
        return False
    ordered = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return ordered and not isinstance(value, (str, bytes, Mapping))
