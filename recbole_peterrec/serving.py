"""Use a finished run: one backbone in memory, any of its tasks by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from recbole_peterrec.checkpoint import load_json
from recbole_peterrec.errors import CheckpointError, DataError, did_you_mean
from recbole_peterrec.model.task_network import TaskNetwork
from recbole_peterrec.saved_model import open_backbone, open_task


class UserModel:
    """A saved backbone with its tasks; a task's weights are read when it is first asked for.

    Args:
        run_dir: directory of a finished run.

    Raises:
        CheckpointError: files missing, damaged or not fitting each other.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self._encoder, _ = open_backbone(run_dir)
        tokens = load_json(self.run_dir / "vocabulary.json").get("items")
        if (
            not isinstance(tokens, list)
            or len(tokens) != self._encoder.architecture.items - 1
        ):
            raise CheckpointError(
                f"{self.run_dir}: vocabulary.json does not fit its backbone"
            )
        self._ids = {token: i for i, token in enumerate(tokens, 1)}
        self._tasks: dict[str, tuple[TaskNetwork, dict]] = {}

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that the run has learned."""
        return sorted(
            path.parent.name for path in self.run_dir.glob("tasks/*/task.json")
        )

    def labels(self, task: str) -> list[str]:
        """Tokens of a task's labels, in the order of the columns of :meth:`scores`."""
        return self._open(task)[1]["labels"]

    @torch.inference_mode()
    def scores(self, task: str, histories: Sequence[Sequence[str]]) -> torch.Tensor:
        """Score every label for every user.

        Args:
            task: name of a task of the run.
            histories: item tokens of each user in the order of time, at least one known item;
                unknown items are left out.

        Returns:
            ``[users, labels]``; of a profile task, ``softmax`` makes them probabilities.

        Raises:
            DataError: a history without any known item.
            CheckpointError: no such task, or damaged files.
        """
        network, header = self._open(task)
        rows = []
        for number, history in enumerate(histories):
            ids = [
                self._ids[str(token)] for token in history if str(token) in self._ids
            ]
            if not ids:
                raise DataError(f"history {number} has no item that the backbone knows")
            rows.append(torch.tensor(ids[-header["max_length"] :]))
        lengths = torch.tensor([len(row) for row in rows])
        items = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return network.scores(items, lengths)

    def top(
        self, task: str, history: Sequence[str], number: int = 5
    ) -> list[tuple[str, float]]:
        """The best labels of one user with their scores, best first."""
        scores = self.scores(task, [history])[0]
        best = scores.topk(min(number, len(scores)))
        labels = self.labels(task)
        return [
            (labels[i], score)
            for i, score in zip(
                best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]

    def _open(self, task: str) -> tuple[TaskNetwork, dict]:
        if task not in self._tasks:
            if task not in self.tasks:
                raise CheckpointError(
                    f"{self.run_dir} has no task {task!r}{did_you_mean(task, self.tasks)}"
                )
            network, header = open_task(self.run_dir, task, self._encoder)
            self._tasks[task] = network.eval(), header
        return self._tasks[task]
