"""The rows or the runs that would settle undecided comparisons, and what limits them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from evenhand.judge.planning.parts import Parts, common_factor, fewest_rows, fewest_runs
from evenhand.judge.rows import ComparisonRow
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: No more rows or runs than this are named.
MOST = 1e12


def settle(rows: Sequence[ComparisonRow], directions: Sequence[int], arms: int) -> list[ComparisonRow]:
    """Fill in what would settle undecided rows if their differences stayed the same.

    Either of rows and runs is named if it suffices alone. Where neither does, both are named: with so many
    rows and so many runs together. Rows of which only the variance over rows is known name no runs. Where the
    difference is so close to 0 or to the margin that nothing suffices, it is the difference that limits.

    Args:
        rows: of one family.
        directions: of each row's metric: +1 when higher is better, -1 when lower is.
        arms: number of arms whose runs are moderated together.
    """
    undecided = [i for i, row in enumerate(rows) if row.verdict == "undecided"]
    if not undecided:
        return list(rows)
    some = [rows[i] for i in undecided]
    parts = Parts.of_rows([vars(row) for row in some], arms)
    accepts = _Differences.of(some, np.array([directions[i] for i in undecided]), parts).settled
    by_rows = fewest_rows(parts, accepts)
    with_runs = np.array([row.unit != "rows" for row in some])
    by_runs = np.where(with_runs, fewest_runs(parts, accepts), np.nan)
    factor = common_factor(parts, accepts, MOST)
    settled = list(rows)
    for k, i in enumerate(undecided):
        needed, runs = _integer(by_rows[k]), _integer(by_runs[k])
        limit = "rows" if runs is None else "runs" if needed is None else "either"
        if needed is None and runs is None:
            needed, limit = _integer(np.ceil(parts.rows[k] * factor[k])), "rows"
            if with_runs[k]:
                runs, limit = _integer(np.ceil(parts.runs[k] * factor[k])), "both"
            limit = "difference" if needed is None else limit
        settled[i] = replace(some[k], rows_to_settle=needed, runs_to_settle=runs, limited_by=limit)
    return settled


@dataclass(frozen=True)
class _Differences:
    """Differences as they are, and their limits with other parts.

    Attributes:
        harm: [k] the loss.
        room: [k] margin less the loss; NaN without a margin.
        critical: [k] normal quantile of the intervals.
        harm_critical: [k] the same of the limits on the side of harm.
        scale: [k] actual half width over that of the variances: limits of shares are not symmetric, and wider
            than their variance says where few rows differ.
    """

    harm: FloatArray
    room: FloatArray
    critical: FloatArray
    harm_critical: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, rows: Sequence[ComparisonRow], directions: IntArray, parts: Parts) -> Self:
        """Take the differences from rows."""
        harm = -directions * np.array([row.difference for row in rows])
        margins = np.array([math.nan if row.margin is None else row.margin for row in rows])
        critical = np.array([row.critical for row in rows])
        half = np.array([(row.high - row.low) / 2 for row in rows])
        scale = half / np.maximum(parts.half_width(critical), 1e-300)
        return cls(harm, margins - harm, critical, np.array([row.harm_critical for row in rows]), scale)

    def settled(self, parts: Parts) -> BoolArray:
        """[k] whether the differences would be decided with these parts."""
        proven = self.scale * parts.half_width(self.critical) < np.abs(self.harm)
        harmless = self.scale * parts.half_width(self.harm_critical) < self.room
        return np.asarray(proven | (harmless & ~np.isnan(self.room)))


def _integer(number: float) -> int | None:
    return int(number) if number < MOST else None
