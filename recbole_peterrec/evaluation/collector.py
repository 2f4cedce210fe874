"""RecBole's collector, by ranks that were counted: no sorting of scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from recbole.evaluator import Collector, metric_types

from recbole_peterrec.distributed import exchange
from recbole_peterrec.errors import ConfigError

RANKING = {"hit", "mrr", "ndcg", "recall", "precision", "map"}


def require_ranking(metrics: Iterable[str]) -> None:
    """Refuse RecBole's metrics that need more than ranks.

    Raises:
        ConfigError: names the first.
    """
    others = set(metric_types) - RANKING
    for metric in metrics:
        if str(metric).lower() in others:
            raise ConfigError(
                f"metrics: {metric} is not a measure of one target's rank; use "
                f"{', '.join(sorted(RANKING))}"
            )


class RankCollector(Collector):
    """Gives RecBole's metrics where each row's one target is among the best K.

    RecBole takes ``topk`` of the scores, which orders equal ones arbitrarily: a model that gives
    every item the same score may come out perfect. Here the trainer counts ranks
    (:mod:`recbole_peterrec.evaluation.ranks`) and hands those over.

    Of several processes, each has counted those of its batches
    (:class:`recbole_peterrec.data.sharing.EvaluationLoader`); all get all, in the order of
    the rows.

    Raises:
        ConfigError: metrics that need more than ranks.
    """

    def __init__(self, config) -> None:
        super().__init__(config)
        require_ranking(config["metrics"])
        self._ranks: list[torch.Tensor] = []

    def eval_batch_collect(
        self, scores_tensor, interaction, positive_u, positive_i
    ) -> None:
        """Collect a batch; `scores_tensor` is the ``[B]`` ranks of the positives, 1 the best."""
        self._ranks.append(scores_tensor.cpu())

    def get_data_struct(self):
        """What RecBole's evaluator reads; what was collected is forgotten."""
        ranks, self._ranks = in_order(self._ranks), []
        places = torch.arange(1, max(self.topk) + 1)
        hits = (ranks.unsqueeze(1) == places).int()
        one = torch.ones_like(hits[:, :1])
        self.data_struct.set("rec.topk", torch.cat([hits, one], dim=1))
        return super().get_data_struct()


def in_order(batches: list[torch.Tensor]) -> torch.Tensor:
    """Ranks of all rows, from batches that processes took in turn.

    Args:
        batches: ``[B]`` ranks in each of this process's.

    Returns:
        ``[N]``, batch after batch.
    """
    own = torch.cat([torch.zeros(0, dtype=torch.long), *batches])
    sizes = torch.tensor([len(batch) for batch in batches], dtype=torch.long)
    parts = [
        ranks.split(lengths.tolist()) if len(lengths) else ()
        for ranks, lengths in zip(
            exchange.gather(own), exchange.gather(sizes), strict=True
        )
    ]
    turns = itertools.zip_longest(*parts, fillvalue=own[:0])
    return torch.cat([ranks for turn in turns for ranks in turn])
