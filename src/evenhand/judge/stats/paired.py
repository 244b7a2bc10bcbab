"""The difference of two arms on the same rows: pointwise intervals and p-values, over arrays.

Two sources of variation may enter: rows (always) and runs (from five runs per arm on). Their distances to a
limit are computed separately and combined as the root of the sum of squares (MOVER: Zou and Donner 2008),
each with its own quantile: normal or score for rows, t with `run_dof` degrees of freedom for runs (Howe
1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evenhand.judge.stats.intervals import tango, tango_statistic
from evenhand.judge.stats.quantiles import sign_test, t_to_z, two_sided, z_of, z_to_t
from evenhand.tables.schema import FloatArray

#: Pseudo-rows on which the averaged answers of two arms differ by 1, added to the observed ones when the size
#: of a row's difference is estimated: a few small observed differences do not prove that all are small. They
#: have no effect with a single run, where every difference has size 1.
PSEUDO_ROWS = 2.0

#: Bisection steps of a p-value: to the last bit or two.
BISECTION_STEPS = 55


class Pointwise(Protocol):
    """k differences, each with an interval at any level and a p-value that agrees with the interval."""

    difference: FloatArray

    def interval(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """[k] low and [k] high at level 1 - alpha."""

    def p_values(self) -> FloatArray:
        """[k] the levels alpha at which a limit reaches 0."""


@dataclass(frozen=True)
class ScorePaired:
    """Differences of two shares of the same rows: Tango's score interval, and the exact sign test at 0.

    For a row, d is the difference between the arms' answers (right 1, wrong 0) averaged over runs. With one
    run d is -1, 0 or 1. With several, |d| is smaller; the problem is then scaled so that the first two
    moments of d agree with those of a difference of -s, 0 or s.

    Attributes:
        difference: [k] mean of d.
        absolute: [k] mean of |d|.
        square: [k] mean of d squared.
        n: [k] rows, or the effective number under weights and clusters.
        row_dof: [k] degrees of freedom behind `n`: clusters minus one, or infinite.
        run_variance: [k] variance of the mean over runs, or 0.
        run_dof: [k] its degrees of freedom.
        better: [k] rows that only the candidate has right, for the exact test; NaN where rows are weighted,
            clustered or averaged over runs.
        worse: [k] rows that only the reference has right.
    """

    difference: FloatArray
    absolute: FloatArray
    square: FloatArray
    n: FloatArray
    row_dof: FloatArray
    run_variance: FloatArray
    run_dof: FloatArray
    better: FloatArray
    worse: FloatArray

    @property
    def scale(self) -> FloatArray:
        """[k] size s of a row's difference, E d^2 / E |d| with pseudo-rows: 1 for single runs."""
        return np.asarray((self.n * self.square + PSEUDO_ROWS) / (self.n * self.absolute + PSEUDO_ROWS))

    def row_limits(self, z: float) -> tuple[FloatArray, FloatArray]:
        """[k] limits when rows are the only source of variation."""
        s = self.scale
        low, high = tango(self.difference / s, self.absolute / s, self.n, z_to_t(z, self.row_dof))
        return s * low, s * high

    def interval(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """[k] low and high; 0 is inside whenever the exact test does not reject it.

        With few discordant rows the score interval may exclude 0 where the exact test does not: the interval
        is then extended to 0, so that it never claims a difference that the exact p-value contradicts.
        """
        z = float(z_of(alpha))
        low, high = self.row_limits(z)
        runs = _run_part(z, self.run_variance, self.run_dof)
        d = self.difference
        low = np.maximum(d - np.hypot(d - low, runs), -1.0)
        high = np.minimum(d + np.hypot(high - d, runs), 1.0)
        accepted = self._exact() >= alpha
        return np.where(accepted, np.minimum(low, 0.0), low), np.where(accepted, np.maximum(high, 0.0), high)

    def p_values(self) -> FloatArray:
        """[k] two-sided p-values of no difference: the larger of the exact and the score test.

        The limit nearest 0 is at 0 when its row distance and run distance combine to |d|. Bisection over the
        point `middle`, where the row limit alone would be, finds the z at which that holds.
        """
        s, d = self.scale, np.abs(self.difference)
        inner, outer = np.zeros_like(d), d.copy()
        for _ in range(BISECTION_STEPS):
            middle = (inner + outer) / 2
            z = t_to_z(tango_statistic(middle / s, d / s, self.absolute / s, self.n), self.row_dof)
            short = (d - middle) ** 2 + _run_part(z, self.run_variance, self.run_dof) ** 2 > d**2
            inner, outer = np.where(short, middle, inner), np.where(short, outer, middle)
        at = np.where(self.run_variance > 0, inner, 0.0)
        z = t_to_z(tango_statistic(at / s, d / s, self.absolute / s, self.n), self.row_dof)
        return np.maximum(two_sided(z), np.nan_to_num(self._exact(), nan=0.0))

    def _exact(self) -> FloatArray:
        known = ~np.isnan(self.better)
        exact = sign_test(np.nan_to_num(self.better), np.nan_to_num(self.worse))
        return np.asarray(np.where(known, exact, np.nan))


@dataclass(frozen=True)
class WaldPaired:
    """Differences of estimates whose influence values are known: normal or t limits.

    Attributes:
        difference: [k].
        row_variance: [k] variance over rows or clusters.
        row_dof: [k] its degrees of freedom.
        run_variance: [k] variance over runs, or 0.
        run_dof: [k] its degrees of freedom.
    """

    difference: FloatArray
    row_variance: FloatArray
    row_dof: FloatArray
    run_variance: FloatArray
    run_dof: FloatArray

    def half_width(self, z: FloatArray | float) -> FloatArray:
        """[k] half width at the level of the normal quantile z."""
        # At few degrees of freedom the quantile may be infinite; without variance the product must be 0.
        quantile = np.where(self.row_variance > 0, z_to_t(z, self.row_dof), 0.0)
        rows = quantile * np.sqrt(self.row_variance)
        half: FloatArray = np.hypot(rows, _run_part(z, self.run_variance, self.run_dof))
        return half

    def interval(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """[k] low and high."""
        half = self.half_width(float(z_of(alpha)))
        return self.difference - half, self.difference + half

    def p_values(self) -> FloatArray:
        """[k] two-sided p-values of no difference."""
        d = np.abs(self.difference)
        low, high = np.zeros_like(d), np.full_like(d, 37.0)
        for _ in range(BISECTION_STEPS):
            middle = (low + high) / 2
            short = self.half_width(middle) < d
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return two_sided(low)


def _run_part(z: FloatArray | float, variance: FloatArray, dof: FloatArray) -> FloatArray:
    known = variance > 0
    if not known.any():
        return np.zeros(np.broadcast(z, variance).shape)
    quantile = np.where(known, z_to_t(z, np.where(known, dof, np.inf)), 0.0)
    return np.asarray(quantile * np.sqrt(np.where(known, variance, 0.0)))
