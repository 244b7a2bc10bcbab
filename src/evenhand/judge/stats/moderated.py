"""Variances over runs that borrow from the other groups, metrics and arms of a family of comparisons.

Five runs estimate a variance with four degrees of freedom, and the t quantile at a family's level is then
about eight standard errors. But a variance over runs has two parts: flips of single answers, which the n rows
of a group measure well, and shifts of whole runs, which only runs measure. Shifts grow with how often answers
flip, so the variance of a cell (one arm in one column: one metric in one group) is expected at

    e + kappa phi^2,    e = phi / n,    phi: the rate at which answers flip between runs,

with kappa common to the arm's cells or to the group's. The observed variance is moderated towards that
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
from evenhand.judge.stats.quantiles import bisect
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Degrees of freedom of an expectation that comes from many cells.
PRIOR_DOF = 4.0

#: Largest kappa, and the bisection steps that find it. Flips that are shifts of equal answers give 2, skewed
#: shifts more.
MAX_KAPPA, KAPPA_STEPS = 4.0, 40

#: Exponent of the runs' share of a variance in its degrees of freedom. 2 is Satterthwaite's; a smaller one
#: keeps the extreme tails that large families need.
SHARE_EXPONENT = 1.5

#: Share of the correlation between runs of the same seed that is used. The correlation is itself estimated.
PAIRING_SHARE = 0.5

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
    """

    values: Sequence[FloatArray]
    flips: FloatArray
    rows: FloatArray
    group: IntArray
    reference: int
    paired: BoolArray

    @cached_property
    def runs(self) -> IntArray:
        """[A] runs of each arm."""
        return np.array([v.shape[1] for v in self.values])

    @cached_property
    def observed(self) -> FloatArray:
        """[A, K] variance over the runs."""
        return np.stack([v.var(axis=1, ddof=1) for v in self.values])

    @cached_property
    def rate(self) -> FloatArray:
        """[A, K] phi, with one more flip than observed: answers that never flipped may do so."""
        return np.asarray(self.flips * self.rows + 1 / (self.rows * self.runs[:, None]))

    @cached_property
    def floor(self) -> FloatArray:
        """[A, K] e, the variance of a single run's value when runs do not shift."""
        return np.asarray(self.rate / self.rows)

    @cached_property
    def expected(self) -> FloatArray:
        """[A, K] variance that the flip rate lets expect.

        The larger kappa, of the arm and of the group, protects a single unstable arm as well as a single
        unstable group.
        """
        arms, columns = self.rate.shape
        of_arm = self._kappa(np.repeat(np.arange(arms)[:, None], columns, axis=1))
        of_group = self._kappa(np.repeat(self.group[None, :], arms, axis=0))
        return np.asarray(self.floor + np.maximum(of_arm, of_group) * self.rate**2)

    def _kappa(self, part: IntArray) -> FloatArray:
        """[A, K] the least kappa in [0, MAX_KAPPA] at which observed / expected averages at most 1 in a part.

        Args:
            part: [A, K] code of the part to which each cell belongs.
        """
        known = ~np.isnan(self.observed)
        size = int(part.max()) + 1
        cells = np.maximum(np.bincount(part[known], minlength=size), 1)

        def too_small(kappa: FloatArray) -> BoolArray:
            ratio = self.observed / (self.floor + kappa[part] * self.rate**2)
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
        single runs, which holds for any dependence of the arms.

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
        return RunPart(variance, np.asarray(floor), np.where(few, np.minimum(dof_a, dof_b), dof), a / (a + b))

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

    def join(self, row_variance: FloatArray, row_dof: FloatArray) -> Variation:
        """Join with the variance over rows of the same differences, which contains the flips.

        The less of the total comes from runs, the more degrees of freedom has the common quantile.

        Args:
            row_variance: [k].
            row_dof: [k] clusters minus one, or infinite.
        """
        shift = np.maximum(self.variance - self.floor, 0.0)
        share = np.minimum(np.maximum(self.variance, self.floor) / (row_variance + shift), 1.0)
        dof = np.minimum(self.dof / share**SHARE_EXPONENT, MAX_DOF)
        return Variation(np.minimum(dof, row_dof), shift, dof, np.minimum(self.floor, row_variance))
