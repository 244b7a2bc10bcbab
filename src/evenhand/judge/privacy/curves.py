"""ROC curves by group, and the stability of attacks over targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates
from evenhand.judge.privacy.order import placement_values
from evenhand.judge.privacy.rates import status_of
from evenhand.judge.privacy.rows import CurveRow, StabilityRow, Status
from evenhand.judge.privacy.settings import PrivacySettings, at_fpr
from evenhand.tables.schema import FloatArray

#: False positive rates of a drawn curve: ten per decade.
CURVE_FPRS = tuple(float(f"{10 ** (-4 + i / 10):.6g}") for i in range(41))


def roc_row(estimates: AttackEstimates, group: Group, fprs: Sequence[float]) -> CurveRow:
    """Build the ROC curve of one group: true positive rates at pooled thresholds, averaged over targets.

    Points below 1 / non-members are left out: no threshold reaches them. `own_fpr` is the false positive rate
    among the group's non-members at the same thresholds; empty where the group has no non-members.
    """
    row = CurveRow(
        input=estimates.scored.arm,
        attack=estimates.scored.attack,
        attribute=group.attribute,
        group=group.name,
        runs=len(estimates.scored.runs),
    )
    if estimates.scored.reason:
        return row
    parts = [order.parts(group.rows) for order in estimates.orders]
    inside, outside = [np.sort(p[0]) for p in parts], [np.sort(p[2]) for p in parts]
    if any(len(scores) == 0 for scores in inside):
        return row
    fewest = min(order.non_members.size for order in estimates.orders)
    grid = sorted(f for f in {*CURVE_FPRS, *fprs} if f * fewest >= 1 - 1e-9)
    thresholds_by_fpr = [
        [o.non_members.threshold(int(f * o.non_members.size + 1e-9) + 1) for o in estimates.orders]
        for f in grid
    ]
    group_fpr = (
        [_positive_rate(outside, thresholds) for thresholds in thresholds_by_fpr]
        if all(map(len, outside))
        else []
    )
    tpr = [_positive_rate(inside, thresholds) for thresholds in thresholds_by_fpr]
    return replace(row, fpr=grid, tpr=tpr, group_fpr=group_fpr)


def _positive_rate(scores: Sequence[FloatArray], thresholds: Sequence[float]) -> float:
    """Mean over targets of the share of scores (each array ascending) above the target's threshold."""
    shares = [
        1 - np.searchsorted(rising, threshold, side="right") / len(rising)
        for rising, threshold in zip(scores, thresholds, strict=True)
    ]
    return float(np.mean(shares))


def stability_row(
    estimates: AttackEstimates, group: Group, g: int, settings: PrivacySettings
) -> StabilityRow:
    """Measure how consistently the same members of a group are identified over targets.

    Rows that are members for two targets or more are examined, at the largest of the false positive rates.
    Reported are the shares of these rows that all, some and none of their targets identify, and the
    intraclass correlation of a row's placement (the share of non-members with a lower score): 1 if the
    placement depends on the row only, 0 if only on chance. Source of the latter: Shrout and Fleiss (1979),
    ICC(1, 1), unequal numbers.
    """
    fpr = max(settings.fprs)
    row = StabilityRow(
        input=estimates.scored.arm,
        attack=estimates.scored.attack,
        attribute=group.attribute,
        group=group.name,
        fpr=fpr,
        runs=len(estimates.scored.runs),
    )
    status, reason = status_of(estimates, at_fpr(fpr), g, settings)
    if not status.has_value:
        return replace(row, status=status, reason=reason)
    times, hits, first, second = _sum_over_targets(estimates, group, fpr)
    repeated = times >= 2
    rows = int(repeated.sum())
    if rows < settings.min_group_size:
        reason = f"{rows} rows are members for two runs or more, fewer than {settings.min_group_size}"
        return replace(row, n=rows, status=Status.TOO_SMALL if rows else Status.UNDEFINED, reason=reason)
    times, hits, first, second = times[repeated], hits[repeated], first[repeated], second[repeated]
    return replace(
        row,
        n=rows,
        always=float(np.mean(hits == times)),
        sometimes=float(np.mean((hits > 0) & (hits < times))),
        never=float(np.mean(hits == 0)),
        intraclass_correlation=intraclass(times, first, second),
        status=Status.OK,
    )


def _sum_over_targets(
    estimates: AttackEstimates, group: Group, fpr: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """[r] sums over the targets that each row is a member for: targets, hits, placements, their squares."""
    times, hits, first, second = np.zeros((4, len(group.rows)))
    for order in estimates.orders:
        inside, rows, _, _ = order.parts(group.rows)
        threshold = order.non_members.threshold(int(fpr * order.non_members.size + 1e-9) + 1)
        placement = placement_values(inside, order.non_members.scores)
        times[rows] += 1
        hits[rows] += inside > threshold
        first[rows] += placement
        second[rows] += placement**2
    return times, hits, first, second


def intraclass(times: FloatArray, first: FloatArray, second: FloatArray) -> float:
    """One-way random-effects intraclass correlation, ICC(1, 1), with unequal numbers of observations.

    Args:
        times: [r] number of observations of each row.
        first: [r] their sum.
        second: [r] their sum of squares.
    """
    total, rows = float(times.sum()), len(times)
    within = float(np.sum(second - first**2 / times))
    between = float(np.sum(first**2 / times) - first.sum() ** 2 / total)
    if rows < 2 or total <= rows:
        return float("nan")
    size = (total - float(np.sum(times**2)) / total) / (rows - 1)
    inner, outer = within / (total - rows), between / (rows - 1)
    spread = outer + (size - 1) * inner
    return (outer - inner) / spread if spread > 0 else float("nan")
