"""Forecasts: what intervals and their power become with more rows or more runs.

The variance of a difference has three parts: what rows differ by in every run, which falls with the number
of rows; flips of single answers, which fall with rows x runs; and shifts of whole runs, which fall with runs.
Degrees of freedom follow the same formulas as the intervals themselves (`moderated.py`, or runs minus one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.judge.stats.moderated import MAX_DOF, PRIOR_DOF, SHARE_EXPONENT
from evenhand.judge.stats.quantiles import z_to_t
from evenhand.tables.schema import BoolArray, FloatArray

#: Largest factor of rows that is looked at, largest number of runs, and steps of bisection.
MAX_FACTOR, MAX_RUNS, STEPS = 1e6, 1000, 45


@dataclass(frozen=True)
class Parts:
    """The parts of the variances of k differences, at some numbers of rows and runs; fields broadcast.

    Attributes:
        rows: examples.
        runs: of each arm.
        row_variance: over rows, flips included.
        flip_variance: part of `row_variance` that more runs reduce as well.
        run_variance: of shifts of whole runs.
        row_dof: degrees of freedom of the quantile of the rows.
        run_dof: the same of the runs.
        arms: number of arms whose runs are moderated together.
        moderated: whether variances over runs are moderated.
        excess: squared distance to a limit over rows, over quantile squared times variance; limits of shares
            are wider than their variance says where few rows differ.
    """

    rows: FloatArray
    runs: FloatArray
    row_variance: FloatArray
    flip_variance: FloatArray
    run_variance: FloatArray
    row_dof: FloatArray
    run_dof: FloatArray
    arms: FloatArray
    moderated: BoolArray
    excess: FloatArray | float = 1.0

    @classmethod
    def of_rows(cls, comparisons: Sequence[Mapping[str, Any]], arms: int) -> Self:
        """Take the parts from rows of `comparisons`; a row without them has its width as that of rows.

        Args:
            comparisons: rows that have an interval, as mappings.
            arms: number of arms of the audit.
        """

        def column(name: str, missing: float) -> FloatArray:
            values = [row.get(name) for row in comparisons]
            return np.array([missing if v is None or np.isnan(v) else v for v in values], dtype=np.float64)

        half = np.array([(row["high"] - row["low"]) / 2 for row in comparisons])
        rows = column("row_variance", np.nan)
        rows = np.where(np.isnan(rows), (half / column("critical", 1.96)) ** 2, rows)
        flips, shifts = column("flip_variance", np.nan), column("run_variance", 0.0)
        # In an interval of rows alone, other variances than that of runs may stand in the place of theirs:
        # those of a threshold, for instance, which is estimated from rows as well.
        of_rows = np.array([row["unit"] == "rows" for row in comparisons])
        rows, shifts = np.where(of_rows, rows + shifts, rows), np.where(of_rows, 0.0, shifts)
        return cls(
            column("n", np.nan),
            column("runs", 1.0),
            rows,
            np.nan_to_num(flips),
            shifts,
            column("row_dof", np.inf),
            column("run_dof", np.inf),
            np.full(len(comparisons), float(arms)),
            ~np.isnan(flips),
        )

    @property
    def variance(self) -> FloatArray:
        """[k] of the difference, over rows and runs."""
        return np.asarray(self.row_variance + self.run_variance)

    @property
    def dof(self) -> FloatArray:
        """[k] degrees of freedom of `variance` (Satterthwaite 1946)."""
        uncertain = self.row_variance**2 / self.row_dof + self.run_variance**2 / self.run_dof
        with np.errstate(divide="ignore"):
            summed = np.where(uncertain > 0, self.variance**2 / np.where(uncertain > 0, uncertain, 1), np.inf)
        return np.where(self.moderated, self.run_dof, summed)

    @property
    def base_dof(self) -> FloatArray:
        """[k] degrees of freedom of the variance over runs itself, flips included."""
        return np.where(self.moderated, self.run_dof * self._share**SHARE_EXPONENT, self.run_dof)

    @property
    def _share(self) -> FloatArray:
        """[k] share of flips and shifts in the variance."""
        total = np.where(self.variance > 0, self.variance, 1.0)
        return np.maximum(np.minimum((self.flip_variance + self.run_variance) / total, 1.0), 1e-9)

    def at(self, rows: FloatArray | float, runs: FloatArray | float) -> Self:
        """Return the parts at other numbers of rows and runs."""
        of_rows, of_runs = self.rows / rows, self.runs / runs
        steady = np.maximum(self.row_variance - self.flip_variance, 0.0) * of_rows
        flips, shifts = self.flip_variance * of_rows * of_runs, self.run_variance * of_runs
        other = replace(
            self,
            rows=np.asarray(rows * np.ones_like(self.rows)),
            runs=np.asarray(runs * np.ones_like(self.runs)),
            row_variance=steady + flips,
            excess=1 + (self.excess - 1) * of_rows,
            flip_variance=flips,
            run_variance=shifts,
        )
        scaled = self.base_dof * moderated_dof(self.arms, other.runs) / moderated_dof(self.arms, self.runs)
        moderated = np.minimum(scaled / other._share**SHARE_EXPONENT, MAX_DOF)
        # Without a variance over runs (too few of them) there is nothing to scale.
        alone = np.where(self.run_variance > 0, np.maximum(other.runs - 1, 1), self.run_dof)
        run_dof = np.where(self.moderated, moderated, alone)
        clusters = np.where(np.isfinite(self.row_dof), (self.row_dof + 1) / of_rows - 1, np.inf)
        return replace(other, run_dof=run_dof, row_dof=np.where(self.moderated, run_dof, clusters))

    def with_run_variance(self, factor: FloatArray) -> Self:
        """Return the parts with the variance over runs, flips and shifts together, times a factor."""
        shifts = np.maximum((self.flip_variance + self.run_variance) * factor - self.flip_variance, 0.0)
        return replace(self, run_variance=shifts)

    def with_row_variance(self, factor: FloatArray) -> Self:
        """Return the parts with the variance over rows times a factor, and flips as they are."""
        return replace(self, row_variance=self.row_variance * factor)

    def with_widths(self, half: FloatArray, z: FloatArray) -> Self:
        """Return the parts with the excess of intervals that have these half widths.

        Args:
            half: [k] half widths at the present rows and runs.
            z: [k] normal quantile of each interval.
        """
        shifts = np.where(self.run_variance > 0, z_to_t(z, self.run_dof), 0.0) ** 2 * self.run_variance
        rows = z_to_t(z, self.row_dof) ** 2 * self.row_variance
        known = (rows > 0) & np.isfinite(rows)
        excess = np.where(known, (half**2 - shifts) / np.where(known, rows, 1.0), 1.0)
        return replace(self, excess=np.maximum(excess, 1.0))

    def half_width(self, z: FloatArray | float) -> FloatArray:
        """[k] half width at the level of the normal quantile z."""
        rows = z_to_t(z, self.row_dof) * np.sqrt(self.row_variance * self.excess)
        shifts = np.where(self.run_variance > 0, z_to_t(z, self.run_dof), 0.0)
        return np.asarray(np.hypot(rows, shifts * np.sqrt(self.run_variance)))

    def power(self, effect: FloatArray | float, z: FloatArray | float) -> FloatArray:
        """[k] probability that the limit on the side of 0 excludes 0, when the difference is `effect` > 0.

        The tail of a noncentral t variable by its normal approximation, in which the estimated variance has
        its own uncertainty: P(T > t) = Phi((effect / s - t) / sqrt(1 + t^2 / (2 dof))).

        Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions 2, chapter 31.
        """
        from scipy.special import ndtr  # noqa: PLC0415

        s = np.sqrt(np.where(self.variance > 0, self.variance, 1e-30))
        t = self.half_width(z) / s
        return np.asarray(ndtr((effect / s - t) / np.sqrt(1 + t**2 / (2 * self.dof))))


def moderated_dof(arms: FloatArray, runs: FloatArray) -> FloatArray:
    """Degrees of freedom of the difference of two arms' moderated variances; see `moderated.RunCells`."""
    prior = 1 / (1 / PRIOR_DOF + 1 / np.maximum((arms - 1) * (runs - 1), 1.0))
    return np.where(runs < MIN_RUNS, 1.0, 2.0) * (prior + runs - 1)


def fewest_rows(parts: Parts, accepts: Callable[[Parts], BoolArray]) -> FloatArray:
    """[k] the fewest rows, at the present runs, that a condition accepts; NaN where no number does."""

    def enough(log_factor: FloatArray) -> BoolArray:
        return accepts(parts.at(parts.rows * np.exp(log_factor), parts.runs))

    low, high = np.full(len(parts.rows), np.log(1 / MAX_FACTOR)), np.full(len(parts.rows), np.log(MAX_FACTOR))
    possible = enough(high)
    for _ in range(STEPS):
        middle = (low + high) / 2
        accepted = enough(middle)
        low, high = np.where(accepted, low, middle), np.where(accepted, middle, high)
    return np.where(possible, np.ceil(parts.rows * np.exp(high) - 1e-6), np.nan)


def fewest_runs(parts: Parts, accepts: Callable[[Parts], BoolArray], least: int = 2) -> FloatArray:
    """[k] the fewest runs, from `least` on, at the present rows, that a condition accepts; NaN: none does."""
    low, high = np.full(len(parts.rows), least - 1), np.full(len(parts.rows), MAX_RUNS)
    possible = accepts(parts.at(parts.rows, high.astype(np.float64)))
    for _ in range(int(np.ceil(np.log2(MAX_RUNS))) + 1):
        middle = (low + high) // 2
        accepted = accepts(parts.at(parts.rows, np.maximum(middle, least).astype(np.float64)))
        accepted &= middle >= least
        wide = high - low > 1
        low, high = np.where(wide & ~accepted, middle, low), np.where(wide & accepted, middle, high)
    return np.where(possible, high, np.nan)


def common_factor(parts: Parts, accepts: Callable[[Parts], BoolArray], most: float) -> FloatArray:
    """[k] the factor from 1 by which rows and runs together have to grow; infinite where none suffices.

    Args:
        parts: at the present rows and runs.
        accepts: the condition.
        most: largest factor.
    """

    def enough(log_factor: FloatArray) -> BoolArray:
        factor = np.exp(log_factor)
        return accepts(parts.at(parts.rows * factor, parts.runs * factor))

    low, high = np.zeros(len(parts.rows)), np.full(len(parts.rows), np.log(most))
    possible, already = enough(high), enough(low)
    for _ in range(STEPS):
        middle = (low + high) / 2
        accepted = enough(middle)
        low, high = np.where(accepted, low, middle), np.where(accepted, middle, high)
    return np.where(already, 1.0, np.where(possible, np.exp(high), np.inf))
