"""The law of the largest of many contrasts: draws of it, and critical values and levels from the draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evenhand.judge.stats.family import Family, symmetric_root
from evenhand.judge.stats.forms import Contrasts
from evenhand.judge.stats.quantiles import z_of

#: Fewest and most draws of the largest contrast, in single precision, and how many numbers to aim at. Few
#: contrasts get many draws; many contrasts are bounded so loosely that the quantile's error does not show.
DRAWS, NUMBERS = (2_000, 10_000), 2_000_000


def largest(parts: Sequence[Contrasts], index: int, rng: np.random.Generator) -> Family:
    """The joint law of all contrasts of several maxima on disjoint rows (true and false positive rates).

    A contrast whose variance comes partly from runs is taken as that much less correlated with the others,
    which can only raise the critical value.

    Args:
        parts: the contrasts of each.
        index: which of the B maxima that these hold.
        rng: source of the draws.
    """
    size = sum(len(c.distinct) for c in parts)
    draws = int(np.clip(NUMBERS // max(size, 1), *DRAWS))
    reach = np.zeros(draws)
    for c in parts:
        spread, run_variance = c.spread[index], c.run_variance[index, c.distinct]
        root = symmetric_root(spread)
        matrix = c.matrix[c.distinct]
        rows = ((matrix @ spread) * matrix).sum(axis=1)
        known = rows > 1e-12
        share = np.where(known, np.sqrt(rows / np.where(known, rows + run_variance, 1.0)), 0.0)
        weights = (matrix @ root) * np.where(known, share / np.sqrt(np.where(known, rows, 1.0)), 0.0)[:, None]
        own = np.sqrt(np.maximum(1 - share**2, 0.0)).astype(np.float32)
        normal = rng.standard_normal((draws, len(root)), dtype=np.float32)
        step = max(1, 2_000_000 // len(weights))
        for start in range(0, draws, step):
            block = normal[start : start + step] @ weights.T.astype(np.float32)
            if own.any():
                block += own * rng.standard_normal(block.shape, dtype=np.float32)
            here = reach[start : start + step]
            np.maximum(here, np.maximum(block.max(axis=1), -block.min(axis=1)), out=here)
    reach.sort()
    return Family(max(size, 1), reach)


def critical(family: Family, alpha: float) -> float:
    """Critical value of all contrasts at level alpha; far in the tail, where draws are few, Sidak's."""
    if alpha * len(family.maxima) < 20:
        return float(z_of(-np.expm1(np.log1p(-alpha) / family.size)))
    return family.critical(alpha)


def tail(family: Family, z: float) -> float:
    """The level whose critical value is z: the inverse of `critical`."""
    low, high = 1e-300, 1.0 - 1e-9
    if critical(family, high) >= z:
        return 1.0
    while low < (middle := math.sqrt(low * high)) < high:
        low, high = (low, middle) if critical(family, middle) < z else (middle, high)
    return high
