"""Rows of `rates`: one number of one attack on one arm in one group, with a pointwise interval.

Three sources of variation are combined: each contributes the distance from the estimate to its limit, and the
interval's limit is at the root of their sum of squares. The sources are the rows of the group
(Clopper-Pearson for one target, else Wilson with the effective number of rows), the rank of the pooled
threshold among the non-members' scores, and targets (Student's t, from five targets on).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenhand.judge.core import estimates as counts
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rows import LeakageRow, Status
from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings, at_fpr
from evenhand.judge.stats.combine import run_half_width, share_limits, unit_of
from evenhand.judge.stats.intervals import clopper_pearson, wilson
from evenhand.judge.stats.quantiles import z_of, z_to_t


def status_of(
    estimates: AttackEstimates, metric: str, g: int, settings: PrivacySettings
) -> tuple[Status, str]:
    """Return the status of a number in a group, and the reason where it is not judged."""
    if estimates.scored.reason:
        return Status.UNDEFINED, estimates.scored.reason
    members, non_members = int(estimates.members[:, g].min()), int(estimates.non_members[:, g].min())
    least = settings.min_group_size
    fpr = next((f for f in settings.fprs if at_fpr(f) == metric), None)
    if members == 0 or (non_members == 0 and fpr is None):
        return Status.UNDEFINED, _empty_reason(estimates, g, inside=members == 0)
    if fpr is not None:
        fewest = min(order.non_members.size for order in estimates.orders)
        if fewest * fpr < 1 - 1e-9:
            every = (
                "non-members with a score"
                if not np.isfinite(estimates.scored.scores).all()
                else "non-members"
            )
            return Status.NOT_RESOLVABLE, _unresolved_reason(fewest, fpr, every)
    if members < least:
        return Status.TOO_SMALL, _too_few_reason(estimates, g, members, least, inside=True)
    if fpr is None and non_members < least:
        return Status.TOO_SMALL, _too_few_reason(estimates, g, non_members, least, inside=False)
    return Status.OK, ""


def _empty_reason(estimates: AttackEstimates, g: int, *, inside: bool) -> str:
    """Explain that a group has no members (or non-members), or none with a score."""
    name = "member" if inside else "non-member"
    lacking = np.flatnonzero((estimates.members if inside else estimates.non_members)[:, g] == 0)
    unscored = estimates.unscored[g][0 if inside else 1] if g in estimates.unscored else None
    without = [t for t in lacking if unscored is None or not unscored.counts[t]]
    runs = estimates.scored.runs
    where = f" in run '{runs[(without or lacking)[0]]}'" if len(lacking) < len(runs) else ""
    if without or unscored is None:
        return f"no {name}s in the group{where}"
    return f"no {name} of the group{where} has a score ({unscored.reason})"


def _too_few_reason(estimates: AttackEstimates, g: int, count: int, least: int, *, inside: bool) -> str:
    """Explain that a group has too few members (or non-members), or too few with a score."""
    name = "members" if inside else "non-members"
    unscored = estimates.unscored[g][0 if inside else 1] if g in estimates.unscored else None
    most = int(unscored.counts.max()) if unscored is not None else 0
    if unscored is None or not most:
        return f"{count} {name}, fewer than {least}"
    return f"{count} {name} with a score ({most} have none: {unscored.reason}), fewer than {least}"


def _unresolved_reason(fewest: int, fpr: float, every: str) -> str:
    """Explain why the true positive rate at a low false positive rate is not resolvable."""
    return (
        f"not resolvable: {fewest:,} {every}, and a false positive rate of {fpr:g} takes at least "
        f"{int(np.ceil(1 / fpr - 1e-9)):,}"
    )


def rate_row(
    estimates: AttackEstimates, metric: str, group: Group, g: int, settings: PrivacySettings
) -> LeakageRow:
    """Build one row of `rates`."""
    scored = estimates.scored
    status, reason = status_of(estimates, metric, g, settings)
    row = LeakageRow(
        input=scored.arm,
        attack=scored.attack,
        attribute=group.attribute,
        group=group.name,
        n=group.n,
        n_positive=round(float(estimates.members[:, g].mean()), 2) if estimates.members.size else None,
        runs=len(scored.runs),
        unit=unit_of(len(scored.runs)),
        metric=metric,
        level=1 - settings.alpha,
        status=status,
        reason=reason,
    )
    estimate = estimates.leakage.get((metric, g))
    if estimate is None or not status.has_value:
        return row
    low, high, interval = limits(estimates, estimate, metric, g, settings.alpha)
    return replace(
        row,
        value=estimate.value,
        low=low,
        high=high,
        false_positive_rate=estimate.false_positive_rate,
        interval=interval,
    )


def limits(
    estimates: AttackEstimates, estimate: LeakageEstimate, metric: str, g: int, alpha: float
) -> tuple[float, float, str]:
    """Return the lower and upper limit of one number, and the name of the interval."""
    runs = run_half_width(estimate.values, alpha)
    if metric not in (AUC, BALANCED):
        return _rate_limits(estimate, int(estimates.members[:, g].min()), alpha, runs)
    threshold = estimate.pooled_threshold
    threshold_variance = estimate.slope**2 * threshold.variance if threshold is not None else 0.0
    fewest = min(int(estimates.members[:, g].min()), int(estimates.non_members[:, g].min()))
    variance = float(estimate.row_influence @ estimate.row_influence) + threshold_variance
    value, n = estimate.value, float(fewest)
    if variance > 0 and 0 < value < 1:
        n = value * (1 - value) / variance
    z = float(z_to_t(z_of(alpha), max(fewest - 1.0, 1.0)))
    kind = "DeLong's variance" if metric == AUC else "influence values"
    low, high = share_limits(value, wilson(value, n, z), runs)
    return low, high, f"Wilson with {kind}, rows clustered over targets, pointwise"


def _rate_limits(
    estimate: LeakageEstimate, members: int, alpha: float, runs: float
) -> tuple[float, float, str]:
    """Limits of a true positive rate at pooled thresholds.

    The rank of the true threshold (a share f of n non-members exceeds it) is f n within sampling error, so
    the threshold is bounded by two order statistics. The distances below are taken from the estimate one
    order statistic higher: at the estimate's threshold the expected false positive rate is (k + 1) / (n + 1),
    slightly above f.
    """
    assert estimate.numerator is not None
    assert estimate.denominator is not None
    value, (strict, at_low, at_high) = estimate.value, estimate.threshold_bounds
    z = float(z_of(alpha))
    if len(estimate.values) == 1:
        kind = "Clopper-Pearson"
        bounds = [clopper_pearson(round(v * members), members, alpha) for v in (strict, value)]
    else:
        kind = "Wilson, rows clustered over targets"
        n = effective_rows(estimate)
        bounds = [wilson(v, n, z) for v in (strict, value)]
    down, up = strict - float(bounds[0][0]), float(bounds[1][1]) - value
    low = strict - float(np.sqrt(down**2 + max(strict - at_low, 0.0) ** 2 + runs**2))
    high = value + float(np.sqrt(up**2 + max(at_high - value, 0.0) ** 2 + runs**2))
    return max(low, 0.0), min(high, 1.0), f"{kind}, with order statistics of the threshold, pointwise"


def effective_rows(estimate: LeakageEstimate) -> float:
    """Effective number of rows: p (1 - p) / variance, at least Kish's number for the rows' weights."""
    assert estimate.numerator is not None
    assert estimate.denominator is not None
    floor = 1 / float(estimate.denominator @ estimate.denominator)
    variance, p = float(estimate.row_influence @ estimate.row_influence), estimate.value
    few = (
        min(int((estimate.numerator > 0).sum()), int((estimate.numerator < estimate.denominator).sum()))
        < counts.MIN_DISCORDANT_ROWS
    )
    return floor if few or not variance > 0 else max(p * (1 - p) / variance, floor)
