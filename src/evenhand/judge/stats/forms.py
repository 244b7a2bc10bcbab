"""Largest linear forms of group rates, and their differences between two arms.

Every disparity here is plus or minus max_p F_p r for rows F_p of a matrix and the vector r of group rates:
a max-min gap takes all r_i - r_j, the worst group all -r_i. The naive bootstrap of such a maximum is biased
and cannot cover 0. Instead all linear contrasts are bounded at once, and the maximum of bounds is a bound
of the maximum:

    one arm      max_p L_p  <=  max_p F_p a  <=  max_p U_p
    two arms     min_q max_p L_pq  <=  max_p F_p b - max_q F_q a  <=  max_p min_q U_pq

where [L_pq, U_pq] holds F_p b - F_q a. Since the upper bound takes the least over q, it is never above the
bound that the range over groups of (b - a) gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from evenhand.judge.stats.family import Family, symmetric_root
from evenhand.judge.stats.intervals import tango, wilson
from evenhand.judge.stats.quantiles import z_of, z_to_t
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Fewest and most draws of the largest contrast, in single precision, and how many numbers to aim at. Few
#: contrasts get many draws; many contrasts are bounded so loosely that the quantile's error does not show.
DRAWS, NUMBERS = (2_000, 10_000), 2_000_000

#: Most pairs of forms that are all bounded: twelve groups' gaps.
FULL = 20_000


@dataclass(frozen=True)
class Rates:
    """Rates of K groups in one arm or, stacked, of the same K groups in two arms (reference first).

    Attributes:
        value: [P] rates.
        n: [P] rows behind each (effective).
        correlation: [P, P] of the rates, from influence values.
        runs: [P, S] rates of each run, or None when runs are no source of variation.
        difference: [K] candidate less reference, for two arms.
        discordance: [K] share of rows on which the arms differ (scaled as in `ScorePaired`).
        scale: [K] size of a row's difference.
        paired_n: [K] effective rows of the paired difference.
    """

    value: FloatArray
    n: FloatArray
    correlation: FloatArray
    runs: FloatArray | None = None
    difference: FloatArray | None = None
    discordance: FloatArray | None = None
    scale: FloatArray | None = None
    paired_n: FloatArray | None = None


def gap_forms(groups: int) -> FloatArray:
    """[K (K - 1), K] all differences of two groups: their maximum is the max-min gap."""
    pairs = [(i, j) for i in range(groups) for j in range(groups) if i != j]
    forms = np.zeros((len(pairs), groups))
    for row, (i, j) in enumerate(pairs):
        forms[row, i], forms[row, j] = 1, -1
    return forms


def worst_forms(groups: int) -> FloatArray:
    """[K, K] minus each group: minus their maximum is the worst group's rate."""
    return -np.eye(groups)


@dataclass(frozen=True)
class Contrasts:
    """All contrasts of one maximum (one arm) or of a difference of two maxima (two arms).

    Attributes:
        rates: the group rates.
        forms: [m, K] rows whose maximum is meant.
        scale: bounds on the rates themselves or on their logarithms (for ratios).
        known: the bounds that were computed last.
    """

    rates: Rates
    forms: FloatArray
    scale: Literal["rate", "log"] = "rate"
    known: dict[float, tuple[FloatArray, FloatArray]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def two_arms(self) -> bool:
        """Whether this is a difference between arms."""
        return self.rates.difference is not None

    @property
    def coarse(self) -> bool:
        """Whether there are too many pairs of forms to bound each: see `maximum`."""
        return self.two_arms and len(self.forms) ** 2 > FULL

    @cached_property
    def matrix(self) -> FloatArray:
        """[M, P] the contrasts that are bounded at once.

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

    def maximum(self, z: float) -> tuple[float, float]:
        """Bounds of max F a (one arm) or of max F b - max F a (two arms) at the normal quantile z."""
        low, high = self.bounds(z)
        if not self.two_arms:
            return float(low.max()), float(high.max())
        m = len(self.forms)
        if self.coarse:
            down, up = low[m : 2 * m].max() - high[2 * m :].max(), high[m : 2 * m].max() - low[2 * m :].max()
            return float(max(low[:m].min(), down)), float(min(high[:m].max(), up))
        low, high = low[: m * m].reshape(m, m), high[: m * m].reshape(m, m)
        return float(low.max(axis=0).min()), float(high.min(axis=1).max())

    def each_maximum(self, z: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Bounds of max F b and of max F a beside those of `maximum`, for two arms on the log scale."""
        low, high = self.bounds(z)
        m = len(self.forms)
        candidate, reference = slice(-2 * m, -m), slice(-m, None)
        return (
            (float(low[candidate].max()), float(high[candidate].max())),
            (float(low[reference].max()), float(high[reference].max())),
        )

    @cached_property
    def centre(self) -> FloatArray:
        """[P] rates, or their logarithms; a rate of 0 has no logarithm and stands at half a count."""
        r = self.rates
        if self.scale == "rate":
            return r.value
        return np.log(np.where(r.value > 0, r.value, 0.5 / (r.n + 1)))

    @cached_property
    def run_variance(self) -> FloatArray:
        """[M] variance of each contrast's mean over runs."""
        if self.rates.runs is None:
            return np.zeros(len(self.matrix))
        runs = self.rates.runs
        if self.scale == "log":
            floor = (0.5 / (self.rates.n + 1))[:, None]
            runs = np.log(np.where(runs > 0, runs, floor))
        return np.asarray((self.matrix @ runs).var(axis=1, ddof=1) / runs.shape[1])

    @property
    def run_dof(self) -> float:
        """Degrees of freedom of `run_variance`."""
        return np.inf if self.rates.runs is None else self.rates.runs.shape[1] - 1.0

    def bounds(self, z: float) -> tuple[FloatArray, FloatArray]:
        """[M] low and high of every contrast at the level of the normal quantile z."""
        if z not in self.known:
            self.known.clear()  # `maximum` and `each_maximum` ask at the same z, one after the other
            self.known[z] = self._bounds(z)
        return self.known[z]

    def _bounds(self, z: float) -> tuple[FloatArray, FloatArray]:
        estimate = self.matrix @ self.centre
        runs = np.zeros(len(estimate))
        if self.rates.runs is not None:
            runs = np.where(self.run_variance > 0, float(z_to_t(z, self.run_dof)), 0.0) * np.sqrt(
                self.run_variance
            )
        paired = self._paired_distances(z) if self.two_arms else None
        low = estimate - np.hypot(self._row_distance(z, self.matrix, paired), runs)
        high = estimate + np.hypot(self._row_distance(z, -self.matrix, paired), runs)
        return low, high

    def _limits(self, z: float) -> tuple[FloatArray, FloatArray]:
        low, high = wilson(self.rates.value, self.rates.n, z)
        if self.scale == "log":
            with np.errstate(divide="ignore"):
                low, high = np.log(low), np.log(high)
        return low, high

    def _row_distance(
        self, z: float, c: FloatArray, paired: tuple[FloatArray, FloatArray] | None
    ) -> FloatArray:
        """[M] distance from contrasts c to their lower limits: a quadratic form in their rates' distances."""
        low, high = self._limits(z)
        down = np.maximum(self.centre - low, 0.0)
        up = np.maximum(high - self.centre, 0.0)
        # A rate of 0 has an unbounded logarithm below: a contrast that needs that side has no limit there.
        endless = ((c > 0) & ~np.isfinite(down)).any(axis=1)
        part = np.where(c > 0, c * np.where(np.isfinite(down), down, 0.0), c * up)
        total = ((part @ self.rates.correlation) * part).sum(axis=1)
        if paired is not None:
            total += self._same_rows(part, c, paired)
        return np.where(endless, np.inf, np.sqrt(np.maximum(total, 0.0)))

    def _paired_distances(self, z: float) -> tuple[FloatArray, FloatArray]:
        """[K] distances of b_g - a_g, which share rows, to their own lower and upper limit."""
        r, k = self.rates, self.forms.shape[1]
        assert r.difference is not None
        assert r.discordance is not None
        assert r.scale is not None
        assert r.paired_n is not None
        low, high = tango(r.difference / r.scale, r.discordance, r.paired_n, z)
        low, high = r.scale * low, r.scale * high
        if self.scale == "rate":
            return r.difference - low, high - r.difference
        # On the log scale the limits of b are those of a + (b - a) at the observed a; below 0 there is none.
        base = np.maximum(r.value[:k], 0.5 / (r.n[:k] + 1))
        centre = self.centre[k:] - self.centre[:k]
        with np.errstate(divide="ignore"):
            low, high = (np.log(np.maximum(1 + v / base, 0.0)) for v in (low, high))
        return np.maximum(centre - low, 0.0), np.maximum(high - centre, 0.0)

    def _same_rows(
        self, part: FloatArray, c: FloatArray, paired: tuple[FloatArray, FloatArray]
    ) -> FloatArray:
        """[M] correction where a contrast holds b_g - a_g: those two share rows, so Tango's limits serve.

        Replaces part_a^2 + part_b^2 + 2 rho part_a part_b by the squared distance of the paired interval.
        """
        k = self.forms.shape[1]
        a, b = part[:, :k], part[:, k:]
        rho = np.diagonal(self.rates.correlation[:k, k:])
        usual = a**2 + b**2 + 2 * rho * a * b
        opposite: BoolArray = c[:, :k] * c[:, k:] < 0
        distance = np.where(c[:, k:] > 0, *paired)
        return np.asarray(np.where(opposite, distance**2 - usual, 0.0).sum(axis=1))

    @cached_property
    def distinct(self) -> IntArray:
        """Rows of `matrix` that are not another one with the sign turned.

        Square roots of primes are linearly independent over the rationals: two rows have the same sum of
        them, up to sign, only if they are the same row, up to sign.
        """
        key = np.abs(self.matrix @ np.sqrt(_primes(self.matrix.shape[1])))
        _, rows = np.unique(np.round(key, 9), return_index=True)
        return np.asarray(np.sort(rows))

    @cached_property
    def spread(self) -> FloatArray:
        """[P, P] smoothed covariance of the rates: never 0 on the diagonal."""
        r = self.rates
        share = (r.value * r.n + 2) / (r.n + 4)
        variance = share * (1 - share) / r.n
        if self.scale == "log":
            variance = variance / share**2
        deviation = np.sqrt(variance)
        return np.asarray(r.correlation * deviation[:, None] * deviation[None, :])


def _primes(count: int) -> FloatArray:
    sieve = np.ones(max(20, 2 * count * int(np.log(count + 2) + 2)), dtype=np.bool_)
    sieve[:2] = False
    for i in range(2, int(len(sieve) ** 0.5) + 1):
        sieve[i * i :: i] = False
    return np.flatnonzero(sieve)[:count].astype(np.float64)


def largest(parts: list[Contrasts], rng: np.random.Generator) -> Family:
    """The joint law of all contrasts of several maxima on disjoint rows (true and false positive rates).

    A contrast whose variance comes partly from runs is taken as that much less correlated with the others,
    which can only raise the critical value.
    """
    size = sum(len(c.distinct) for c in parts)
    draws = int(np.clip(NUMBERS // max(size, 1), *DRAWS))
    reach = np.zeros(draws)
    for c in parts:
        root = symmetric_root(c.spread)
        matrix = c.matrix[c.distinct]
        rows = ((matrix @ c.spread) * matrix).sum(axis=1)
        known = rows > 1e-12
        share = np.where(known, np.sqrt(rows / np.where(known, rows + c.run_variance[c.distinct], 1.0)), 0.0)
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
    for _ in range(200):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if critical(family, middle) < z else (middle, high)
    return high
