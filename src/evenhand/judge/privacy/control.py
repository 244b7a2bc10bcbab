"""Disparate vulnerability: how far apart groups are, beside a control in which membership means nothing.

Which rows a target was trained on was drawn at random. So where no attack can tell members, exchanging the
memberships of rows (those of a row in all targets together) changes nothing in distribution, while every row
keeps its scores, its group, and how its scores hang together over targets. Rows are exchanged within groups
only (within equal combinations of memberships), so that a group's share of members stays what it is. The
control shows what unlike sizes, unlike scores and chance make of the largest less the smallest value where
nothing leaks.

Where something leaks, and alike in all groups, chance is larger than in the control. So `p_value` is the
larger of two: of the control, and of the groups being all alike (`spread_of`).
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
from evenhand.judge.privacy.spread import spread_of
from evenhand.tables.schema import Attribute, BoolArray, FloatArray, IntArray

#: Most numbers that all permutations of an arm and attack touch, and the fewest permutations all the same.
MAX_MATRIX_ELEMENTS, FEWEST = 2_000_000_000, 199

#: Combinations of memberships with fewer rows are exchanged with each other.
RARE = 10


def vulnerability(
    seen: AttackEstimates,
    attribute: Attribute,
    groups: Sequence[tuple[int, Group]],
    settings: PrivacySettings,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Rows of `vulnerability` for one attribute: the AUC, and the true positive rate at each rate.

    Args:
        seen: what an attack shows of an arm.
        attribute: whose groups are compared.
        groups: its groups, with their places among all.
        settings: sizes and level.
        rng: source of the permutations.
    """
    metrics = [m for m in settings.metrics if m != BALANCED]
    used = {
        m: [i for i, (g, _) in enumerate(groups) if status_of(seen, m, g, settings)[0] == "ok"]
        for m in metrics
    }
    lacking = float(np.mean(np.isfinite(seen.scored.scores).all(axis=0))) < 1 / 2
    closed = lacking or bool(seen.scored.reason)
    able = {m: where for m, where in used.items() if len(where) > 1 and not closed}
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    if able:
        found = _permuted(seen, attribute, [g for _, g in groups], able, settings, rng)
    rows = []
    for metric in metrics:
        row = _row(seen, attribute, metric, settings)
        row["groups_used"] = [str(groups[i][1].name) for i in used[metric]]
        row["groups_left_out"] = [
            {"group": str(group.name), "reason": status_of(seen, metric, g, settings)[1]}
            for i, (g, group) in enumerate(groups)
            if i not in used[metric]
        ]
        if metric not in able:
            row["reason"] = _why_not(seen, metric, groups, settings, lacking=lacking)
            rows.append(row)
            continue
        own, control = found[metric]
        low, high, alike = spread_of(seen, metric, [groups[i] for i in used[metric]], settings.alpha, rng)
        by_chance = (1 + int((control >= own - 1e-12).sum())) / (1 + len(control))
        row |= {
            "value": float(np.ptp([seen.leaks[metric, groups[i][0]].value for i in used[metric]])),
            "low": low,
            "high": high,
            "control": float(control.mean()),
            "control_high": float(np.quantile(control, 1 - settings.alpha)),
            "p_control": by_chance,
            "p_alike": alike,
            "p_value": float(np.fmax(by_chance, alike)),
            "permutations": len(control),
            "status": "ok",
        }
        rows.append(row)
    return rows


def _why_not(
    seen: AttackEstimates,
    metric: str,
    groups: Sequence[tuple[int, Group]],
    settings: PrivacySettings,
    *,
    lacking: bool,
) -> str:
    """Why groups cannot be compared in a number."""
    if seen.scored.reason:
        return seen.scored.reason
    why = status_of(seen, metric, groups[0][0], settings)[1]
    if why.startswith("not resolvable"):
        return why
    if lacking:
        return "fewer than half of the rows have a score in every run, so rows cannot be exchanged"
    return "fewer than two groups have enough members and non-members"


def _row(
    seen: AttackEstimates, attribute: Attribute, metric: str, settings: PrivacySettings
) -> dict[str, Any]:
    nan = float("nan")
    return {
        "input": seen.scored.arm,
        "attack": seen.scored.attack,
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
        "runs": len(seen.scored.runs),
        "status": "undefined",
        "reason": "",
    }


def strata(attribute: Attribute) -> IntArray:
    """[n] rows that may be exchanged have one number."""
    _, code, count = np.unique(np.stack(attribute.columns()), axis=1, return_inverse=True, return_counts=True)
    code = code.reshape(-1)
    return np.asarray(np.where(count[code] < RARE, -1, code), dtype=np.int64)


def shuffled(stratum: IntArray, rng: np.random.Generator) -> IntArray:
    """[n] a random order of the rows that leaves each in its stratum."""
    by_stratum = np.argsort(stratum, kind="stable")
    mixed = by_stratum[np.lexsort((rng.random(len(stratum)), stratum[by_stratum]))]
    order = np.empty_like(by_stratum)
    order[by_stratum] = mixed
    return order


def _permuted(
    seen: AttackEstimates,
    attribute: Attribute,
    groups: Sequence[Group],
    able: dict[str, list[int]],
    settings: PrivacySettings,
    rng: np.random.Generator,
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Largest less smallest value, as it is and under permutation, of every number."""
    whole = np.flatnonzero(np.isfinite(seen.scored.scores).all(axis=0))
    scores, member = seen.scored.scores[:, whole], seen.scored.member[:, whole]
    part = attribute.at(whole)
    rows = [np.flatnonzero(part.in_group(i)) for i in range(len(groups))]
    ranks = [_ranks(scores[:, at]) for at in rows] if AUC in able else []
    tops = {at_fpr(f): _TopRanked(scores, rows, f) for f in settings.fprs if at_fpr(f) in able}
    times = int(
        np.clip(MAX_MATRIX_ELEMENTS // max(scores.size, 1), FEWEST, max(settings.permutations, FEWEST))
    )
    times = min(times, settings.permutations)
    stratum = strata(part)
    spans: dict[str, list[float]] = {m: [] for m in able}
    for i in range(times + 1):
        now = member if i == 0 else member[:, shuffled(stratum, rng)]
        own = [now[:, at] for at in rows]
        sizes = [m.sum(axis=1) for m in own]
        for metric, where in able.items():
            values = (
                np.array([_auc(ranks[g], own[g], sizes[g]) for g in where])
                if metric == AUC
                else tops[metric].rates(now, sizes, where)
            )
            spans[metric].append(float(values.max() - values.min()))
    return {m: (np.asarray(s[0]), np.asarray(s[1:])) for m, s in spans.items()}


def _ranks(scores: FloatArray) -> FloatArray:
    """[T, r] ranks from 1, equal scores share the middle one."""
    found = np.empty_like(scores)
    for own, row in zip(found, scores, strict=True):
        order = np.sort(row)
        own[:] = (np.searchsorted(order, row, "left") + np.searchsorted(order, row, "right") + 1) / 2
    return found


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
        new = np.ones_like(ordered, dtype=bool)
        new[:, 1:] = ordered[:, 1:] < ordered[:, :-1]
        #: [T, n] how many rows have a higher score than the row at a place.
        self.higher = np.maximum.accumulate(np.where(new, np.arange(new.shape[1]), 0), axis=1)
        self.inside = []
        for at in rows:
            flag = np.zeros(scores.shape[1], dtype=bool)
            flag[at] = True
            self.inside.append(flag[self.order])

    def rates(self, member: BoolArray, sizes: Sequence[IntArray], where: Sequence[int]) -> FloatArray:
        """[groups] mean over targets of the true positive rate, given the members of each group."""
        n = member.shape[1]
        k = (self.fpr * (n - member.sum(axis=1)) + 1e-9).astype(np.int64)
        # Among the highest rows members are about as many as non-members; the threshold seldom lies deeper.
        for depth in (min(int(4 * k.max() + 40), n), n):
            top = np.take_along_axis(member, self.order[:, :depth], axis=1)
            place = _place(top, k)
            if (place >= 0).all():
                break
        called = self.higher[np.arange(len(place)), place]
        hit = top & (np.arange(depth) < called[:, None])
        found = [(hit & self.inside[g][:, :depth]).sum(axis=1) / np.maximum(sizes[g], 1) for g in where]
        return np.asarray(np.mean(found, axis=1))


def _place(member: BoolArray, k: IntArray) -> IntArray:
    """[T] place of the (k + 1)-th non-member from the top; -1 when it lies deeper."""
    count = (~member).cumsum(axis=1)
    reached = count > k[:, None]
    return np.where(reached[:, -1], reached.argmax(axis=1), -1)
