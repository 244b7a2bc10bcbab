"""Distribution of the largest of many contrasts: draws, and critical values and levels from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evenhand.judge.stats.family import Family, symmetric_root
from evenhand.judge.stats.forms import Contrasts
from evenhand.judge.stats.quantiles import z_of

#: Minimum and maximum draws of the largest contrast, and the number of elements to aim at. Few contrasts get
#: many draws; many contrasts have such loose bounds that the quantile's error is negligible.
DRAWS, TARGET_ELEMENTS = (2_000, 10_000), 2_000_000


def draw_largest(parts: Sequence[Contrasts], index: int, rng: np.random.Generator) -> Family:
    """Draw the largest of all contrasts of several maxima on disjoint rows (true and false positive rates).

    The variance of a contrast over runs is drawn independently of the other contrasts. That understates their
    correlation, which can only raise the critical value.

    Args:
        parts: the contrasts of each.
        index: index of the maximum among the B that these contain.
        rng: source of the draws.
    """
    size = sum(len(c.distinct) for c in parts)
    draws = int(np.clip(TARGET_ELEMENTS // max(size, 1), *DRAWS))
    maxima = np.zeros(draws)
    for c in parts:
        spread, run_variance = c.spread[index], c.variation.run_variance[index, c.distinct]
        root = symmetric_root(spread)
        matrix = c.matrix[c.distinct]
        # Rounding may leave a contrast of equal rates a variance below 0.
        rows = np.maximum(((matrix @ spread) * matrix).sum(axis=1), 0.0)
        varies = rows > 1e-12
        share = np.where(varies, np.sqrt(rows / np.where(varies, rows + run_variance, 1.0)), 0.0)
        weights = (matrix @ root) * np.where(varies, share / np.sqrt(np.where(varies, rows, 1.0)), 0.0)[
            :, None
        ]
        run_deviation = np.sqrt(np.maximum(1 - share**2, 0.0)).astype(np.float32)
        normal = rng.standard_normal((draws, len(root)), dtype=np.float32)
        step = max(1, 2_000_000 // len(weights))
        for start in range(0, draws, step):
            block = normal[start : start + step] @ weights.T.astype(np.float32)
            if run_deviation.any():
                block += run_deviation * rng.standard_normal(block.shape, dtype=np.float32)
            block_maxima = maxima[start : start + step]
            np.maximum(block_maxima, np.maximum(block.max(axis=1), -block.min(axis=1)), out=block_maxima)
    maxima.sort()
    return Family(max(size, 1), maxima)


def critical(family: Family, alpha: float) -> float:
    """Critical value of all contrasts at level alpha; Sidak's in the tail, beyond 20 draws."""
    if alpha * len(family.maxima) < 20:
        return float(z_of(-np.expm1(np.log1p(-alpha) / family.size)))
    return family.critical(alpha)


def level_of(family: Family, z: float) -> float:
    """Return the level whose critical value is z: the inverse of `critical`, by bisection of log(alpha)."""
    low, high = 1e-300, 1.0 - 1e-9
    if critical(family, high) >= z:
        return 1.0
    while low < (middle := math.sqrt(low * high)) < high:
        low, high = (low, middle) if critical(family, middle) < z else (middle, high)
    return high
