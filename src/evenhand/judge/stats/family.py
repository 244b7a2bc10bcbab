"""Families: one level for all their intervals, and p-values that agree with it.

Every comparison has a pointwise interval and a pointwise p-value. A family of k requires that all intervals
hold at once with probability 1 - alpha. On the scale of a normal statistic the critical value is the
1 - alpha quantile of max |Z_j|, Z normal with the correlation of the comparisons' influence values;
comparisons of unknown correlation are treated as independent, which can only raise it (Sidak 1967; Royen
2014).

A one-sided bound can fail on one side only. Bounds that hold at once, whatever holds of the other sides, are
computed at the level whose normal quantile is the 1 - alpha quantile of max Z_j.

Invariant: adjusted p-values agree with simultaneous intervals at the family's level. Both therefore read
the same draws, with the same rule at ties.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evenhand.judge.stats.quantiles import two_sided, z_of
from evenhand.tables.schema import FloatArray

#: Draws of max |Z|, whose quantile then has an error below 0.01, and maximum elements drawn for them.
DRAWS = 20_000
MAX_MATRIX_ELEMENTS = 20_000_000


@dataclass(frozen=True)
class Family:
    """The joint distribution of the largest of k statistics.

    Attributes:
        size: k, comparisons that are not copies of each other.
        maxima: sorted draws of max |Z|, or empty when only Sidak's bound is used.
        tops: sorted draws of max Z, or empty when only Bonferroni's bound is used.
    """

    size: int
    maxima: FloatArray
    tops: FloatArray = field(default_factory=lambda: np.empty(0))

    def critical(self, alpha: float) -> float:
        """Critical value on the normal scale: at most Sidak's, at least that of a single interval.

        Both limits hold for any correlation, so they cut off the random error of the draws.
        """
        sidak = float(z_of(-np.expm1(np.log1p(-alpha) / max(self.size, 1))))
        draws = len(self.maxima)
        if draws == 0:
            return sidak
        # The largest value that at least a share alpha of the draws reaches: adjust(p) < alpha just above it.
        drawn = float(self.maxima[max(draws - int(np.ceil(alpha * draws)), 0)])
        return min(sidak, max(drawn, float(z_of(alpha))))

    def pointwise(self, alpha: float) -> float:
        """Level at which each interval of the family is computed."""
        return float(two_sided(self.critical(alpha)))

    def one_sided(self, alpha: float) -> float:
        """Level at which each one-sided bound of the family is computed.

        At most alpha, and at least Bonferroni's alpha / k, which holds for any correlation.
        """
        draws = len(self.tops)
        if draws == 0:
            return alpha / max(self.size, 1)
        drawn = float(self.tops[max(draws - int(np.ceil(alpha * draws)), 0)])
        level = float(two_sided(drawn)) / 2 if drawn > 0 else alpha
        return min(alpha, max(alpha / self.size, level))

    def adjust(self, p: FloatArray) -> FloatArray:
        """Single-step adjusted p-values: P(max |Z| >= z(p)), at most Sidak's 1 - (1 - p)^k."""
        with np.errstate(divide="ignore"):
            sidak = -np.expm1(self.size * np.log1p(-np.minimum(p, 1.0)))
        if len(self.maxima) == 0:
            return np.asarray(np.where(np.isnan(p), np.nan, sidak))
        reached = len(self.maxima) - np.searchsorted(self.maxima, z_of(p), side="left")
        drawn = reached / len(self.maxima)
        return np.asarray(np.where(np.isnan(p), np.nan, np.minimum(sidak, np.maximum(drawn, p))))


def independent(size: int) -> Family:
    """Return a family without use of its correlation: Sidak's critical value."""
    return Family(size, np.empty(0))


def correlated(correlation: FloatArray, rng: np.random.Generator, side: FloatArray | float = 1.0) -> Family:
    """Return a family whose statistics have this correlation.

    Args:
        correlation: [k, k], with 1 on the diagonal; rows of zeros for independent statistics.
        rng: source of the draws.
        side: [k] +1 for a statistic whose one-sided bound lies above the estimate, -1 below.
    """
    k = len(correlation)
    draws = min(DRAWS, MAX_MATRIX_ELEMENTS // max(k, 1))
    # A quantile of fewer than 1000 draws is too uncertain: such large families use Sidak's bound.
    if k < 2 or draws < 1000:
        return independent(k)
    root = symmetric_root(correlation).astype(np.float32)
    maxima, tops = np.empty(draws), np.empty(draws)
    step = max(1, 2_000_000 // k)
    for start in range(0, draws, step):
        normal = rng.standard_normal((min(step, draws - start), k), dtype=np.float32)
        drawn = normal @ root
        maxima[start : start + len(normal)] = np.abs(drawn).max(axis=1)
        tops[start : start + len(normal)] = (drawn * side).max(axis=1)
    maxima.sort()
    tops.sort()
    return Family(k, maxima, tops)


def symmetric_root(matrix: FloatArray) -> FloatArray:
    """Return the symmetric R with R R = matrix, the only symmetric positive semi-definite root.

    Draws through R therefore do not depend on the basis chosen for equal eigenvalues, nor on the order of
    groups or arms. Negative eigenvalues, which are rounding errors, count as 0.
    """
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


def discoveries(p: FloatArray, alpha: float) -> tuple[FloatArray, float]:
    """Adjusted p-values and level of intervals that control the false discovery rate.

    With m p-values of which R have an adjusted one below alpha, intervals at the level R alpha / m exclude 0
    exactly for these R, and the expected share of wrong ones among them is at most alpha. It holds for
    independent and for positively dependent statistics.

    Args:
        p: [m], none NaN.
        alpha: the rate to control.

    Returns:
        [m] adjusted p-values, and the level; with R = 0 it is that of R = 1.

    Source: Benjamini and Hochberg (1995); for the intervals Benjamini and Yekutieli (2005, JASA 100).
    """
    m = len(p)
    order = np.argsort(p, kind="stable")[::-1]
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * m / np.arange(m, 0, -1)), 1.0)
    return adjusted, alpha * max(int(np.sum(adjusted < alpha)), 1) / max(m, 1)


def holm(p: FloatArray) -> FloatArray:
    """Holm's step-down adjusted p-values; NaN stays NaN and is not counted. Source: Holm (1979)."""
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    left = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * left), 1.0)
    return adjusted
