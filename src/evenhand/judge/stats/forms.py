"""Largest linear forms of group rates, and their differences between two arms.

Every disparity here is plus or minus max_p F_p r for rows F_p of a matrix and the vector r of group rates:
a max-min gap uses all r_i - r_j, the worst group all -r_i. The naive bootstrap of such a maximum is biased
and cannot cover 0. Instead all linear contrasts are bounded at once, and the maximum of bounds is a bound
of the maximum:

    one arm      max_p L_p  <=  max_p F_p a  <=  max_p U_p
    two arms     min_q max_p L_pq  <=  max_p F_p b - max_q F_q a  <=  max_p min_q U_pq

where [L_pq, U_pq] holds F_p b - F_q a. Since the upper bound is the minimum over q, it is never above
the bound from the range over groups of (b - a). Whatever p attains max_p F_p b, the bound for that p
holds: no form is chosen by its estimate, so there is no selection bias.

An audit has hundreds of such maxima over the same number of groups: they are bounded B at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from evenhand.judge.stats.combine import Variation, join
from evenhand.judge.stats.intervals import tango, wilson
from evenhand.judge.stats.paired import ScorePaired, stack
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Maximum pairs of forms that are all bounded: the gaps of twelve groups have (12 * 11)^2 = 17,424.
MAX_CONTRAST_PAIRS = 20_000


@dataclass(frozen=True)
class Rates:
    """Rates of K groups in one arm or, stacked, of the same K groups in two arms (reference first).

    Attributes:
        value: [P] rates.
        n: [P] effective rows of each rate.
        correlation: [P, P] of the rates, from influence values.
        runs: [P, S] rates of each run, or None when runs are not a source of variation.
        paired: [K] differences, candidate minus reference, for two arms.
    """

    value: FloatArray
    n: FloatArray
    correlation: FloatArray
    runs: FloatArray | None = None
    paired: ScorePaired | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """P, K for two arms (else 0), and S: rates of equal shape can be stacked."""
        groups = 0 if self.paired is None else len(self.paired.difference)
        return (len(self.value), groups, *(() if self.runs is None else self.runs.shape))


def stacked(rates: Sequence[Rates]) -> Rates:
    """Stack B rates of equal shape along a new first axis."""
    return Rates(
        np.stack([r.value for r in rates]),
        np.stack([r.n for r in rates]),
        np.stack([r.correlation for r in rates]),
        None if rates[0].runs is None else np.stack([r.runs for r in rates if r.runs is not None]),
        None if rates[0].paired is None else stack([r.paired for r in rates if r.paired is not None]),
    )


def gap_forms(groups: int) -> FloatArray:
    """[K (K - 1), K] forms of all differences of two groups, whose maximum is the max-min gap."""
    pairs = [(i, j) for i in range(groups) for j in range(groups) if i != j]
    forms = np.zeros((len(pairs), groups))
    for row, (i, j) in enumerate(pairs):
        forms[row, i], forms[row, j] = 1, -1
    return forms


def worst_forms(groups: int) -> FloatArray:
    """[K, K] forms of minus each group; the negative of their maximum is the worst group's rate."""
    return -np.eye(groups)


@dataclass(frozen=True)
class Contrasts:
    """All contrasts of B maxima (one arm) or of B differences of two maxima (two arms).

    Attributes:
        rates: the group rates, with a first axis of B.
        forms: [m, K] linear forms of the group rates, whose maximum is bounded.
        scale: `rate` bounds the rates, `log` their logarithms (for ratios).
    """

    rates: Rates
    forms: FloatArray
    scale: Literal["rate", "log"] = "rate"

    @property
    def two_arms(self) -> bool:
        """True for a difference between two arms."""
        return self.rates.paired is not None

    @property
    def coarse(self) -> bool:
        """True when there are too many pairs of forms to bound each; see `maximum`."""
        return self.two_arms and len(self.forms) ** 2 > MAX_CONTRAST_PAIRS

    @cached_property
    def matrix(self) -> FloatArray:
        """[M, P] the contrasts that are bounded simultaneously.

        One arm: F a. Two arms: F_p b - F_q a in row p * m + q, and on the log scale F b and F a after them;
        coarse: F_p b - F_p a, F b, F a.
        """
        f = self.forms
        if not self.two_arms:
            return f
        m, none = len(f), np.zeros_like(f)
        if self.coarse:
            return np.vstack([np.hstack([-f, f]), np.hstack([none, f]), np.hstack([f, none])])
        pairs = np.hstack([-np.tile(f, (m, 1)), np.repeat(f, m, axis=0)])
        return (
            np.vstack([pairs, np.hstack([none, f]), np.hstack([f, none])]) if self.scale == "log" else pairs
        )

    def maximum(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bound max F a (one arm) or max F b - max F a (two arms) by the bounds of every contrast.

        Coarse: the difference of two maxima is between the smallest and the largest F_p b - F_p a, and also
        within the difference of the bounds of the two maxima. Both hold, so the tighter is used.

        Args:
            low: [A, M] lower bounds of the contrasts.
            high: [A, M] upper bounds.

        Returns:
            [A] lower and [A] upper bounds of the maximum.
        """
        if not self.two_arms:
            return low.max(axis=1), high.max(axis=1)
        m = len(self.forms)
        if self.coarse:
            candidate, reference = self.each_maximum(low, high)
            down, up = candidate[0] - reference[1], candidate[1] - reference[0]
            return np.maximum(low[:, :m].min(axis=1), down), np.minimum(high[:, :m].max(axis=1), up)
        # Axis 1 is p (candidate), axis 2 is q (reference): max_p min_q U_pq and min_q max_p L_pq.
        low, high = (v[:, : m * m].reshape(-1, m, m) for v in (low, high))
        return low.max(axis=1).min(axis=1), high.min(axis=2).max(axis=1)

    def each_maximum(
        self, low: FloatArray, high: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Bound max F b and max F a separately; for two arms, where `matrix` has these rows."""
        m = len(self.forms)
        candidate, reference = slice(-2 * m, -m), slice(-m, None)
        return (
            (low[:, candidate].max(axis=1), high[:, candidate].max(axis=1)),
            (low[:, reference].max(axis=1), high[:, reference].max(axis=1)),
        )

    @cached_property
    def centre(self) -> FloatArray:
        """[B, P] rates, or their logarithms, where a rate of 0 is replaced by half a count."""
        r = self.rates
        if self.scale == "rate":
            return r.value
        return np.log(np.where(r.value > 0, r.value, 0.5 / (r.n + 1)))

    @cached_property
    def estimate(self) -> FloatArray:
        """[B, M] estimate of each contrast."""
        return np.asarray((self.matrix @ self.centre[:, :, None])[:, :, 0])

    @cached_property
    def variation(self) -> Variation:
        """Variation of the contrasts over runs, whose variance is [B, M]."""
        runs = self.rates.runs
        if runs is None:
            return Variation(np.inf, np.zeros((len(self.rates.value), len(self.matrix))), np.inf)
        if self.scale == "log":
            floor = (0.5 / (self.rates.n + 1))[:, :, None]
            runs = np.log(np.where(runs > 0, runs, floor))
        return Variation.of_runs(np.inf, self.matrix @ runs)

    def bounds(self, z: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """Bound every contrast of some of the maxima: [A, M] low and [A, M] high.

        Distances to the limits of single rates are combined to that of a contrast (MOVER: Zou and Donner
        2008), and then with the distance over runs.

        Args:
            z: [A] normal quantiles, which determine the level of the bounds.
            at: [A] indices of the maxima.
        """
        estimate = self.estimate[at]
        variation = replace(self.variation, run_variance=self.variation.run_variance[at])
        runs = variation.run_distance(z[:, None])
        down, up = self._distances(z, at)
        paired = self._paired_distances(z, at) if self.two_arms else None
        below = self._row_distance(self.matrix, at, (down, up), paired)
        above = self._row_distance(-self.matrix, at, (down, up), paired)
        return estimate - join(below, runs), estimate + join(above, runs)

    def _distances(self, z: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """[A, P] distances of the rates to their lower and upper limits."""
        low, high = wilson(self.rates.value[at], self.rates.n[at], z[:, None])
        if self.scale == "log":
            with np.errstate(divide="ignore"):
                low, high = np.log(low), np.log(high)
        return np.maximum(self.centre[at] - low, 0.0), np.maximum(high - self.centre[at], 0.0)

    def _row_distance(
        self,
        c: FloatArray,
        at: IntArray,
        distances: tuple[FloatArray, FloatArray],
        paired: tuple[FloatArray, FloatArray] | None,
    ) -> FloatArray:
        """[A, M] distance from contrasts c to their lower limits, a quadratic form in the rates' distances.

        With positive weight a contrast is lowest where the rate is at its lower limit, with negative weight
        where it is at its upper limit: d^2 = sum_ij c_i d_i rho_ij c_j d_j, with that side's distances.
        """
        down, up = (d[:, None, :] for d in distances)
        # The logarithm of a rate of 0 is unbounded below, and so is a contrast that needs that side.
        unbounded = ((c > 0) & ~np.isfinite(down)).any(axis=2)
        part = np.where(c > 0, c * np.where(np.isfinite(down), down, 0.0), c * up)
        total = ((part @ self.rates.correlation[at]) * part).sum(axis=2)
        if paired is not None:
            total += self._same_rows(part, c, at, paired)
        return np.where(unbounded, np.inf, np.sqrt(np.maximum(total, 0.0)))

    def _paired_distances(self, z: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """[A, K] distances of the paired differences b_g - a_g to their lower and upper limits (Tango)."""
        r, k = self.rates, self.forms.shape[1]
        assert r.paired is not None
        difference, scale = r.paired.difference[at], r.paired.scale[at]
        low, high = tango(difference / scale, r.paired.absolute[at] / scale, r.paired.n[at], z[:, None])
        low, high = scale * low, scale * high
        if self.scale == "rate":
            return difference - low, high - difference
        # On the log scale the limits of b are those of a + (b - a) at the observed a. Below 0 the logarithm
        # has no limit.
        base = np.maximum(r.value[at, :k], 0.5 / (r.n[at, :k] + 1))
        centre = self.centre[at, k:] - self.centre[at, :k]
        with np.errstate(divide="ignore"):
            low, high = (np.log(np.maximum(1 + v / base, 0.0)) for v in (low, high))
        return np.maximum(centre - low, 0.0), np.maximum(high - centre, 0.0)

    def _same_rows(
        self, part: FloatArray, c: FloatArray, at: IntArray, paired: tuple[FloatArray, FloatArray]
    ) -> FloatArray:
        """[A, M] correction of contrasts that contain b_g - a_g, whose rows are the same.

        Tango's limits of the paired difference hold with few discordant rows, where the correlation of two
        rates is poorly estimated.

        Replaces part_a^2 + part_b^2 + 2 rho part_a part_b by the squared distance of the paired interval.
        """
        k = self.forms.shape[1]
        a, b = part[:, :, :k], part[:, :, k:]
        rho = np.diagonal(self.rates.correlation[at, :k, k:], axis1=1, axis2=2)[:, None, :]
        unpaired = a**2 + b**2 + 2 * rho * a * b
        opposite: BoolArray = c[:, :k] * c[:, k:] < 0
        distance = np.where(c[:, k:] > 0, *(d[:, None, :] for d in paired))
        return np.asarray(np.where(opposite, distance**2 - unpaired, 0.0).sum(axis=2))

    @cached_property
    def distinct(self) -> IntArray:
        """Indices of rows of `matrix` that are distinct up to sign; only these need draws.

        Square roots of primes are linearly independent over the rationals: two rows have the same sum of
        them, up to sign, only if they are the same row, up to sign.
        """
        key = np.abs(self.matrix @ np.sqrt(_primes(self.matrix.shape[1])))
        _, rows = np.unique(np.round(key, 9), return_index=True)
        return np.asarray(np.sort(rows))

    @cached_property
    def spread(self) -> FloatArray:
        """[B, P, P] covariance of the rates, smoothed (2 successes and 2 failures) against variances of 0."""
        r = self.rates
        share = (r.value * r.n + 2) / (r.n + 4)
        variance = share * (1 - share) / r.n
        if self.scale == "log":
            variance = variance / share**2
        deviation = np.sqrt(variance)
        return np.asarray(r.correlation * deviation[:, :, None] * deviation[:, None, :])


def _primes(count: int) -> FloatArray:
    sieve = np.ones(max(20, 2 * count * int(np.log(count + 2) + 2)), dtype=np.bool_)
    sieve[:2] = False
    for i in range(2, int(len(sieve) ** 0.5) + 1):
        sieve[i * i :: i] = False
    return np.flatnonzero(sieve)[:count].astype(np.float64)
