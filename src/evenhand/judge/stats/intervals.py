"""Intervals of one share and of the difference of two paired shares, over arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenhand.judge.stats.quantiles import beta_quantile, bisect
from evenhand.tables.schema import BoolArray, FloatArray

#: Bisection steps for an interval of length 1 or 2: limits are exact to 1e-10.
BISECTION_STEPS = 34


def wilson(share: npt.ArrayLike, n: npt.ArrayLike, z: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a share.

    Args:
        share: observed share.
        n: number of rows, or the effective number when they are weighted, clustered or averaged.
        z: critical value, 1.96 for 95 %.

    Returns:
        Low and high, within [0, 1]. Source: Wilson (1927).
    """
    p, n, z = (np.asarray(v, dtype=np.float64) for v in (share, n, z))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = centre - half, centre + half
    return np.asarray(np.where(p <= 0, 0.0, np.maximum(low, 0.0))), np.asarray(
        np.where(p >= 1, 1.0, np.minimum(high, 1.0))
    )


def clopper_pearson(hits: npt.ArrayLike, n: npt.ArrayLike, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Exact interval of a share at level 1 - alpha. Source: Clopper and Pearson (1934)."""
    x, n = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    low = np.where(x > 0, beta_quantile(alpha / 2, np.maximum(x, 1), n - x + 1), 0.0)
    high = np.where(x < n, beta_quantile(1 - alpha / 2, x + 1, np.maximum(n - x, 1)), 1.0)
    return np.asarray(low), np.asarray(high)


def tango_statistic(
    at: npt.ArrayLike, difference: npt.ArrayLike, discordance: npt.ArrayLike, n: npt.ArrayLike
) -> FloatArray:
    """Score statistic of the hypothesis that the true difference of two paired shares is `at`.

    Args:
        at: hypothesised difference, in [-1, 1].
        difference: observed (b - c) / n.
        discordance: observed (b + c) / n, at least |difference|.
        n: rows (may be an effective number).

    Returns:
        (difference - at) / its standard deviation under the hypothesis, where the two discordant shares
        are estimated under the constraint. At 0 it is McNemar's (b - c) / sqrt(b + c).
        Source: Tango (1998), Statistics in Medicine 17, 891-908.
    """
    at, d, s, n = (np.asarray(v, dtype=np.float64) for v in (at, difference, discordance, n))
    product = at * (1 - at)
    b = (2 - d) * at - s
    # Twice the constrained share of rows that only the reference has right.
    twice = (np.sqrt(np.maximum(b * b + 4 * (s - d) * product, 0.0)) - b) / 2
    gap = d - at
    with np.errstate(divide="ignore", invalid="ignore"):
        value = gap / np.sqrt(np.maximum(twice + product, 0.0) / n)
    return np.asarray(np.where(gap == 0, 0.0, value))


def tango(
    difference: npt.ArrayLike, discordance: npt.ArrayLike, n: npt.ArrayLike, z: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Tango's score interval of the difference of two paired shares, by bisection.

    Zero discordant rows give [-z^2 / (n + z^2), z^2 / (n + z^2)], never zero width. The statistic is
    monotone in the hypothesised difference, so each limit is a single root.

    Args:
        difference: observed (b - c) / n.
        discordance: observed (b + c) / n.
        n: rows (may be an effective number).
        z: critical value.
    """
    d, s, n, z = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (difference, discordance, n, z))
    )
    both = (2, *d.shape)
    outside = np.array(np.broadcast_to(np.array([-1.0, 1.0]).reshape(2, *[1] * d.ndim), both))

    def accepts(at: FloatArray) -> BoolArray:
        return np.asarray(np.abs(tango_statistic(at, d, s, n)) <= z)

    inside, _ = bisect(np.array(np.broadcast_to(d, both)), outside, accepts, BISECTION_STEPS)
    return inside[0], inside[1]
