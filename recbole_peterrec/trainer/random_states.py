"""States of the random generators that a training draws from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """States of every generator that a training draws from, as plain data and tensors.

    A GPU's is asked for only where this process uses one: asking would make it do so.
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [],
        "numpy": [kind, keys.tolist(), position, has_gauss, gauss],
        "python": [version, list(internal), gauss_next],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the generators where :func:`random_states` found them.

    A GPU's stays as it is if there was none, and is passed over if none is used now.
    """
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_initialized():
        for state in states["cuda"]:
            torch.cuda.set_rng_state(state.cpu())
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
