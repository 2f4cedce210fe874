"""Averages of weights over the steps of a training, which are calmer than its last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class WeightAverage:
    """Exponential moving average of trained weights, put in their place while they are judged.

    After ``t`` steps the average is ``sum_i d^(t-i) w_i / sum_i d^(t-i)`` (Polyak and Juditsky,
    1992, with forgetting; corrected for its start as Adam's moments are).

    Args:
        parameters: what is averaged.
        decay: ``d``, at least 0 and below 1; about the last ``1 / (1 - d)`` steps count.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.weight = 0.0  # sum_i d^(t-i) (1 - d)
        self.sums = [torch.zeros_like(p) for p in self.parameters]
        self.trained: list[torch.Tensor] | None = None

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.weight = self.decay * self.weight + (1 - self.decay)
        for mean, parameter in zip(self.sums, self.parameters, strict=True):
            mean.mul_(self.decay).add_(parameter, alpha=1 - self.decay)

    @torch.no_grad()
    def use(self) -> None:
        """Put the averages in the weights' place, until :meth:`train_on`."""
        if self.trained is None and self.weight:
            self.trained = [p.clone() for p in self.parameters]
            for mean, parameter in zip(self.sums, self.parameters, strict=True):
                parameter.copy_(mean / self.weight)

    @torch.no_grad()
    def train_on(self) -> None:
        """Put the trained weights back in place."""
        if self.trained is not None:
            for trained, parameter in zip(self.trained, self.parameters, strict=True):
                parameter.copy_(trained)
            self.trained = None

    def state(self) -> dict[str, Any]:
        """Plain data and tensors, for going on later."""
        return {"weight": self.weight, "sums": self.sums, "trained": self.trained}

    def load(self, state: dict[str, Any]) -> None:
        """Be as :meth:`state` was, wherever that lay; the parameters are loaded elsewhere."""
        self.weight = state["weight"]
        self.sums = self._beside_parameters(state["sums"])
        self.trained = None
        if state["trained"] is not None:
            self.trained = self._beside_parameters(state["trained"])

    def _beside_parameters(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        pairs = zip(tensors, self.parameters, strict=True)
        return [tensor.to(parameter.device) for tensor, parameter in pairs]
