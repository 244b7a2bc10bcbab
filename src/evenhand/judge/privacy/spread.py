"""How far groups lie apart in one number of an attack: simultaneous bounds on all differences of two groups.

With every difference held at once, the largest lower bound and the largest upper bound hold the largest less
the smallest value; the same bounds say whether the groups may be all alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.judge.core import estimates as counts
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rates import effective
from evenhand.judge.stats.family import correlated, independent
from evenhand.judge.stats.forms import gap_forms
from evenhand.judge.stats.paired import WaldPaired


def spread_of(
    seen: AttackEstimates,
    metric: str,
    groups: Sequence[tuple[int, Group]],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Limits of the largest less the smallest value, and the p-value of no difference at all.

    Args:
        seen: what an attack shows of an arm.
        metric: the number.
        groups: two or more, with their places among all.
        alpha: 1 - alpha is the simultaneous level.
        rng: source of the draws for the critical value.
    """
    leaks = [seen.leaks[metric, g] for g, _ in groups]
    n = seen.scored.scores.shape[1]
    influence = np.stack(
        [leak.influence(group.rows, n) for leak, (_, group) in zip(leaks, groups, strict=True)]
    )
    covariance = influence @ influence.T + np.diag(
        [_floor(leak, seen, g) for leak, (g, _) in zip(leaks, groups, strict=True)]
    )
    half = gap_forms(len(leaks))
    forms = np.array([f for f in half if np.flatnonzero(f)[0] == np.flatnonzero(f > 0)[0]])
    values = np.stack([leak.values for leak in leaks])
    rows = np.einsum("fg,gh,fh->f", forms, covariance, forms)
    runs, dof = np.zeros(len(forms)), np.full(len(forms), np.inf)
    targets = values.shape[1]
    if targets >= counts.ENOUGH_RUNS:
        runs = (forms @ values).var(axis=1, ddof=1) / targets
        dof = np.full(len(forms), targets - 1.0)
    estimates = WaldPaired(forms @ values.mean(axis=1), rows, np.full(len(forms), np.inf), runs, dof)
    if not (rows + runs > 0).all():
        return float("nan"), float("nan"), float("nan")
    scale = 1 / np.sqrt(rows + runs)
    correlation = (forms @ covariance @ forms.T) * scale[:, None] * scale[None, :]
    np.fill_diagonal(correlation, 1.0)
    family = correlated(np.clip(correlation, -1, 1), rng) if len(forms) > 1 else independent(1)
    low, high = estimates.interval(family.pointwise(alpha))
    apart = np.maximum(np.maximum(low, -high), 0.0)
    adjusted = family.adjust(estimates.p_values())
    return float(apart.max()), float(min(np.maximum(high, -low).max(), 1.0)), float(adjusted.min())


def _floor(leak: LeakageEstimate, seen: AttackEstimates, g: int) -> float:
    """What a variance over rows lacks where few rows say anything: a share with one more hit and miss."""
    own = float(leak.own @ leak.own)
    n = float(min(seen.members[:, g].min(), seen.others[:, g].min()))
    if leak.numerator is not None:
        n = effective(leak)
    moved = (leak.value * n + 1) / (n + 2)
    few = moved * (1 - moved) / (n + 2)
    certain = leak.numerator is not None or own <= 0
    return max(few - own, 0.0) if certain else 0.0
