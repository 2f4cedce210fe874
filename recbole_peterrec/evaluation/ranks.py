"""The rank of each row's target; ties count against it, and so does what is no number."""

from __future__ import annotations

import torch

from recbole_peterrec.nn.ranking import ranks

ROWS = 256  # whose candidates' weights are gathered at once


def ranks_by_scores(
    scores: torch.Tensor,
    targets: torch.Tensor,
    candidates: torch.Tensor | None = None,
) -> torch.Tensor:
    """Ranks among all labels, or among candidates, from all scores.

    Args:
        scores: ``[B, V + 1]``; column 0 is RecBole's padding and never ranked.
        targets: ``[B]`` ids.
        candidates: ``[B, n]`` ids, none of them a row's target; None ranks all labels.

    Returns:
        ``[B]``, 1 the best: the number of ranked labels whose score is at least the
        target's own. A target whose score is not a number is last.
    """
    target = scores.gather(1, targets.unsqueeze(1))
    others = scores[:, 1:]
    if candidates is not None:
        others = torch.cat([target, scores.gather(1, candidates)], dim=1)
    return _place(target, others)


@torch.no_grad()
def ranks_by_states(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    targets: torch.Tensor,
    candidates: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same from states, without the scores of all labels.

    Args:
        states: ``[B, k]``.
        weight: ``[V, k]`` of the labels with ids ``1 .. V``.
        bias: ``[V]``.
        targets: ``[B]`` ids.
        candidates: as in :func:`ranks_by_scores`.
    """
    if candidates is None:
        return ranks(states, weight, bias, targets - 1)
    ranked = torch.cat([targets.unsqueeze(1), candidates], dim=1) - 1
    found = [
        _place(scores[:, :1], scores)
        for scores in (
            torch.einsum("bk,bnk->bn", state, weight[labels]) + bias[labels]
            for state, labels in zip(
                states.split(ROWS), ranked.split(ROWS), strict=True
            )
        )
    ]
    return torch.cat(found)


def _place(target: torch.Tensor, ranked: torch.Tensor) -> torch.Tensor:
    """``[B]`` ranks of ``[B, 1]`` scores among ``[B, n]``, of which each is one."""
    rank = (ranked >= target).sum(1)
    return rank.masked_fill(target.squeeze(1).isnan(), ranked.shape[1])
