"""Disparate vulnerability: how far apart groups are, beside a control in which membership means nothing.

Which rows a target was trained on was drawn at random. So where no attack can tell members, exchanging the
memberships of rows (those of a row in all targets together) changes nothing in distribution, while every row
keeps its scores, its group, and how its scores hang together over targets. Rows are exchanged within groups
only (within equal combinations of memberships), so that a group's share of members stays what it is. The
control shows what unlike sizes, unlike scores and chance make of the largest less the smallest value where
nothing leaks.

Where something leaks, and alike in all groups, chance is larger than in the control. So `p_value` is the
larger of two: of the control, and of the groups being all alike (`range_limits`).
Source of the notion: Kulynych et al. 2022, https://arxiv.org/abs/1906.00389.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import AttackEstimates
from evenhand.judge.privacy.rates import status_of
from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings, at_fpr
from evenhand.judge.privacy.spread import range_limits
from evenhand.tables.schema import Attribute, BoolArray, FloatArray, IntArray

#: Most numbers that all permutations of an arm and attack touch, and the fewest permutations all the same.
MAX_PERMUTED_ELEMENTS, MIN_PERMUTATIONS = 2_000_000_000, 199

#: Combinations of memberships with fewer rows are exchanged with each other.
MIN_STRATUM_ROWS = 10


def vulnerability_rows(
    estimates: AttackEstimates,
    attribute: Attribute,
    groups: Sequence[tuple[int, Group]],
    settings: PrivacySettings,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Rows of `vulnerability_rows` for one attribute: the AUC, and the true positive rate at each rate.

    Args:
        estimates: what an attack shows of an arm.
        attribute: whose groups are compared.
        groups: its groups, with their places among all.
        settings: sizes and level.
        rng: source of the permutations.
    """
    metrics = [m for m in settings.metrics if m != BALANCED]
    used = {
        m: [i for i, (g, _) in enumerate(groups) if status_of(estimates, m, g, settings)[0] == "ok"]
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
        row = _empty_row(estimates, attribute, metric, settings)
        row["groups_used"] = [str(groups[i][1].name) for i in used[metric]]
        row["groups_left_out"] = [
            {"group": str(group.name), "reason": status_of(estimates, metric, g, settings)[1]}
            for i, (g, group) in enumerate(groups)
            if i not in used[metric]
        ]
        if metric not in comparable:
            row["reason"] = _exclusion_reason(
                estimates, metric, groups, settings, mostly_unscored=mostly_unscored
            )
            rows.append(row)
            continue
        observed, control = ranges[metric]
        low, high, p_alike = range_limits(
            estimates, metric, [groups[i] for i in used[metric]], settings.alpha, rng
        )
        p_control = (1 + int((control >= observed - 1e-12).sum())) / (1 + len(control))
        row |= {
            "value": float(np.ptp([estimates.estimates[metric, groups[i][0]].value for i in used[metric]])),
            "low": low,
            "high": high,
            "control": float(control.mean()),
            "control_high": float(np.quantile(control, 1 - settings.alpha)),
            "p_control": p_control,
            "p_alike": p_alike,
            "p_value": float(np.fmax(p_control, p_alike)),
            "permutations": len(control),
            "status": "ok",
        }
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
    """Why groups cannot be compared in a number."""
    if estimates.scored.reason:
        return estimates.scored.reason
    reason = status_of(estimates, metric, groups[0][0], settings)[1]
    if reason.startswith("not resolvable"):
        return reason
    if mostly_unscored:
        return "fewer than half of the rows have a score in every run, so rows cannot be exchanged"
    return "fewer than two groups have enough members and non-members"


def _empty_row(
    estimates: AttackEstimates, attribute: Attribute, metric: str, settings: PrivacySettings
) -> dict[str, Any]:
    nan = float("nan")
    return {
        "input": estimates.scored.arm,
        "attack": estimates.scored.attack,
        "attribute": attribute.name,
        "metric": metric,
        "value": nan,
        "low": nan,
        "high": nan,
        "control": nan,
        "control_high": nan,
        "p_control": nan,
        "p_alike": nan,
        "p_value": nan,
        "level": 1 - settings.alpha,
        "permutations": 0,
        "runs": len(estimates.scored.runs),
        "status": "undefined",
        "reason": "",
    }


def strata(attribute: Attribute) -> IntArray:
    """[n] rows that may be exchanged have one number."""
    _, code, count = np.unique(np.stack(attribute.columns()), axis=1, return_inverse=True, return_counts=True)
    code = code.reshape(-1)
    return np.asarray(np.where(count[code] < MIN_STRATUM_ROWS, -1, code), dtype=np.int64)


def permute_within(stratum: IntArray, rng: np.random.Generator) -> IntArray:
    """[n] a random order of the rows that leaves each in its stratum."""
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
    """Largest less smallest value, as it is and under permutation, of every number."""
    complete = np.flatnonzero(np.isfinite(estimates.scored.scores).all(axis=0))
    scores, member = estimates.scored.scores[:, complete], estimates.scored.member[:, complete]
    groups_at = attribute.at(complete)
    rows = [np.flatnonzero(groups_at.in_group(i)) for i in range(len(groups))]
    ranks = [_ranks(scores[:, at]) for at in rows] if AUC in comparable else []
    tops = {at_fpr(f): _TopRanked(scores, rows, f) for f in settings.fprs if at_fpr(f) in comparable}
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
    for i in range(permutations + 1):
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
    """[T, r] ranks from 1, equal scores share the middle one."""
    ranks = np.empty_like(scores)
    for target_ranks, row in zip(ranks, scores, strict=True):
        ascending = np.sort(row)
        target_ranks[:] = (
            np.searchsorted(ascending, row, "left") + np.searchsorted(ascending, row, "right") + 1
        ) / 2
    return ranks


def _auc(ranks: FloatArray, member: BoolArray, inside: IntArray) -> float:
    """Mean over targets of the Mann-Whitney estimate."""
    total = (ranks * member).sum(axis=1)
    pairs = np.maximum(inside * (member.shape[1] - inside), 1)
    return float(np.mean((total - inside * (inside + 1) / 2) / pairs))


class _TopRanked:
    """The highest rows of every target, among which the threshold of a low false positive rate lies."""

    def __init__(self, scores: FloatArray, rows: Sequence[IntArray], fpr: float) -> None:
        self.fpr = fpr
        self.order = np.argsort(-scores, axis=1, kind="stable")
        ordered = np.take_along_axis(scores, self.order, axis=1)
        is_lower = np.ones_like(ordered, dtype=bool)
        is_lower[:, 1:] = ordered[:, 1:] < ordered[:, :-1]
        #: [T, n] how many rows have a higher score than the row at a place.
        self.higher = np.maximum.accumulate(np.where(is_lower, np.arange(is_lower.shape[1]), 0), axis=1)
        self.inside = []
        for at in rows:
            in_group = np.zeros(scores.shape[1], dtype=bool)
            in_group[at] = True
            self.inside.append(in_group[self.order])

    def rates(self, member: BoolArray, sizes: Sequence[IntArray], positions: Sequence[int]) -> FloatArray:
        """[groups] mean over targets of the true positive rate, given the members of each group."""
        n = member.shape[1]
        k = (self.fpr * (n - member.sum(axis=1)) + 1e-9).astype(np.int64)
        # Among the highest rows members are about as many as non-members; the threshold seldom lies deeper.
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
    """[T] place of the (k + 1)-th non-member from the top; -1 when it lies deeper."""
    count = (~member).cumsum(axis=1)
    reached = count > k[:, None]
    return np.where(reached[:, -1], reached.argmax(axis=1), -1)
