"""The range of one number of an attack over groups, from simultaneous bounds on all pairwise differences.

If the intervals of all differences hold simultaneously, the range (largest minus smallest value) is between
the largest lower and the largest upper bound; the same family tests the hypothesis that all groups are equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.judge.core import estimates as counts
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rates import effective_rows
from evenhand.judge.stats.family import correlated, independent
from evenhand.judge.stats.forms import gap_forms
from evenhand.judge.stats.paired import WaldPaired


def range_limits(
    estimates: AttackEstimates,
    metric: str,
    groups: Sequence[tuple[int, Group]],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Return the limits of the range, and the p-value of the hypothesis that all groups are equal.

    Args:
        estimates: the estimates of one attack on one arm.
        metric: the name of the number.
        groups: two or more groups, each with its index among all groups.
        alpha: 1 - alpha is the simultaneous level.
        rng: source of the draws for the critical value.
    """
    group_estimates = [estimates.leakage[metric, g] for g, _ in groups]
    n = estimates.scored.scores.shape[1]
    influence = np.stack(
        [
            estimate.influence(group.rows, n)
            for estimate, (_, group) in zip(group_estimates, groups, strict=True)
        ]
    )
    covariance = influence @ influence.T + np.diag(
        [
            _missing_variance(estimate, estimates, g)
            for estimate, (g, _) in zip(group_estimates, groups, strict=True)
        ]
    )
    all_forms = gap_forms(len(group_estimates))
    # Each difference occurs with both signs; one of them is enough, since intervals are two-sided.
    forms = np.array([f for f in all_forms if np.flatnonzero(f)[0] == np.flatnonzero(f > 0)[0]])
    values = np.stack([estimate.values for estimate in group_estimates])
    rows = np.einsum("fg,gh,fh->f", forms, covariance, forms)
    runs, dof = np.zeros(len(forms)), np.full(len(forms), np.inf)
    targets = values.shape[1]
    if targets >= counts.MIN_RUNS:
        runs = (forms @ values).var(axis=1, ddof=1) / targets
        dof = np.full(len(forms), targets - 1.0)
    paired = WaldPaired(forms @ values.mean(axis=1), rows, np.full(len(forms), np.inf), runs, dof)
    if not (rows + runs > 0).all():
        return float("nan"), float("nan"), float("nan")
    # Differences that share a group are correlated; the critical value accounts for that correlation.
    scale = 1 / np.sqrt(rows + runs)
    correlation = (forms @ covariance @ forms.T) * scale[:, None] * scale[None, :]
    np.fill_diagonal(correlation, 1.0)
    family = correlated(np.clip(correlation, -1, 1), rng) if len(forms) > 1 else independent(1)
    low, high = paired.interval(family.pointwise(alpha))
    # An interval that contains 0 bounds the absolute difference by 0 from below.
    lower_bounds = np.maximum(np.maximum(low, -high), 0.0)
    adjusted = family.adjust(paired.p_values())
    return float(lower_bounds.max()), float(min(np.maximum(high, -low).max(), 1.0)), float(adjusted.min())


def _missing_variance(estimate: LeakageEstimate, estimates: AttackEstimates, g: int) -> float:
    """Return the variance to add where few rows carry information.

    The variance of a share with one pseudo-hit and one pseudo-miss is a lower bound, so that a group whose
    rows all agree does not get a variance of zero.
    """
    variance = float(estimate.row_influence @ estimate.row_influence)
    n = float(min(estimates.members[:, g].min(), estimates.non_members[:, g].min()))
    if estimate.numerator is not None:
        n = effective_rows(estimate)
    shrunk = (estimate.value * n + 1) / (n + 2)
    pseudo_variance = shrunk * (1 - shrunk) / (n + 2)
    certain = estimate.numerator is not None or variance <= 0
    return max(pseudo_variance - variance, 0.0) if certain else 0.0
