"""Adam on large tables by rows: what a step does not touch costs nothing, and does not move."""

from __future__ import annotations

from typing import Any

import torch

from recbole_peterrec.errors import ConfigError


def update_rows(optimizer: torch.optim.Adam) -> torch.optim.Adam:
    """Let an Adam take sparse gradients, whose rows it updates before all other parameters.

    The update is that of :class:`torch.optim.SparseAdam`: Adam's (Kingma and Ba, 2015, Algorithm
    1) on the rows that have a gradient, with moments that decay when their row is touched, and
    the corrections of the optimiser's step. Moments lie in the optimiser's own state, so that it
    saves, loads and schedules them like any others.

    Args:
        optimizer: without weight decay on what gets sparse gradients.

    Returns:
        The same object.

    Raises:
        ConfigError: no Adam, or weight decay on what gets sparse gradients (at its first step).
    """
    if type(optimizer) is not torch.optim.Adam:
        raise ConfigError(
            f"table_updates rows needs learner adam, not {type(optimizer).__name__}"
        )
    optimizer.register_step_pre_hook(_step_by_rows)
    return optimizer


def _step_by_rows(optimizer: torch.optim.Adam, *_: Any) -> None:
    """Use up the sparse gradients, so that Adam's own step finds the dense ones only."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.grad.is_sparse:
                if group["weight_decay"]:
                    raise ConfigError("table_updates rows needs weight_decay 0")
                state = optimizer.state[parameter]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                # A resumed fused Adam's lies on the GPU, which each step would wait for.
                state["step"] = state["step"].cpu()
                _update(parameter, state, group)
                parameter.grad = None


@torch.no_grad()
def _update(
    table: torch.Tensor, state: dict[str, torch.Tensor], group: dict[str, Any]
) -> None:
    """One step of Adam on the rows of ``[V, ...]`` that its gradient holds."""
    grad = table.grad.coalesce()  # an item's gradients in one row
    rows, values = grad.indices()[0], grad.values()
    # A row that was read, but on which no loss depends, is not touched.
    moved = values.flatten(1).any(1) if values.dim() > 1 else values != 0
    moved = moved.nonzero().squeeze(1)  # a GPU is waited for once, not for each mask
    rows, values = rows[moved], values[moved]
    tables = table, state["exp_avg"], state["exp_avg_sq"]
    weight, first, second = (whole.index_select(0, rows) for whole in tables)
    decay1, decay2 = group["betas"]
    state["step"] += 1
    step = state["step"].item()
    first.lerp_(values, 1 - decay1)
    second.mul_(decay2).addcmul_(values, values, value=1 - decay2)
    scale = (second / (1 - decay2**step)).sqrt_().add_(group["eps"])
    weight.addcdiv_(first, scale, value=-group["lr"] / (1 - decay1**step))
    for whole, some in zip(tables, (weight, first, second), strict=True):
        whole.index_copy_(0, rows, some)
