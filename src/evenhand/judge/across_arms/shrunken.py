"""Shrunken differences: an estimate of each group beside its direct one, which borrows from the other groups.

For every candidate, attribute and primary metric that is a share of the same rows. No verdict, and nothing
else in a result, depends on them. See `stats/groups/shrinkage.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand import registry
from evenhand.errors import plural
from evenhand.judge.core.evidence import Identity, PairedEstimate, Score
from evenhand.judge.core.moderation import moderate
from evenhand.judge.rows import ComparisonRow, ShrunkenRow
from evenhand.judge.settings import METRICS, Settings
from evenhand.judge.stats.groups.shrinkage import MIN_GROUPS, shrink_shares
from evenhand.judge.stats.paired import stack
from evenhand.tables.schema import IntArray, Predictions

#: What separates the groups of a crossing in its name.
CROSS = " x "

OVERLAP = "groups that may overlap share rows, so their differences cannot be drawn towards each other"


def shrunken_differences(
    pairs: Sequence[PairedEstimate],
    comparisons: Sequence[ComparisonRow],
    predictions: Predictions,
    settings: Settings,
) -> list[ShrunkenRow]:
    """Shrink the differences of the primary family, those of one candidate, attribute and metric together.

    Args:
        pairs: all comparisons.
        comparisons: their rows of the result.
        predictions: the rows, with the attributes.
        settings: the level.

    Returns:
        A row for each group, those without a shrunken difference with the reason.
    """
    judged = {_key(r): r for r in comparisons if r.family == "primary"}
    shares = {
        name
        for name in {r.metric for r in judged.values()}
        if name in registry.names(METRICS) and registry.load(METRICS, name).INFO.inference == "score"
    }
    direct = [p for p in pairs if p.identity.metric in shares and _key(p.identity) in judged]
    families: dict[tuple[str | None, ...], list[tuple[PairedEstimate, PairedEstimate]]] = {}
    for pair, moderated in zip(direct, moderate(direct), strict=True):
        if pair.identity.attribute is not None:
            families.setdefault(_key(pair.identity)[:4], []).append((pair, moderated))
    overlapping = {a.name for a in predictions.attributes if a.kind == "memberships"}
    rows = []
    for key, members in families.items():
        of_groups = [_row(judged[_key(p.identity)], settings.alpha) for p, _ in members]
        if key[1] in overlapping:
            rows += [_without(row, OVERLAP) for row in of_groups]
        else:
            rows += _shrunken(of_groups, members, settings.alpha)
    return rows


def _key(of: Identity | ComparisonRow) -> tuple[str | None, ...]:
    """Return candidate, attribute, class, metric and group."""
    return of.candidate, of.attribute, of.class_name, of.metric, of.group


def _row(row: ComparisonRow, alpha: float) -> ShrunkenRow:
    """Begin the row of a group from its comparison."""
    return ShrunkenRow(
        reference=row.reference,
        candidate=row.candidate,
        attribute=str(row.attribute),
        group=str(row.group),
        class_name=row.class_name,
        metric=row.metric,
        difference=row.difference,
        level=1 - alpha,
        n=row.n,
        runs=row.runs,
        unit=row.unit,
        status=row.status,
        reason=row.reason,
    )


def _without(row: ShrunkenRow, reason: str) -> ShrunkenRow:
    """State why a group has no shrunken difference; a reason that it has no interval at all comes first."""
    return row if row.status != "ok" else replace(row, status="undefined", reason=reason)


def _shrunken(
    rows: list[ShrunkenRow], members: list[tuple[PairedEstimate, PairedEstimate]], alpha: float
) -> list[ShrunkenRow]:
    """Shrink disjoint groups; those without an interval of their own are left out."""
    used = [i for i, (_, p) in enumerate(members) if isinstance(p.evidence, Score)]
    if len(used) < MIN_GROUPS:
        few = (
            f"{plural(len(used), 'group')} of this attribute can be compared, fewer than "
            f"{MIN_GROUPS}: too few to show how they vary"
        )
        return [_without(row, few) for row in rows]
    evidence = [(m.evidence, d.evidence) for d, m in (members[i] for i in used)]
    scores = [(m, d) for m, d in evidence if isinstance(m, Score) and isinstance(d, Score)]
    shares = stack([m.estimate for m, _ in scores])
    s = shrink_shares(
        shares,
        min(members[i][1].runs for i in used),
        alpha,
        crossing_codes([rows[i].group for i in used]),
        row_dof=np.array([d.estimate.variation.row_dof for _, d in scores], dtype=np.float64),
        moderated=np.array([m.moderated for m, _ in scores]),
    )
    low, high = shares.interval(alpha)
    result = list(rows)
    for k, i in enumerate(used):
        result[i] = replace(
            rows[i],
            direct_low=float(low[k]),
            direct_high=float(high[k]),
            shrunken_difference=float(s.estimate[k]),
            shrunken_low=float(s.low[k]),
            shrunken_high=float(s.high[k]),
            target=float(s.target[k]),
        )
    return result


def crossing_codes(groups: Sequence[str]) -> IntArray | None:
    """[attributes, G] value of each crossing in each attribute; None for groups of a single attribute.

    Names that cannot be taken apart into equally many parts count as groups of a single attribute.
    """
    parts = [name.split(CROSS) for name in groups]
    if len({len(p) for p in parts}) > 1 or len(parts[0]) < 2:
        return None
    return np.array([np.unique(column, return_inverse=True)[1] for column in zip(*parts, strict=True)])
