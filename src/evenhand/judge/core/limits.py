"""Limits and p-values of the comparisons of a family, at the error rate that was declared for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand.judge.core.disparities.bounds import bound_and_test_maxima
from evenhand.judge.core.evidence import Contrasts, PairedEstimate, Score, Swap, Wald
from evenhand.judge.stats.family import Family, discoveries
from evenhand.judge.stats.paired import ScorePaired, WaldPaired, stack
from evenhand.judge.stats.permutation import true_size
from evenhand.judge.stats.quantiles import z_of
from evenhand.tables.schema import FloatArray, IntArray


@dataclass(frozen=True)
class Limits:
    """Simultaneous limits and p-values of one pair.

    Attributes:
        low: lower limit.
        high: upper limit.
        harm: limit on the side of harm, at the level of one-sided bounds; NaN where it serves no verdict.
        p: pointwise p-value.
        adjusted: adjusted p-value.
        critical: normal quantile at which the limits were computed.
        harm_critical: normal quantile at which `harm` was computed.
    """

    low: float
    high: float
    harm: float
    p: float
    adjusted: float
    critical: float
    harm_critical: float


@dataclass(frozen=True)
class Members:
    """The pairs of a family that have an interval, and which of them are tests of their own.

    Attributes:
        pairs: [k].
        margins: [k] largest harmless difference, NaN where `harmless` is no possible verdict.
        first: [k] index of the first member that is the same test: a rate and its complement.
    """

    pairs: Sequence[PairedEstimate]
    margins: FloatArray
    first: IntArray

    @cached_property
    def distinct(self) -> IntArray:
        """Indices of the members that are the first of their test."""
        return np.unique(self.first)

    @cached_property
    def _stacked(self) -> list[tuple[list[int], ScorePaired | WaldPaired]]:
        """Estimates with limits of their own, with their indices; each kind together."""
        stacked: list[tuple[list[int], ScorePaired | WaldPaired]] = []
        for kind in (Score, Wald, Swap):
            members = {i: q.evidence for i, q in enumerate(self.pairs) if isinstance(q.evidence, kind)}
            if members:
                stacked.append((list(members), stack([e.estimate for e in members.values()])))
        return stacked

    @cached_property
    def _maxima(self) -> dict[int, Contrasts]:
        return {i: q.evidence for i, q in enumerate(self.pairs) if isinstance(q.evidence, Contrasts)}

    @cached_property
    def _bounds(self) -> dict[float, tuple[FloatArray, ...]]:
        return {}

    @cached_property
    def _noise(self) -> FloatArray:
        """[k] calibration error that noise can hide."""
        return np.array([q.evidence.noise if isinstance(q.evidence, Swap) else 0.0 for q in self.pairs])

    @cached_property
    def directions(self) -> IntArray:
        """[k] +1 where higher is better, -1 where lower is, 0 for neither."""
        return np.array([q.identity.direction for q in self.pairs])

    def p_values(self, level: float) -> FloatArray:
        """[k] pointwise p-values; those of disparities come with their limits at `level`."""
        p = np.full(len(self.pairs), np.nan)
        for at, estimates in self._stacked:
            p[at] = estimates.p_values()
        at, bounds = self._bound(level)
        p[at] = bounds[3]
        return p

    def interval(self, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """[k] low, high, and the normal quantile of each interval at 1 - level."""
        low, high = np.full((2, len(self.pairs)), np.nan)
        critical = np.full(len(self.pairs), float(z_of(level)))
        for at, estimates in self._stacked:
            low[at], high[at] = estimates.interval(level)
        at, bounds = self._bound(level)
        low[at], high[at], critical[at] = bounds[:3]
        return *_widen_by_noise(low, high, self._noise), critical

    def _bound(self, level: float) -> tuple[list[int], tuple[FloatArray, ...]]:
        """Bound the disparities, once for each level: their contrasts are drawn."""
        if level not in self._bounds:
            maxima = [e.maximum for e in self._maxima.values()]
            self._bounds[level] = bound_and_test_maxima(maxima, level)
        return list(self._maxima), self._bounds[level]

    def harm_limit(self, level: float) -> FloatArray:
        """[k] limit on the side of harm, which fails with probability `level`; NaN without a margin."""
        if np.isnan(self.margins).all():
            return self.margins
        low, high, _ = self.interval(2 * level)
        limit = np.where(self.directions > 0, low, high)
        return np.where((self.directions == 0) | np.isnan(self.margins), np.nan, limit)

    def excludes_margin(self, limit: FloatArray) -> int:
        """Count the tests of which a limit on the side of harm excludes a loss as large as the margin."""
        return int(np.sum((-self.directions * limit < self.margins)[self.distinct]))


def compute_limits(members: Members, joint: Family, alpha: float, *, error_rate: str) -> list[Limits]:
    """Compute limits and p-values of every member.

    The family fixes one pointwise level; each kind of inference then uses its own formula at that level, so
    that a p-value below alpha agrees with an interval that excludes 0. With the familywise error rate all
    intervals hold at once. Limits on the side of harm have a level of their own: with the familywise error
    rate all of them hold at once, so that no loss as large as its margin is called harmless.

    Args:
        members: of the family.
        joint: distribution of their statistics.
        alpha: the error rate of the family.
        error_rate: `familywise` or `false_discovery`.
    """
    if error_rate == "familywise":
        pointwise, one_sided = joint.pointwise(alpha), joint.one_sided(alpha)
        p = members.p_values(pointwise)
        adjusted = joint.adjust(p)
    else:
        p = members.p_values(alpha)
        distinct, pointwise = discoveries(p[members.distinct], alpha)
        adjusted = np.full(len(p), np.nan)
        adjusted[members.distinct] = distinct
        adjusted, one_sided = adjusted[members.first], _level_of_discoveries(members, alpha)
    low, high, critical = members.interval(pointwise)
    harm_critical = np.full(len(p), float(z_of(2 * one_sided)))
    columns = (*(low, high, members.harm_limit(one_sided), p, adjusted, critical, harm_critical),)
    return [Limits(*(float(c[i]) for c in columns)) for i in range(len(p))]


def _level_of_discoveries(members: Members, alpha: float) -> float:
    """Level of one-sided bounds at which the false discovery rate of `harmless` is at most alpha.

    Benjamini and Hochberg's step-up procedure without p-values: the largest R such that R bounds at the level
    R alpha / m exclude the margin. The count falls with R, so that repetition from m finds it.
    """
    tests = max(int(np.sum(~np.isnan(members.margins[members.distinct]))), 1)
    number = tests
    while number > 1:
        excluding = members.excludes_margin(members.harm_limit(number * alpha / tests))
        if excluding >= number:
            break
        number = max(excluding, 1)
    return number * alpha / tests


def _widen_by_noise(low: FloatArray, high: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Widen the side of an interval that crosses 0 by the calibration error that noise can hide."""
    if not (noise > 0).any():
        return low, high
    down, up = true_size(np.maximum(-low, 0.0), noise), true_size(np.maximum(high, 0.0), noise)
    return np.where((noise > 0) & (low < 0), -down, low), np.where((noise > 0) & (high > 0), up, high)
