"""Disparate vulnerability: the range over groups, beside a control in which membership is permuted.

The training set of each target was drawn at random. Under the null hypothesis that no row leaks, memberships
are therefore exchangeable between rows: permuting them (those of a row in all targets together) leaves the
distribution of every statistic unchanged, while each row keeps its scores, its group and the correlation of
its scores over targets. Rows are exchanged within groups only (within equal combinations of group
memberships), so that each group's share of members is preserved. The control shows the range (largest minus
smallest value) that unequal group sizes, unequal scores and chance produce where nothing leaks.

The permutation tests the absence of any leakage. Where models leak equally in all groups, the range varies
more than in the control, so `p_value` is the larger of two p-values: that of the control, and that of the
hypothesis that all groups are equal (`range_limits`). Source of the notion: Kulynych et al. 2022,
https://arxiv.org/abs/1906.00389.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rates import effective_rows, status_of
from evenhand.judge.privacy.rows import Status, VulnerabilityRow
from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings, at_fpr
from evenhand.judge.stats.combine import Variation
from evenhand.judge.stats.family import correlated, independent
from evenhand.judge.stats.forms import gap_forms
from evenhand.judge.stats.paired import WaldPaired
from evenhand.tables.schema import Attribute, BoolArray, FloatArray, IntArray

#: Most scores that all permutations of an arm and attack read; the number of permutations never falls below
#: `MIN_PERMUTATIONS` for it.
MAX_PERMUTED_ELEMENTS, MIN_PERMUTATIONS = 2_000_000_000, 199

#: Combinations of group memberships with fewer rows than this form one stratum together.
MIN_STRATUM_ROWS = 10


def vulnerability_rows(
    estimates: AttackEstimates,
    attribute: Attribute,
    groups: Sequence[tuple[int, Group]],
    settings: PrivacySettings,
    rng: np.random.Generator,
) -> list[VulnerabilityRow]:
    """Build the rows of `vulnerability` for one attribute: the AUC and the true positive rate at each FPR.

    Args:
        estimates: the estimates of one attack on one arm.
        attribute: the attribute whose groups are compared.
        groups: its groups, each with its index among all groups.
        settings: smallest group, level and number of permutations.
        rng: source of the permutations.
    """
    metrics = [m for m in settings.metrics if m != BALANCED]
    used = {
        m: [i for i, (g, _) in enumerate(groups) if status_of(estimates, m, g, settings)[0] is Status.OK]
        for m in metrics
    }
    mostly_unscored = float(np.mean(np.isfinite(estimates.scored.scores).all(axis=0))) < 1 / 2
    impossible = mostly_unscored or bool(estimates.scored.reason)
    comparable = {m: positions for m, positions in used.items() if len(positions) > 1 and not impossible}
    ranges: dict[str, tuple[FloatArray, FloatArray]] = {}
    if comparable:
        ranges = _permutation_ranges(estimates, attribute, [g for _, g in groups], comparable, settings, rng)
    rows = []
    for metric in metrics:
        row = VulnerabilityRow(
            input=estimates.scored.arm,
            attack=estimates.scored.attack,
            attribute=attribute.name,
            metric=metric,
            level=1 - settings.alpha,
            runs=len(estimates.scored.runs),
            groups_used=[str(groups[i][1].name) for i in used[metric]],
            groups_left_out=[
                {"group": str(group.name), "reason": status_of(estimates, metric, g, settings)[1]}
                for i, (g, group) in enumerate(groups)
                if i not in used[metric]
            ],
        )
        if metric not in comparable:
            reason = _exclusion_reason(estimates, metric, groups, settings, mostly_unscored=mostly_unscored)
            rows.append(replace(row, reason=reason))
            continue
        observed, control = ranges[metric]
        low, high, p_alike = range_limits(
            estimates, metric, [groups[i] for i in used[metric]], settings.alpha, rng
        )
        # The observed membership counts as one of the permutations, so the p-value is exact and never 0; ties
        # within rounding error count as extreme.
        p_control = (1 + int((control >= observed - 1e-12).sum())) / (1 + len(control))
        row = replace(
            row,
            value=float(np.ptp([estimates.leakage[metric, groups[i][0]].value for i in used[metric]])),
            low=low,
            high=high,
            control=float(control.mean()),
            control_high=float(np.quantile(control, 1 - settings.alpha)),
            p_control=p_control,
            p_alike=p_alike,
            p_value=float(np.fmax(p_control, p_alike)),
            permutations=len(control),
            status=Status.OK,
        )
        rows.append(row)
    return rows


def _exclusion_reason(
    estimates: AttackEstimates,
    metric: str,
    groups: Sequence[tuple[int, Group]],
    settings: PrivacySettings,
    *,
    mostly_unscored: bool,
) -> str:
    """Explain why groups cannot be compared in a number."""
    if estimates.scored.reason:
        return estimates.scored.reason
    status, reason = status_of(estimates, metric, groups[0][0], settings)
    if status is Status.NOT_RESOLVABLE:
        return reason
    if mostly_unscored:
        return "fewer than half of the rows have a score in every run, so rows cannot be exchanged"
    return "fewer than two groups have enough members and non-members"


def strata(attribute: Attribute) -> IntArray:
    """[n] code of each row's stratum; rows are exchanged within a stratum only."""
    _, code, count = np.unique(np.stack(attribute.columns()), axis=1, return_inverse=True, return_counts=True)
    code = code.reshape(-1)
    return np.asarray(np.where(count[code] < MIN_STRATUM_ROWS, -1, code), dtype=np.int64)


def permute_within(stratum: IntArray, rng: np.random.Generator) -> IntArray:
    """[n] a random permutation of the rows that keeps each in its stratum."""
    by_stratum = np.argsort(stratum, kind="stable")
    permuted = by_stratum[np.lexsort((rng.random(len(stratum)), stratum[by_stratum]))]
    order = np.empty_like(by_stratum)
    order[by_stratum] = permuted
    return order


def _permutation_ranges(
    estimates: AttackEstimates,
    attribute: Attribute,
    groups: Sequence[Group],
    comparable: dict[str, list[int]],
    settings: PrivacySettings,
    rng: np.random.Generator,
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return the observed range over groups and the ranges under permutation, of every number.

    Returns:
        By number: [] the observed range, and [permutations] those under permuted membership.
    """
    # A membership vector can move to another row only if that row has a score in every target.
    complete = np.flatnonzero(np.isfinite(estimates.scored.scores).all(axis=0))
    scores, member = estimates.scored.scores[:, complete], estimates.scored.member[:, complete]
    groups_at = attribute.at(complete)
    rows = [np.flatnonzero(groups_at.in_group(i)) for i in range(len(groups))]
    ranks = [_ranks(scores[:, at]) for at in rows] if AUC in comparable else []
    tops = {at_fpr(f): _TopRanked(scores, rows, f) for f in settings.fprs if at_fpr(f) in comparable}
    # Large tables get fewer permutations, but never fewer than the smaller of MIN_PERMUTATIONS and the
    # setting.
    permutations = int(
        np.clip(
            MAX_PERMUTED_ELEMENTS // max(scores.size, 1),
            MIN_PERMUTATIONS,
            max(settings.permutations, MIN_PERMUTATIONS),
        )
    )
    permutations = min(permutations, settings.permutations)
    stratum = strata(groups_at)
    ranges: dict[str, list[float]] = {m: [] for m in comparable}
    for i in range(permutations + 1):  # the first is the observed membership
        membership = member if i == 0 else member[:, permute_within(stratum, rng)]
        group_members = [membership[:, at] for at in rows]
        sizes = [m.sum(axis=1) for m in group_members]
        for metric, positions in comparable.items():
            values = (
                np.array([_auc(ranks[g], group_members[g], sizes[g]) for g in positions])
                if metric == AUC
                else tops[metric].rates(membership, sizes, positions)
            )
            ranges[metric].append(float(values.max() - values.min()))
    return {m: (np.asarray(s[0]), np.asarray(s[1:])) for m, s in ranges.items()}


def _ranks(scores: FloatArray) -> FloatArray:
    """[T, r] mid-ranks, from 1."""
    ranks = np.empty_like(scores)
    for target_ranks, row in zip(ranks, scores, strict=True):
        ascending = np.sort(row)
        target_ranks[:] = (
            np.searchsorted(ascending, row, "left") + np.searchsorted(ascending, row, "right") + 1
        ) / 2
    return ranks


def _auc(ranks: FloatArray, member: BoolArray, inside: IntArray) -> float:
    """Mean over targets of the Mann-Whitney estimate of the AUC.

    Args:
        ranks: [T, r] mid-ranks of a group's scores.
        member: [T, r] membership.
        inside: [T] number of members.
    """
    total = (ranks * member).sum(axis=1)
    pairs = np.maximum(inside * (member.shape[1] - inside), 1)
    return float(np.mean((total - inside * (inside + 1) / 2) / pairs))


class _TopRanked:
    """Rows of every target in descending order of score, for true positive rates at one low FPR.

    Scores do not change under permutation, so they are sorted once; each permutation reads only the top.
    """

    def __init__(self, scores: FloatArray, rows: Sequence[IntArray], fpr: float) -> None:
        self.fpr = fpr
        self.order = np.argsort(-scores, axis=1, kind="stable")
        ordered = np.take_along_axis(scores, self.order, axis=1)
        is_lower = np.ones_like(ordered, dtype=bool)
        is_lower[:, 1:] = ordered[:, 1:] < ordered[:, :-1]
        #: [T, n] number of rows with a strictly higher score than the row at each rank: ties are never
        #: called.
        self.higher = np.maximum.accumulate(np.where(is_lower, np.arange(is_lower.shape[1]), 0), axis=1)
        self.inside = []
        for at in rows:
            in_group = np.zeros(scores.shape[1], dtype=bool)
            in_group[at] = True
            self.inside.append(in_group[self.order])

    def rates(self, member: BoolArray, sizes: Sequence[IntArray], positions: Sequence[int]) -> FloatArray:
        """[groups] mean over targets of the true positive rate.

        Args:
            member: [T, n] membership.
            sizes: by group, [T] number of members.
            positions: the groups to compute.
        """
        n = member.shape[1]
        k = (self.fpr * (n - member.sum(axis=1)) + 1e-9).astype(np.int64)
        # The threshold is the (k + 1)-th non-member from the top. At random membership half of the top rows
        # are non-members, so it is rarely deeper than 4 k + 40 rows; where it is, all rows are read.
        for depth in (min(int(4 * k.max() + 40), n), n):
            top = np.take_along_axis(member, self.order[:, :depth], axis=1)
            index = _threshold_index(top, k)
            if (index >= 0).all():
                break
        called = self.higher[np.arange(len(index)), index]
        hit = top & (np.arange(depth) < called[:, None])
        rates = [(hit & self.inside[g][:, :depth]).sum(axis=1) / np.maximum(sizes[g], 1) for g in positions]
        return np.asarray(np.mean(rates, axis=1))


def _threshold_index(member: BoolArray, k: IntArray) -> IntArray:
    """[T] index of the (k + 1)-th non-member from the top; -1 when it is not among these rows."""
    count = (~member).cumsum(axis=1)
    reached = count > k[:, None]
    return np.where(reached[:, -1], reached.argmax(axis=1), -1)


def range_limits(
    estimates: AttackEstimates,
    metric: str,
    groups: Sequence[tuple[int, Group]],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Return the limits of the range, and the p-value of the hypothesis that all groups are equal.

    If the intervals of all differences hold simultaneously, the range is between the largest lower and the
    largest upper bound; the same family tests the hypothesis.

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
    variation = Variation.of_runs(np.inf, forms @ values)
    paired = WaldPaired(forms @ values.mean(axis=1), rows, variation)
    variance = rows + variation.run_variance
    if not (variance > 0).all():
        return float("nan"), float("nan"), float("nan")
    # Differences that share a group are correlated; the critical value accounts for that correlation.
    scale = 1 / np.sqrt(variance)
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
