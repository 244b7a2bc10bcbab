"""The two sources of variation of an estimate, rows and runs, and their join in one distance to a limit.

Rows always vary; runs enter from five of them on, since fewer do not estimate the variation of further runs.
The distances to a limit are computed separately and combined as the root of the sum of squares (MOVER: Zou
and Donner 2008), each with its own quantile: normal or score for rows, t for runs (Howe 1974). Every interval
of the package that contains runs is computed here, so another formula is a change of this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from evenhand.judge.stats.quantiles import t_of, t_to_z, z_to_t
from evenhand.tables.schema import BoolArray, FloatArray

#: Runs per arm from which intervals include the variation between runs, and so hold for the method.
MIN_RUNS = 5

#: The same where variances over runs are moderated (`moderated.py`): there the other groups, metrics and arms
#: support those of a few runs.
MIN_RUNS_MODERATED = 3


def unit_of(runs: int, *, least: int = MIN_RUNS) -> Literal["rows", "rows and runs"]:
    """Name the sources of variation in an interval, from the runs of the arm that has the fewest.

    Args:
        runs: of that arm.
        least: number of runs from which they enter.
    """
    return "rows and runs" if runs >= least else "rows"


def variance_over_runs(*values: FloatArray) -> tuple[FloatArray, float]:
    """Variance of a mean over runs, or of a sum of independent means, and its degrees of freedom.

    Args:
        values: each [..., runs] the values of single runs. Differences of runs that share a seed are one
            array; arms that vary independently are one array each.

    Returns:
        [...] the variance, and the number of runs minus one (of the array with the fewest); 0 and infinity
        below five runs, where the result holds for these runs only.
    """
    fewest = min(v.shape[-1] for v in values)
    if fewest < MIN_RUNS:
        return np.zeros(values[0].shape[:-1]), np.inf
    parts = [np.asarray(np.var(v, ddof=1, axis=-1) / v.shape[-1]) for v in values]
    return np.asarray(sum(parts[1:], start=parts[0])), fewest - 1.0


def join(rows: FloatArray | float, runs: FloatArray | float) -> FloatArray:
    """[k] distance to a limit, from the distances that rows and runs give alone."""
    return np.asarray(np.hypot(rows, runs))


@dataclass(frozen=True)
class Variation:
    """Parts of the limits of k estimates besides their distances over rows; fields broadcast.

    Attributes:
        row_dof: degrees of freedom behind the distances over rows: clusters minus one, or infinite.
        run_variance: [k] variance of the mean over runs, or 0.
        run_dof: its degrees of freedom.
        flip_variance: [k] part of the variance over rows that more runs would reduce as well.
    """

    row_dof: FloatArray | float
    run_variance: FloatArray
    run_dof: FloatArray | float
    flip_variance: FloatArray | float = 0.0

    @classmethod
    def of_runs(cls, row_dof: float, *values: FloatArray) -> Self:
        """Take the part of the runs from their values; see `variance_over_runs`."""
        return cls(row_dof, *variance_over_runs(*values))

    @classmethod
    def stack(cls, variations: Sequence[Variation]) -> Self:
        """Stack the variations of k single estimates."""
        columns = zip(*(v.columns for v in variations), strict=True)
        return cls(*(np.array(column, dtype=np.float64) for column in columns))

    def at(self, k: int) -> Self:
        """Return the variation of a single estimate: the inverse of `stack`."""
        shape = np.shape(self.run_variance)
        return type(self)(*(np.asarray(np.broadcast_to(column, shape)[k]) for column in self.columns))

    @property
    def columns(self) -> tuple[FloatArray | float, ...]:
        """All fields, in order."""
        return self.row_dof, self.run_variance, self.run_dof, self.flip_variance

    def row_quantile(self, z: FloatArray | float) -> FloatArray:
        """Quantile of a distance over rows at the level whose normal quantile is z."""
        return z_to_t(z, self.row_dof)

    def row_level(self, t: FloatArray) -> FloatArray:
        """Normal quantile of the level whose quantile over rows is t: the inverse of `row_quantile`."""
        return t_to_z(t, self.row_dof)

    def run_distance(self, z: FloatArray | float) -> FloatArray:
        """[k] distance to a limit when runs are the only source of variation."""
        if not (self.run_variance > 0).any():
            return np.zeros(np.broadcast(z, self.run_variance).shape)
        # Without variance the product is 0, even where the quantile is infinite.
        quantile = np.where(self.run_variance > 0, z_to_t(z, self.run_dof), 0.0)
        return np.asarray(quantile * np.sqrt(self.run_variance))

    def distance(self, rows: FloatArray, z: FloatArray | float) -> FloatArray:
        """[k] distance to a limit, from the distance over rows at the same normal quantile z."""
        return join(rows, self.run_distance(z))

    def reaches(self, distance: FloatArray, rows: FloatArray, z: FloatArray | float) -> BoolArray:
        """[k] whether the joined distance is greater than `distance`."""
        return np.asarray(rows**2 + self.run_distance(z) ** 2 > distance**2)


def run_half_width(values: FloatArray, alpha: float) -> float:
    """Half width of the t interval of a mean over runs at level 1 - alpha; 0 below five runs.

    Args:
        values: [runs] the value of each run.
        alpha: 1 - alpha is the level.
    """
    runs = len(values)
    if runs < MIN_RUNS:
        return 0.0
    return float(t_of(alpha, runs - 1.0)) * float(np.std(values, ddof=1)) / float(np.sqrt(runs))


def share_limits(
    value: float, rows: tuple[FloatArray, FloatArray] | tuple[float, float], runs: float
) -> tuple[float, float]:
    """Limits of a share within [0, 1], from its limits over rows and its half width over runs."""
    low, high = (float(v) for v in rows)
    return max(value - float(join(value - low, runs)), 0.0), min(value + float(join(high - value, runs)), 1.0)
