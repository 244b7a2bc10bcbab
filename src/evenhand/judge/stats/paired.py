"""The difference of two arms on the same rows: pointwise intervals and p-values, over arrays.

Each kind of difference defines its distance to a limit over rows; `combine.Variation` joins it with runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.intervals import tango, tango_statistic
from evenhand.judge.stats.quantiles import bisect, sign_test, two_sided, z_of
from evenhand.tables.schema import BoolArray, FloatArray

#: Pseudo-rows on which the averaged answers of two arms differ by 1, added to the observed ones when the size
#: of a row's difference is estimated: a few small observed differences do not prove that all are small. They
#: have no effect with a single run, where every difference has size 1.
PSEUDO_ROWS = 2.0

#: Bisection steps of a p-value: to the last bit or two.
BISECTION_STEPS = 55


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
        variation: over runs, with the degrees of freedom behind `n`.
        better: [k] rows that only the candidate has right, for the exact test; NaN where rows are weighted,
            clustered or averaged over runs.
        worse: [k] rows that only the reference has right.
        pseudo_size: size of the difference of a pseudo-row: 1, or `usual_size` where runs are several.
    """

    difference: FloatArray
    absolute: FloatArray
    square: FloatArray
    n: FloatArray
    variation: Variation
    better: FloatArray
    worse: FloatArray
    pseudo_size: FloatArray | float = 1.0

    @property
    def scale(self) -> FloatArray:
        """[k] size s of a row's difference, E d^2 / E |d| with pseudo-rows: 1 for single runs."""
        squares = self.n * self.square + PSEUDO_ROWS * self.pseudo_size
        return np.asarray(squares / (self.n * self.absolute + PSEUDO_ROWS))

    def row_variance(self, runs: FloatArray | float) -> FloatArray:
        """[k] variance over rows, at least that of a single flip in one of the runs."""
        centred = np.maximum(self.scale * self.absolute, self.square) - self.difference**2
        return np.asarray(np.maximum(centred, 1 / (self.n * runs)) / self.n)

    def row_limits(self, z: float) -> tuple[FloatArray, FloatArray]:
        """[k] limits when rows are the only source of variation."""
        s = self.scale
        low, high = tango(self.difference / s, self.absolute / s, self.n, self.variation.row_quantile(z))
        return s * low, s * high

    def interval(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """[k] low and high; 0 is inside whenever the exact test does not reject it.

        With few discordant rows the score interval may exclude 0 where the exact test does not: the interval
        is then extended to 0, so that it never claims a difference that the exact p-value contradicts.
        """
        z = float(z_of(alpha))
        low, high = self.row_limits(z)
        d = self.difference
        low = np.maximum(d - self.variation.distance(d - low, z), -1.0)
        high = np.minimum(d + self.variation.distance(high - d, z), 1.0)
        accepted = self._exact() >= alpha
        return np.where(accepted, np.minimum(low, 0.0), low), np.where(accepted, np.maximum(high, 0.0), high)

    def p_values(self) -> FloatArray:
        """[k] two-sided p-values of no difference: the larger of the exact and the score test.

        The limit nearest 0 is at 0 when its row distance and run distance combine to |d|. Bisection over the
        point `middle`, where the row limit alone would be, finds the z at which that holds.
        """
        s, d = self.scale, np.abs(self.difference)

        def quantile(at: FloatArray) -> FloatArray:
            statistic = tango_statistic(at / s, d / s, self.absolute / s, self.n)
            return self.variation.row_level(statistic)

        def beyond(middle: FloatArray) -> BoolArray:
            return self.variation.reaches(d, d - middle, quantile(middle))

        at, _ = bisect(np.zeros_like(d), d, beyond, BISECTION_STEPS)
        z = quantile(np.where(self.variation.run_variance > 0, at, 0.0))
        return np.maximum(two_sided(z), np.nan_to_num(self._exact(), nan=0.0))

    def _exact(self) -> FloatArray:
        known = ~np.isnan(self.better)
        exact = sign_test(np.nan_to_num(self.better), np.nan_to_num(self.worse))
        return np.asarray(np.where(known, exact, np.nan))


def usual_size(pairs: ScorePaired) -> float:
    """Size of a pseudo-row's difference: half way between 1 and that of all differing rows of the pairs."""
    squares, sizes = float(np.sum(pairs.n * pairs.square)), float(np.sum(pairs.n * pairs.absolute))
    return 0.5 + 0.5 * (squares + PSEUDO_ROWS) / (sizes + PSEUDO_ROWS)


@dataclass(frozen=True)
class WaldPaired:
    """Differences of estimates whose influence values are known: normal or t limits.

    Attributes:
        difference: [k].
        row_variance: [k] variance over rows or clusters.
        variation: over runs, with the degrees of freedom of `row_variance`.
    """

    difference: FloatArray
    row_variance: FloatArray
    variation: Variation

    def half_width(self, z: FloatArray | float) -> FloatArray:
        """[k] half width at the level of the normal quantile z."""
        # At few degrees of freedom the quantile may be infinite; without variance the product must be 0.
        quantile = np.where(self.row_variance > 0, self.variation.row_quantile(z), 0.0)
        return self.variation.distance(quantile * np.sqrt(self.row_variance), z)

    def interval(self, alpha: float) -> tuple[FloatArray, FloatArray]:
        """[k] low and high."""
        half = self.half_width(float(z_of(alpha)))
        return self.difference - half, self.difference + half

    def p_values(self) -> FloatArray:
        """[k] two-sided p-values of no difference."""
        d = np.abs(self.difference)
        z, _ = bisect(
            np.zeros_like(d), np.full_like(d, 37.0), lambda z: self.half_width(z) < d, BISECTION_STEPS
        )
        return two_sided(z)


P = TypeVar("P", bound=ScorePaired | WaldPaired)


def stack(estimates: Sequence[P]) -> P:
    """Stack k estimates of one shape along a new first axis."""
    columns = {f.name: [getattr(e, f.name) for e in estimates] for f in fields(estimates[0])}
    variations = columns.pop("variation")
    shape = np.shape(estimates[0].difference)
    arrays = {
        name: np.array([np.broadcast_to(value, shape) for value in column], dtype=np.float64)
        for name, column in columns.items()
    }
    return type(estimates[0])(variation=Variation.stack(variations), **arrays)
