"""Variances over runs that borrow from the other groups, metrics and arms of a family of comparisons.

Five runs estimate a variance with four degrees of freedom, and the t quantile at a family's level is then
about eight standard errors. But a variance over runs has two parts: flips of single answers, which the n rows
of a group measure well, and shifts of whole runs, which only runs measure. Shifts grow with how often answers
flip, so the variance of a cell (one arm in one column: one metric in one group) is expected at

    e + kappa phi^2,    e = phi / n,    phi: the rate at which answers flip between runs,

with kappa common to the arm's cells or to the group's. That holds for shares. The rows of other metrics have
values with a unit (nats, say), and the variance of a shift has that of phi: there the cell is expected at

    e + kappa phi.

The observed variance is moderated towards that
expectation, as if the latter had been seen in up to `PRIOR_DOF` more runs.

The variance over rows of a mean over runs contains the flips already. Only shifts are added to it, so that no
variation counts twice, and one t quantile serves both parts.

Source: moderated variances are Smyth's (2004, Statistical Applications in Genetics and Molecular Biology 3),
with an expectation that depends on phi; degrees of freedom of sums of variances: Satterthwaite (1946,
Biometrics Bulletin 2), with a smaller exponent. docs/statistics.md reports where they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand.judge.stats.combine import MIN_RUNS, Variation
from evenhand.judge.stats.quantiles import bisect, z_of
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Degrees of freedom of an expectation that comes from many cells.
PRIOR_DOF = 4.0

#: Exponent of phi in the expected variance of shifts: of shares, whose rows have answers, and of other
#: metrics, whose rows have values.
OF_ANSWERS, OF_VALUES = 2.0, 1.0

#: Largest kappa, and the bisection steps that find it. Flips that are shifts of equal answers give 2, skewed
#: shifts more.
MAX_KAPPA, KAPPA_STEPS = 4.0, 40

#: Least rate of flips: where an arm never varies there is nothing to divide by.
LEAST_RATE = 1e-12

#: An arm is unsteady if its kappa is so many times that of the others, which counts as `LEAST_KAPPA` or more.
UNSTEADY, LEAST_KAPPA = 10.0, 0.05

#: Exponent of the runs' share of a variance in its degrees of freedom. 2 is Satterthwaite's; a smaller one
#: keeps the extreme tails that large families need.
SHARE_EXPONENT = 1.5

#: Share of the correlation between runs of the same seed that is used. The correlation is itself estimated.
PAIRING_SHARE = 0.5

#: Correlation of equal seeds above which runs are closely paired, and what Fisher's variance of a correlation
#: takes off the degrees of freedom: 1 / (dof - 2).
CLOSE, FISHER_LOSS = 0.5, 2.0

#: Fewest flips, added up over columns, from which those of the difference say that runs are closely paired.
MIN_FLIPS = 30

#: Largest degrees of freedom: beyond, a t quantile is a normal one.
MAX_DOF = 1e7


@dataclass(frozen=True)
class RunCells:
    """The values of single runs of A arms in K columns; NaN where a column is not defined.

    Attributes:
        values: one [K, runs] array for each arm.
        flips: [A, K] variance of a single run's value that flips of single answers give.
        rows: [K] independent rows.
        group: [K] code of the column's group.
        reference: index of the arm that all others are compared with.
        paired: [A] whether the arm's runs share their seeds, in this order, with the reference's.
        flips_of_difference: [A, K] as `flips`, of the difference between the arm's run and the reference's of
            the same seed; NaN where runs are not paired.
        size: [A, K], or one for all: square of what one flip moves a row by; 1 for answers that are right or
            wrong, and the variance over rows for other values.
        exponent: `OF_ANSWERS` or `OF_VALUES`.
    """

    values: Sequence[FloatArray]
    flips: FloatArray
    rows: FloatArray
    group: IntArray
    reference: int
    paired: BoolArray
    flips_of_difference: FloatArray
    size: FloatArray | float = 1.0
    exponent: float = OF_ANSWERS

    @cached_property
    def runs(self) -> IntArray:
        """[A] runs of each arm."""
        return np.array([v.shape[1] for v in self.values])

    @cached_property
    def observed(self) -> FloatArray:
        """[A, K] variance over the runs."""
        return np.stack([v.var(axis=1, ddof=1) for v in self.values])

    @cached_property
    def _size(self) -> FloatArray:
        """[A, K] `size`, for each cell."""
        return np.asarray(np.broadcast_to(self.size, self.flips.shape))

    @cached_property
    def rate(self) -> FloatArray:
        """[A, K] phi, with one more flip than observed: answers that never flipped may do so."""
        rate = self.flips * self.rows + self.size / (self.rows * self.runs[:, None])
        return np.asarray(np.maximum(rate, LEAST_RATE))

    @cached_property
    def floor(self) -> FloatArray:
        """[A, K] e, the variance of a single run's value when runs do not shift."""
        return np.asarray(self.rate / self.rows)

    @cached_property
    def expected(self) -> FloatArray:
        """[A, K] variance that the flip rate lets expect.

        The larger kappa, of the arm and of the group, protects a single unstable arm as well as a single
        unstable group. An arm that is far less steady than the others, as one with a failed run, has its own
        kappa, and says nothing about the groups of the others.
        """
        arms, columns = self.rate.shape
        known = ~np.isnan(self.observed)
        of_arm = self._kappa(np.repeat(np.arange(arms)[:, None], columns, axis=1), known)
        steady = known & ~unsteady_arms(of_arm[:, 0], self.runs)[:, None]
        of_group = self._kappa(np.repeat(self.group[None, :], arms, axis=0), steady)
        return np.asarray(self.floor + np.maximum(of_arm, of_group) * self.rate**self.exponent)

    def _kappa(self, part: IntArray, known: BoolArray) -> FloatArray:
        """[A, K] the least kappa in [0, MAX_KAPPA] at which observed / expected averages at most 1 in a part.

        Args:
            part: [A, K] code of the part to which each cell belongs.
            known: [A, K] cells that count.
        """
        size = int(part.max()) + 1
        cells = np.maximum(np.bincount(part[known], minlength=size), 1)

        def too_small(kappa: FloatArray) -> BoolArray:
            ratio = self.observed / (self.floor + kappa[part] * self.rate**self.exponent)
            return np.asarray(np.bincount(part[known], ratio[known], size) / cells > 1)

        kappa, _ = bisect(np.zeros(size), np.full(size, MAX_KAPPA), too_small, KAPPA_STEPS)
        return np.asarray(kappa[part])

    @cached_property
    def prior_dof(self) -> FloatArray:
        """[A] degrees of freedom of the expectation: few where no other runs support it."""
        observed_dof = self.runs - 1.0
        return np.asarray(1 / (1 / PRIOR_DOF + 1 / np.maximum(observed_dof.sum() - observed_dof, 1.0)))

    @cached_property
    def variance(self) -> FloatArray:
        """[A, K] moderated variance of a single run's value."""
        prior, dof = self.prior_dof[:, None], self.runs[:, None] - 1.0
        return np.asarray((prior * self.expected + dof * self.observed) / (prior + dof))

    @cached_property
    def correlation(self) -> float:
        """Correlation of runs of the same seed in a candidate and the reference, pooled over all columns.

        0 below five runs, where it is not estimated.
        """
        products, sizes = 0.0, 0.0
        for arm in np.flatnonzero(self.paired):
            if arm == self.reference or self.runs[arm] < MIN_RUNS:
                continue
            a, b = (self._standardised(i) for i in (self.reference, int(arm)))
            both = ~(np.isnan(a) | np.isnan(b))
            products += float(np.sum(a[both] * b[both]))
            sizes += float(np.sqrt(np.sum(a[both] ** 2) * np.sum(b[both] ** 2)))
        return products / sizes if sizes > 0 else 0.0

    def _standardised(self, arm: int) -> FloatArray:
        values = self.values[arm]
        centred = values - values.mean(axis=1, keepdims=True)
        return np.asarray(centred / np.sqrt(np.maximum(self.variance[arm], 1e-12))[:, None])

    def differences(self, candidate: IntArray, column: IntArray) -> RunPart:
        """Variances over runs of the difference of candidate and reference, in means over their runs.

        The larger of two estimates: that of two arms which vary independently, less half of what the
        correlation of equal seeds would take off; and, where runs can be paired, that of the differences of
        single runs, which holds for any dependence of the arms. Where seeds are closely paired, the variances
        of the arms say nothing about their difference, and the differences are cells themselves.

        Args:
            candidate: [k] arms.
            column: [k] columns.
        """
        arms = (np.full(len(candidate), self.reference), candidate)
        a, b = (self.variance[arm, column] / self.runs[arm] for arm in arms)
        floor = sum(self.floor[arm, column] / self.runs[arm] for arm in arms)
        dof_a, dof_b = (self.prior_dof[arm] + self.runs[arm] - 1 for arm in arms)
        correlation = np.where(self.paired[candidate], PAIRING_SHARE * self.correlation, 0.0)
        two_arms = a + b - 2 * correlation * np.sqrt(a * b)
        variance = np.fmax(two_arms, self._paired(candidate, column))
        dof = (a + b) ** 2 / (a**2 / dof_a + b**2 / dof_b)
        # The runs of real trainings are skewed: three or four seldom show it, and the sum of two variances
        # has not the degrees of freedom that it would have for normal ones.
        few = np.minimum(*(self.runs[arm] for arm in arms)) < MIN_RUNS
        dof = np.where(few, np.minimum(dof_a, dof_b), dof)
        part = RunPart(variance, np.asarray(floor), dof, a / (a + b))
        return part.replaced(*self._close(candidate, column))

    def _close(self, candidate: IntArray, column: IntArray) -> tuple[BoolArray, RunPart]:
        """[k] which candidates are closely paired with the reference, and the part of their differences."""
        arms = np.array([self.closely_paired(arm) for arm in range(len(self.values))])
        close = arms[candidate]
        part = RunPart(*(np.zeros(len(candidate)) for _ in range(4)))
        if not close.any():
            return close, part
        chosen = np.flatnonzero(arms)
        reference = self.values[self.reference]
        differences = RunCells(
            [self.values[arm] - reference for arm in chosen.tolist()],
            self.flips_of_difference[chosen],
            self.rows,
            self.group,
            0,
            np.ones(len(chosen), dtype=np.bool_),
            np.full((len(chosen), len(self.rows)), np.nan),
            self._size[chosen] / 2 + self._size[self.reference] / 2,
            self.exponent,
        )
        at = np.searchsorted(chosen, candidate[close]), column[close]
        runs = differences.runs[at[0]]
        part.variance[close], part.floor[close] = (
            differences.variance[at] / runs,
            differences.floor[at] / runs,
        )
        part.dof[close] = differences.prior_dof[at[0]] + runs - 1
        return close, part

    def closely_paired(self, arm: int) -> bool:
        """Return True where runs of equal seeds are alike for certain.

        Either their answers flip together: the flips of the difference have less than half of the variance
        that those of both arms have together. Or their values correlate by more than `CLOSE`: with the lower
        limit of Fisher, at one-sided 97.5 %, of the correlation pooled over columns. Columns vary together,
        so they count as the participation ratio of their principal components (the square of the sum of
        squared singular values, over the sum of their squares), at most S - 1.
        """
        if arm == self.reference or not self.paired[arm] or self.runs[arm] != self.runs[self.reference]:
            return False
        a, b = (self._standardised(i) for i in (self.reference, arm))
        known = ~(np.isnan(a) | np.isnan(b) | np.isnan(self.flips_of_difference[arm])[:, None]).any(axis=1)
        if not known.any():
            return False
        of_arms = [self.reference, arm]
        unit = self.rows / np.maximum(self._size[of_arms].mean(axis=0), LEAST_RATE)
        flips = (self.flips[of_arms].sum(axis=0) * unit)[known]
        left = (self.flips_of_difference[arm] * unit)[known].sum() / max(flips.sum(), 1e-12)
        if left < 1 - CLOSE and float(flips @ self.rows[known]) >= MIN_FLIPS:
            return True
        return self._correlate(a[known], b[known])

    def _correlate(self, a: FloatArray, b: FloatArray) -> bool:
        """Return True where the rows of two [k, runs] arrays correlate by more than `CLOSE` for certain."""
        if not (a.any() and b.any()):
            return False
        sizes = [np.linalg.svd(x, compute_uv=False) ** 2 for x in (a, b)]
        dof = (a.shape[1] - 1) * min(float(x.sum() ** 2 / np.sum(x**2)) for x in sizes)
        correlation = float(np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2)))
        if dof <= FISHER_LOSS or correlation <= CLOSE:
            return False
        if correlation >= 1:
            return True
        limit = np.arctanh(correlation) - float(z_of(0.05)) / np.sqrt(dof - FISHER_LOSS)
        return bool(limit > np.arctanh(CLOSE))

    def _paired(self, candidate: IntArray, column: IntArray) -> FloatArray:
        """[k] moderated variance of the mean of paired differences; NaN where arms have unlike numbers."""
        variance = np.full(len(candidate), np.nan)
        for arm in np.unique(candidate):
            if self.runs[arm] != self.runs[self.reference]:
                continue
            at = candidate == arm
            of_arm = column[at]
            dof, prior = self.runs[arm] - 1.0, self.prior_dof[[arm, self.reference]].min()
            difference = self.values[arm][of_arm] - self.values[self.reference][of_arm]
            expected = self.expected[arm, of_arm] + self.expected[self.reference, of_arm]
            moderated = (prior * expected + dof * difference.var(axis=1, ddof=1)) / (prior + dof)
            variance[at] = moderated / self.runs[arm]
        return variance


def unsteady_arms(kappa: FloatArray, runs: IntArray) -> BoolArray:
    """Mark arms whose kappa is many times the median of the others', with three arms or more.

    Args:
        kappa: [A].
        runs: [A] of each arm; the kappa of three or four is more uncertain, and has to be larger.

    Returns:
        [A].
    """
    arms = len(kappa)
    if arms < 3:
        return np.zeros(arms, dtype=np.bool_)
    others = np.array([np.median(np.delete(kappa, arm)) for arm in range(arms)])
    times = UNSTEADY * np.maximum((MIN_RUNS - 1) / (runs - 1), 1.0) ** 2
    return np.asarray(kappa > times * np.maximum(others, LEAST_KAPPA))


@dataclass(frozen=True)
class RunPart:
    """Contribution of runs to the variance of k differences.

    Attributes:
        variance: [k] of the difference over runs, flips included.
        floor: [k] the part that flips give.
        dof: [k] degrees of freedom of `variance`.
        reference_share: [k] share of the reference in the sum of the arms' variances.
    """

    variance: FloatArray
    floor: FloatArray
    dof: FloatArray
    reference_share: FloatArray

    def replaced(self, where: BoolArray, other: RunPart) -> RunPart:
        """Return the part with the variance, floor and degrees of freedom of another one at some places."""
        return RunPart(
            np.where(where, other.variance, self.variance),
            np.where(where, other.floor, self.floor),
            np.where(where, other.dof, self.dof),
            self.reference_share,
        )

    def join(self, row_variance: FloatArray, row_dof: FloatArray) -> Variation:
        """Join with the variance over rows of the same differences, which contains the flips.

        The less of the total comes from runs, the more degrees of freedom has the common quantile.

        Args:
            row_variance: [k].
            row_dof: [k] clusters minus one, or infinite.
        """
        shift = np.maximum(self.variance - self.floor, 0.0)
        total = row_variance + shift
        # Equal values in all rows and runs leave a total of 0, beside a floor of rounding errors.
        of_runs = np.maximum(self.variance, self.floor) / np.where(total > 0, total, 1.0)
        share = np.where(total > 0, np.minimum(of_runs, 1.0), 1.0)
        dof = np.minimum(self.dof / share**SHARE_EXPONENT, MAX_DOF)
        return Variation(np.minimum(dof, row_dof), shift, dof, np.minimum(self.floor, row_variance))
