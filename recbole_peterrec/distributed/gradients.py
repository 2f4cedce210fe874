"""Gradients summed over processes, in one exchange a step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist

from recbole_peterrec.distributed.exchange import gather_rows
from recbole_peterrec.distributed.group import exchanging

Buffers = dict[tuple[torch.device, torch.dtype], torch.Tensor]


class GradientSum:
    """Replaces each parameter's gradient by the sum over processes of theirs.

    Dense gradients of a type travel as one vector, which is kept between steps. A
    parameter that no process has a gradient of keeps none, so that an optimiser leaves it
    alone. What is not trained is never sent.
    """

    def __init__(self) -> None:
        self._buffers: Buffers = {}

    def __call__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Exchange; every process has the same parameters in the same order."""
        kinds: dict[tuple[torch.device, torch.dtype], list[torch.nn.Parameter]] = {}
        for parameter in parameters:
            if not parameter.requires_grad:
                continue
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = _sum_of_sparse(parameter.grad)
            else:
                key = parameter.device, parameter.dtype
                kinds.setdefault(key, []).append(parameter)
        for key, some in kinds.items():
            self._sum_dense(key, some)

    def _sum_dense(self, key, parameters: list[torch.nn.Parameter]) -> None:
        """One vector: the gradients, then for each how many processes have one.

        On GPUs these numbers travel apart, by gloo: it finds a process that has gone, which nccl
        would wait for, and the GPU is not waited for.
        """
        sizes = [parameter.numel() for parameter in parameters]
        length = sum(sizes) + len(sizes)
        buffer = self._buffers.get(key)
        if buffer is None or len(buffer) != length:
            buffer = torch.empty(length, device=key[0], dtype=key[1])
            self._buffers[key] = buffer
        *parts, present = buffer.split([*sizes, len(sizes)])
        have = torch.tensor([parameter.grad is not None for parameter in parameters])
        for part, parameter in zip(parts, parameters, strict=True):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad.reshape(-1))
        with exchanging():
            if buffer.is_cuda:
                present = have.int()
                dist.all_reduce(present)
                dist.all_reduce(buffer[: sum(sizes)])
            else:
                present.copy_(have)
                dist.all_reduce(buffer)
        counts = present.tolist()
        for part, parameter, count in zip(parts, parameters, counts, strict=True):
            if count:
                parameter.grad = part.view_as(parameter)


def _sum_of_sparse(grad: torch.Tensor) -> torch.Tensor:
    """Entries of all processes in one tensor, in which equal places stand for their sum."""
    grad = grad.coalesce()
    places, values = gather_rows(grad.indices().t(), grad.values())
    return torch.sparse_coo_tensor(
        torch.cat(places).t(), torch.cat(values), grad.shape, check_invariants=False
    ).coalesce()
