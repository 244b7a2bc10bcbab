"""Bounds and p-values of disparities, each a maximum of linear forms of group rates; many at a time.

Invariant: every bound follows from simultaneous bounds of all contrasts (`stats/forms.py`) at one critical
value, so it holds whichever groups attain the maximum. A p-value is the level at which a bound reaches 0, so
it always agrees with the interval.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from evenhand.judge.core.disparities.inputs import Maximum
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.stats.family import Family
from evenhand.judge.stats.forms import Contrasts, gap_forms, stacked, worst_forms
from evenhand.judge.stats.largest import critical, draw_largest, level_of
from evenhand.tables.schema import FloatArray, IntArray

#: The search for p-values ends at this normal quantile (p = 1e-32), with this tolerance.
MAX_Z, TOLERANCE = 12.0, 1e-6

#: Maximum elements of an array of contrasts; it limits the number of maxima that are bounded at once.
MAX_MATRIX_ELEMENTS = 1_000_000

#: Maximum concurrent draws. Each maximum has its own seed, so results do not depend on the number of threads;
#: numpy releases the interpreter's lock while it draws.
MAX_THREADS = 8


def bound_maxima(maxima: Sequence[Maximum], alpha: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bound each maximum at level 1 - alpha.

    Returns:
        [k] low, [k] high, and [k] the normal quantile at which its contrasts are bounded.
    """
    limits = np.full((3, len(maxima)), np.nan)
    for index, batch in _batches(maxima):
        z = np.array([critical(family, alpha) for family in batch.families])
        limits[:, index] = *batch.at(z), z
    low, high, z = limits
    return low, high, z


def bound_and_test_maxima(
    maxima: Sequence[Maximum], alpha: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Bound each maximum as `bound_maxima` does, and compute p-values.

    Returns:
        [k] low, high and quantile, and [k] the levels at which a limit reaches 0.
    """
    limits = np.full((4, len(maxima)), np.nan)
    for index, batch in _batches(maxima):
        z = np.array([critical(family, alpha) for family in batch.families])
        limits[:, index] = *batch.at(z), z, batch.p_values()
    low, high, z, p = limits
    return low, high, z, p


def _batches(maxima: Sequence[Maximum]) -> Iterator[tuple[IntArray, Batch]]:
    """Yield batches of maxima of one disparity over equally many groups, each with its indices."""
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, maximum in enumerate(maxima):
        alike[maximum.info, *(r.shape for r in maximum.rates)].append(index)
    for indices in alike.values():
        size = Batch.of([maxima[indices[0]]]).size
        step = max(1, MAX_MATRIX_ELEMENTS // size)
        for start in range(0, len(indices), step):
            chosen = indices[start : start + step]
            yield np.array(chosen), Batch.of([maxima[i] for i in chosen])


@dataclass(frozen=True)
class Batch:
    """B maxima of the same disparity over equally many groups.

    Attributes:
        info: the disparity's facts.
        value: [B] the estimates.
        parts: the contrasts of each metric of the disparity.
        seeds: seeds of the draws of the largest contrast, one for each maximum.
    """

    info: DisparityInfo
    value: FloatArray
    parts: list[Contrasts]
    seeds: list[tuple[int, ...]]

    @classmethod
    def of(cls, maxima: Sequence[Maximum]) -> Batch:
        """Stack maxima of one kind."""
        info = maxima[0].info
        scale: Literal["rate", "log"] = "log" if info.form == "ratio" else "rate"
        parts = []
        for part in zip(*(m.rates for m in maxima), strict=True):
            rates = stacked(part)
            groups = rates.value.shape[1] // (1 if rates.paired is None else 2)
            forms = (worst_forms if info.form == "worst" else gap_forms)(groups)
            parts.append(Contrasts(rates, forms, scale))
        return cls(info, np.array([m.value for m in maxima]), parts, [m.seed for m in maxima])

    @property
    def size(self) -> int:
        """Elements of the array of one maximum's contrasts."""
        return max(c.matrix.size for c in self.parts)

    @cached_property
    def families(self) -> list[Family]:
        """[B] the joint distribution of all contrasts of each maximum."""

        def draw(index: int, seed: tuple[int, ...]) -> Family:
            return draw_largest(self.parts, index, np.random.default_rng(seed))

        with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
            return list(pool.map(draw, range(len(self.seeds)), self.seeds))

    def at(self, z: FloatArray, at: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Bound some of the maxima, with every contrast bounded at the normal quantile z.

        Args:
            z: [A] normal quantiles.
            at: [A] indices of the maxima; None is all.

        Returns:
            [A] low and [A] high of the combined disparity.
        """
        which = np.arange(len(self.value)) if at is None else at
        low, high = (
            np.stack(limits)
            for limits in zip(*(self._part_limits(c, z, which) for c in self.parts), strict=True)
        )
        if self.info.combine == "mean":
            return low.mean(axis=0), high.mean(axis=0)
        if self.parts[0].two_arms:  # max(b) - max(a) is between the smallest and largest difference
            return low.min(axis=0), high.max(axis=0)
        if self.info.combine == "max":
            return low.max(axis=0), high.max(axis=0)
        return low.min(axis=0), high.min(axis=0)

    def _part_limits(self, c: Contrasts, z: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray]:
        bounds = c.bounds(z, at)
        low, high = c.maximum(*bounds)
        if self.info.form == "gap":
            return np.maximum(low, -1.0 if c.two_arms else 0.0), np.minimum(high, 1.0)
        if self.info.form == "worst":
            return (-high, -low) if c.two_arms else (np.maximum(-high, 0.0), np.minimum(-low, 1.0))
        if not c.two_arms:
            return np.exp(-high), np.minimum(np.exp(-low), 1.0)
        # The contrasts bound log(candidate's ratio / reference's ratio). The difference of the ratios is
        # reference's ratio * (exp(.) - 1): bound it with the reference's limits, and also by the difference
        # of the limits of both ratios. All hold simultaneously, so the tighter applies. 700 avoids overflow.
        down, up = np.expm1(np.minimum(-high, 700.0)), np.expm1(np.minimum(-low, 700.0))
        (candidate_low, candidate_high), (least, most) = (
            [np.exp(np.minimum(-v, 0.0)) for v in reversed(pair)] for pair in c.each_maximum(*bounds)
        )
        lower = np.maximum(down * np.where(down > 0, least, most), candidate_low - most)
        upper = np.minimum(up * np.where(up > 0, most, least), candidate_high - least)
        return lower, upper

    def p_values(self) -> FloatArray:
        """[B] levels at which a limit reaches 0: roots of that limit in z, by regula falsi (Illinois).

        The limit nearer to 0 is monotone in z. Illinois: when one end stays for two steps its value is
        halved, or convergence would be one-sided and slow. Source: Dowell and Jarratt (1971), BIT 11.
        """
        inner, outer = np.full(len(self.value), 1e-6), np.full(len(self.value), MAX_Z)
        every = np.arange(len(self.value))
        f_inner, f_outer = self._nearest_limit(inner, every), self._nearest_limit(outer, every)
        last = np.zeros(len(self.value))
        crosses = ~(f_inner <= 0) & ~(f_outer > 0)
        while len(at := np.flatnonzero(crosses & (outer - inner > TOLERANCE))):
            z = self._next_quantile(inner[at], outer[at], f_inner[at], f_outer[at])
            value = self._nearest_limit(z, at)
            above = value > 0
            again_above, again_below = above & (last[at] == 1), ~above & (last[at] == -1)
            inner[at], outer[at] = np.where(above, z, inner[at]), np.where(above, outer[at], z)
            f_inner[at], f_outer[at] = (
                np.where(above, value, f_inner[at] / np.where(again_below, 2, 1)),
                np.where(above, f_outer[at] / np.where(again_above, 2, 1), value),
            )
            last[at] = np.where(above, 1, -1)
        reached = np.where(f_outer > 0, outer, inner)
        return np.array(
            [
                1.0 if none else level_of(family, z)
                for family, z, none in zip(self.families, reached.tolist(), f_inner <= 0, strict=True)
            ]
        )

    def _nearest_limit(self, z: FloatArray, at: IntArray) -> FloatArray:
        """[A] the limit nearer to 0 at z, with its sign such that it is positive while 0 is excluded."""
        low, high = self.at(z, at)
        return np.where(self.value[at] > 0, low, -high)

    @staticmethod
    def _next_quantile(
        inner: FloatArray, outer: FloatArray, f_inner: FloatArray, f_outer: FloatArray
    ) -> FloatArray:
        """[A] the next quantile to evaluate: a secant step, kept strictly inside the bracket."""
        bounded = np.maximum(f_outer, -1.0)
        z = (inner * bounded - outer * f_inner) / (bounded - f_inner)
        # A limit may be exactly 0 over a range of z (a ratio cut off at 0); then the secant would stay at the
        # outer end, and bisection finds where the range begins.
        z = np.where(f_outer == 0, (inner + outer) / 2, z)
        return np.minimum(np.maximum(z, inner + TOLERANCE / 2), outer - TOLERANCE / 2)
