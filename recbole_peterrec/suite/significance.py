"""How sure a mean over seeds is, and whether two models differ on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

DIGITS = 4  # of RecBole's metrics, unless `metric_decimal_place` says otherwise


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: it.
        standard_error: of the mean; None of one seed.
        seeds: how many there are.
        p: of a paired t-test that the mean of differences is 0; None where there is no such test:
            of one seed, or of differences that are all the same but for rounding.
    """

    mean: float
    standard_error: float | None
    seeds: int
    p: float | None = None


def estimate(values: Mapping[int, float]) -> Estimate:
    """Mean and standard error of values by seed, of which there is at least one."""
    numbers = np.array(list(values.values()), dtype=float)
    error = None
    if len(numbers) > 1:
        error = float(numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return Estimate(float(numbers.mean()), error, len(numbers))


def difference(
    one: Mapping[int, float], other: Mapping[int, float], digits: int = DIGITS
) -> Estimate | None:
    """Of one model to another, seed by seed, with the two-sided p of a paired t-test.

    Args:
        one: values by seed.
        other: values by seed; seeds that only one of both has are left out.
        digits: after the point, to which the values are rounded.

    Returns:
        None if they have no seed in common.
    """
    seeds = [seed for seed in one if seed in other]
    if not seeds:
        return None
    differences = {seed: one[seed] - other[seed] for seed in seeds}
    found = estimate(differences)
    p = None
    if np.ptp(list(differences.values())) > _rounding(digits):
        test = ttest_rel([one[s] for s in seeds], [other[s] for s in seeds])
        p = float(test.pvalue)
    return Estimate(found.mean, found.standard_error, found.seeds, p)


def _rounding(digits: int) -> float:
    """What differences that are all the same may spread once their values are rounded: each value
    is off by half a unit of the last digit, so a difference by one, and two of them by two. A
    spread is a whole number of units; half of one keeps floating point out of it."""
    return 2.5 * 10.0**-digits
