"""Cutting sequences into training windows, each target in exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Slices of one flat array of interactions, sorted by user and time.

    Attributes:
        start: ``[W]`` first position of each window.
        stop: ``[W]`` position after its last.
        targets: ``[W]`` how many of its last positions are targets; those before are context.
    """

    start: np.ndarray
    stop: np.ndarray
    targets: np.ndarray


def cut_windows(
    begin: np.ndarray,
    first: np.ndarray,
    stop: np.ndarray,
    max_length: int,
    overlap: int,
) -> Windows:
    """Cut runs of targets into windows of at most ``max_length`` inputs.

    A window of ``n + 1`` interactions has ``n`` inputs, and predicts each next one. Windows after
    a sequence's first repeat `overlap` interactions as context, so that their first targets see
    at least ``overlap + 1`` inputs.

    Args:
        begin: ``[R]`` position where each run's sequence begins (context never reaches before it).
        first: ``[R]`` position of the run's first target, after `begin`.
        stop: ``[R]`` position after its last target; a run without targets makes no window.
        max_length: inputs a window, at least 1.
        overlap: context interactions, ``0 .. max_length - 1``.

    Raises:
        ValueError: max_length or overlap out of range.
    """
    if max_length < 1 or not 0 <= overlap < max_length:
        raise ValueError(
            f"overlap {overlap} must be at least 0 and below max_length {max_length}"
        )
    keep = stop > first
    begin, first, stop = begin[keep], first[keep], stop[keep]
    head_start = np.maximum(begin, first - 1 - overlap)
    head_stop = np.minimum(stop, head_start + max_length + 1)
    step = max_length - overlap
    later = -(-(stop - head_stop) // step)  # ceiling
    run = np.repeat(np.arange(len(begin)), later + 1)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(later + 1) - later - 1, later + 1)
    target = np.where(nth == 0, first[run], head_stop[run] + (nth - 1) * step)
    window_start = np.where(nth == 0, head_start[run], target - 1 - overlap)
    window_stop = np.minimum(stop[run], window_start + max_length + 1)
    return Windows(window_start, window_stop, window_stop - target)
