"""Curves and rows: the ROC curve of every group, and whether the same rows are found again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates
from evenhand.judge.privacy.order import standing
from evenhand.judge.privacy.rates import status_of
from evenhand.judge.privacy.settings import PrivacySettings, at_fpr
from evenhand.tables.schema import FloatArray

#: False positive rates of a drawn curve: ten to a decade.
POINTS = tuple(float(f"{10 ** (-4 + i / 10):.6g}") for i in range(41))


def roc_row(seen: AttackEstimates, group: Group, fprs: Sequence[float]) -> dict[str, Any]:
    """The curve of one group: true positive rates at pooled thresholds, averaged over targets.

    Points below 1 / non-members are left out: no threshold reaches them. `own_fpr` is the share of the
    group's own non-members above the thresholds; empty where it has none.
    """
    told: dict[str, Any] = {
        "input": seen.scored.arm,
        "attack": seen.scored.attack,
        "attribute": group.attribute,
        "group": group.name,
        "runs": len(seen.scored.runs),
        "fpr": [],
        "tpr": [],
        "own_fpr": [],
    }
    if seen.scored.reason:
        return told
    parts = [order.parts(group.rows) for order in seen.orders]
    inside, outside = [np.sort(p[0]) for p in parts], [np.sort(p[2]) for p in parts]
    if any(len(own) == 0 for own in inside):
        return told
    fewest = min(order.outside.size for order in seen.orders)
    grid = sorted(f for f in {*POINTS, *fprs} if f * fewest >= 1 - 1e-9)
    at = [[o.outside.threshold(int(f * o.outside.size + 1e-9) + 1) for o in seen.orders] for f in grid]
    own_fpr = [_called(outside, thresholds) for thresholds in at] if all(map(len, outside)) else []
    return told | {"fpr": grid, "tpr": [_called(inside, thresholds) for thresholds in at], "own_fpr": own_fpr}


def _called(scores: Sequence[FloatArray], thresholds: Sequence[float]) -> float:
    """Mean over targets of the share of some rows (with rising scores) above the thresholds."""
    shares = [
        1 - np.searchsorted(own, at, side="right") / len(own)
        for own, at in zip(scores, thresholds, strict=True)
    ]
    return float(np.mean(shares))


def stability_row(seen: AttackEstimates, group: Group, g: int, settings: PrivacySettings) -> dict[str, Any]:
    """Whether the same rows of a group are found in every target that was trained on them.

    Looked at are rows that are members for two targets or more, at the largest of the false positive rates.
    Given are the shares of them that all, some and none of these targets give away, and the intraclass
    correlation of a row's standing (share of non-members with a lower score): 1 when it depends on the row
    only, 0 when only on chance. Source of the latter: Shrout and Fleiss (1979), ICC(1, 1), unequal numbers.
    """
    fpr, nan = max(settings.fprs), float("nan")
    told: dict[str, Any] = {
        "input": seen.scored.arm,
        "attack": seen.scored.attack,
        "attribute": group.attribute,
        "group": group.name,
        "fpr": fpr,
        "n": 0,
        "always": nan,
        "sometimes": nan,
        "never": nan,
        "intraclass_correlation": nan,
        "runs": len(seen.scored.runs),
        "status": "undefined",
        "reason": "",
    }
    status, reason = status_of(seen, at_fpr(fpr), g, settings)
    if status == "undefined" or reason.startswith("not resolvable"):
        return told | {"status": status, "reason": reason}
    times, hits, first, second = _sums(seen, group, fpr)
    often = times >= 2
    rows = int(often.sum())
    if rows < settings.min_group_size:
        why = f"{rows} rows are members for two runs or more, fewer than {settings.min_group_size}"
        return told | {"n": rows, "status": "too_small" if rows else "undefined", "reason": why}
    times, hits, first, second = times[often], hits[often], first[often], second[often]
    return told | {
        "n": rows,
        "always": float(np.mean(hits == times)),
        "sometimes": float(np.mean((hits > 0) & (hits < times))),
        "never": float(np.mean(hits == 0)),
        "intraclass_correlation": intraclass(times, first, second),
        "status": "ok",
    }


def _sums(
    seen: AttackEstimates, group: Group, fpr: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """[r] of each row over the targets that it is a member for: their number, hits, standings, squares."""
    times, hits, first, second = np.zeros((4, len(group.rows)))
    for order in seen.orders:
        inside, rows, _, _ = order.parts(group.rows)
        at = order.outside.threshold(int(fpr * order.outside.size + 1e-9) + 1)
        above = standing(inside, order.outside.scores)
        times[rows] += 1
        hits[rows] += inside > at
        first[rows] += above
        second[rows] += above**2
    return times, hits, first, second


def intraclass(times: FloatArray, first: FloatArray, second: FloatArray) -> float:
    """One-way random-effects intraclass correlation from each row's number, sum and sum of squares."""
    total, rows = float(times.sum()), len(times)
    within = float(np.sum(second - first**2 / times))
    between = float(np.sum(first**2 / times) - first.sum() ** 2 / total)
    if rows < 2 or total <= rows:
        return float("nan")
    size = (total - float(np.sum(times**2)) / total) / (rows - 1)
    inner, outer = within / (total - rows), between / (rows - 1)
    spread = outer + (size - 1) * inner
    return (outer - inner) / spread if spread > 0 else float("nan")
