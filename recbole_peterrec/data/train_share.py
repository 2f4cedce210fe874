"""Which instances of a training split are learned: a seeded share, within every larger one."""

from __future__ import annotations

import numpy as np


def learned_rows(rows: int, share: float, seed: int) -> np.ndarray:
    """The rows that a share keeps; those of a smaller share of the same rows are among them.

    Args:
        rows: of the training split.
        share: of them that is kept, above 0 and up to 1.
        seed: chooses them.

    Returns:
        ``[round(share * rows)]`` row numbers, increasing; all of them with share 1.
    """
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[: round(share * rows)])
