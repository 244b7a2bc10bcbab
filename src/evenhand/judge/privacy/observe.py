"""Estimates from the scores of an attack in every group: values, influence values, thresholds.

Thresholds are pooled: one per target over all its rows. A row is called a member when its score is strictly
above the threshold. At a false positive rate f with k = floor(f n) of n non-members the threshold is the
(k + 1)-th largest score of a non-member, so that the empirical rate is at most f; thresholds are not
interpolated. For the balanced accuracy the number of called rows equals the number of members.

An arm is attacked in T targets; a value is the mean over them. The influence of a row on it is the mean of
its influences on all targets, since the same row is a member for some and a non-member for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evenhand.errors import plural
from evenhand.judge.core.estimates import MIN_DISCORDANT_ROWS, Group
from evenhand.judge.privacy.order import Order, Pool, order_of, placement_values
from evenhand.judge.privacy.settings import AUC, BALANCED, at_fpr
from evenhand.judge.privacy.unscored import describe_causes
from evenhand.tables.schema import BoolArray, FloatArray, IntArray

#: Scores of a group's members in one target and which of its rows they are, and of its non-members.
Parts = tuple[FloatArray, IntArray, FloatArray, IntArray]
#: Groups that a remark lists.
_MAX_LISTED_GROUPS = 10


@dataclass(frozen=True)
class Scored:
    """Scores of one attack on one arm.

    Attributes:
        arm: its name.
        attack: the attack's name with its options.
        runs: [T] names of the targets.
        scores: [T, n], NaN where the attack gives no score.
        member: [T, n] whether a row was in the target's training set.
        reason: why no scores exist at all; empty when some do.
        causes: [T, n] why a row has no score, in the bits of `unscored.find_causes`.
        target_indices: [T] indices of these targets among the arm's.
    """

    arm: str
    attack: str
    runs: tuple[str, ...]
    scores: FloatArray
    member: BoolArray
    reason: str = ""
    causes: IntArray = field(default_factory=lambda: np.zeros((1, 1), dtype=np.int64))
    target_indices: tuple[int, ...] = ()

    def select(self, targets: Sequence[int]) -> Scored:
        """Return the scores of some targets only."""
        at = list(targets)
        runs = tuple(self.runs[i] for i in at)
        causes = np.broadcast_to(self.causes, self.scores.shape)[at]
        target_indices = tuple(self.target_indices[i] for i in at) if self.target_indices else ()
        scores, member = self.scores[at], self.member[at]
        return Scored(self.arm, self.attack, runs, scores, member, self.reason, causes, target_indices)


@dataclass(frozen=True)
class LeakageEstimate:
    """One number of an attack in one group, averaged over targets.

    Attributes:
        values: [T] the value of each target; NaN when undefined.
        row_influence: [r] influence of each row of the group, with the threshold held fixed.
        numerator: [r] for a true positive rate, each row's weight among the called members, the mean over
            targets; else None.
        denominator: [r] its weight among the members, the mean over targets; else None.
        slope: change of the value per unit of the share of rows that are called.
        pooled_threshold: the threshold, whose `threshold_influence` is the influence on that share; None for
            the AUC, which has no threshold.
        threshold_bounds: for a true positive rate, its values at the threshold one order statistic higher,
            and at the lower and upper limits of the true threshold's rank.
        false_positive_rate: the rate among the group's non-members at the threshold.
    """

    values: FloatArray
    row_influence: FloatArray
    numerator: FloatArray | None = None
    denominator: FloatArray | None = None
    slope: float = 0.0
    pooled_threshold: PooledThreshold | None = None
    threshold_bounds: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    false_positive_rate: float = float("nan")

    @property
    def value(self) -> float:
        """Mean over targets; NaN if it is undefined for one of them."""
        return float(self.values.mean())

    def influence(self, rows: IntArray, n: int) -> FloatArray:
        """[n] influence of every row of the table, on the group's value and on the threshold."""
        influence = np.zeros(n)
        influence[rows] = self.row_influence
        if self.pooled_threshold is not None:
            # A row that raises the called share raises the threshold in turn, which lowers the value.
            influence -= self.slope * self.pooled_threshold.threshold_influence
        return influence


@dataclass(frozen=True)
class PooledThreshold:
    """The pooled thresholds at one share of called rows.

    Attributes:
        name: name of the number that uses them.
        share: target share of the pool above the threshold.
        ranks: [T, 4] ranks of the thresholds among the pool's scores, from the top: at the estimate, one
            order statistic higher, and at the lower and upper limits for the rank of the true threshold.
        threshold_influence: [n] influence of every row on the called share, the mean over targets.
        fewest: number of rows in the smallest pool.
    """

    name: str
    share: float
    ranks: FloatArray
    threshold_influence: FloatArray
    fewest: int

    @property
    def variance(self) -> float:
        """Variance of the called share at the true threshold."""
        return float(self.threshold_influence @ self.threshold_influence)


@dataclass(frozen=True)
class Unscored:
    """Rows of a group, all members or all non-members, without a score.

    Attributes:
        counts: [T] number of such rows.
        reason: why they have no score.
    """

    counts: IntArray
    reason: str


@dataclass(frozen=True)
class AttackEstimates:
    """All estimates of one attack on one arm.

    Attributes:
        scored: the scores.
        members: [T, G] number of members with a score, by group.
        non_members: [T, G] number of non-members with a score, by group.
        leakage: estimates by number and group.
        orders: [T] scores of each target.
        thresholds: the pooled thresholds.
        unscored: by group, the members and the non-members without a score; groups in which every row has a
            score are left out.
    """

    scored: Scored
    members: IntArray
    non_members: IntArray
    leakage: dict[tuple[str, int], LeakageEstimate]
    orders: tuple[Order, ...]
    thresholds: tuple[PooledThreshold, ...]
    unscored: Mapping[int, tuple[Unscored, Unscored]] = field(default_factory=dict)


def observe(
    scored: Scored,
    groups: Sequence[Group],
    fprs: Sequence[float],
    z: float,
    metrics: Sequence[str] | None = None,
) -> AttackEstimates:
    """Compute every number in every group.

    Args:
        scored: the scores; each target has at least one.
        groups: the groups of the rows.
        fprs: false positive rates.
        z: normal quantile at which the ranks of thresholds are bounded.
        metrics: names of the numbers to compute; None for all.
    """
    orders = tuple(order_of(s, m) for s, m in zip(scored.scores, scored.member, strict=True))
    n = scored.scores.shape[1]
    selected = (AUC, BALANCED, *map(at_fpr, fprs)) if metrics is None else metrics
    thresholds = [
        _pooled_threshold(
            at_fpr(f), [(o.non_members, int(f * o.non_members.size + 1e-9)) for o in orders], orders, f, z, n
        )
        for f in fprs
        if at_fpr(f) in selected
    ]
    if BALANCED in selected:
        shares = [(o.all_rows, o.members.size) for o in orders]
        thresholds.append(
            _pooled_threshold(BALANCED, shares, orders, float(np.mean([k / p.size for p, k in shares])), z, n)
        )
    sizes = np.zeros((2, len(orders), len(groups)), dtype=np.int64)
    leakage: dict[tuple[str, int], LeakageEstimate] = {}
    for g, group in enumerate(groups):
        parts = [o.parts(group.rows) for o in orders]
        sizes[:, :, g] = [[len(p[0]) for p in parts], [len(p[2]) for p in parts]]
        if AUC in selected:
            leakage[AUC, g] = _auc(parts, len(group.rows))
        for threshold in thresholds:
            estimate = _balanced_accuracy if threshold.name == BALANCED else _true_positive_rate
            leakage[threshold.name, g] = estimate(threshold, parts, orders, len(group.rows))
    return AttackEstimates(
        scored, sizes[0], sizes[1], leakage, orders, tuple(thresholds), _count_unscored(scored, groups)
    )


def _count_unscored(scored: Scored, groups: Sequence[Group]) -> dict[int, tuple[Unscored, Unscored]]:
    """Count the rows of every group that have no score."""
    lacking = ~np.isfinite(scored.scores)
    if not lacking.any():
        return {}
    causes = np.broadcast_to(scored.causes, scored.scores.shape)
    unscored = {}
    for g, group in enumerate(groups):
        group_lacking = lacking[:, group.rows]
        if group_lacking.any():
            sides = [group_lacking & (scored.member[:, group.rows] == inside) for inside in (True, False)]
            inside, outside = (
                Unscored(side.sum(axis=1), describe_causes(causes[:, group.rows][side])) for side in sides
            )
            unscored[g] = (inside, outside)
    return unscored


def _pooled_threshold(
    name: str, pools: Sequence[tuple[Pool, int]], orders: Sequence[Order], share: float, z: float, n: int
) -> PooledThreshold:
    """Compute thresholds that call k rows of each target's pool, with limits for the true threshold's rank.

    Args:
        name: name of the number that uses them.
        pools: by target, the rows among which the threshold is taken, and k.
        orders: by target, the scores of all rows.
        share: target share k / pool size.
        z: normal quantile of the limits.
        n: number of rows of the table.
    """
    influence, called_rows = np.zeros(n), np.zeros(n, dtype=bool)
    for (pool, k), order in zip(pools, orders, strict=True):
        called = pool.holds & (order.scores > pool.threshold(k + 1.0))
        influence += (called - pool.holds * (k / pool.size)) / (pool.size * len(orders))
        called_rows |= called
    variance, fewest = float(influence @ influence), min(pool.size for pool, _ in pools)
    # The same rows are in the pools of many targets, so their shares are correlated. `independent` is the
    # number of independent rows with the same variance. It is bounded below by the smallest single pool: an
    # estimate from few called rows is unreliable, and averaging over targets cannot lose information.
    independent = (
        share * (1 - share) / variance if variance > 0 and called_rows.sum() >= MIN_DISCORDANT_ROWS else 0.0
    )
    half = z * np.sqrt(share * (1 - share) / max(independent, fewest))
    low, high = max(share - half, 0.0), min(share + half, 1.0)
    # Limits of the true share become limits of the rank in each pool; one rank further up covers the interval
    # between two order statistics.
    ranks = [(k + 1, k, low * p.size, min(high * p.size + 1, p.size + 1)) for p, k in pools]
    if independent < fewest:
        # Rescaled to the binomial variance of one pool, so that variance and rank limits agree.
        scale = np.sqrt(share * (1 - share) / fewest / variance) if variance > 0 else 1.0
        influence = influence * scale
    return PooledThreshold(name, share, np.array(ranks, dtype=np.float64), influence, fewest)


def _true_positive_rate(
    pooled_threshold: PooledThreshold, parts: Sequence[Parts], orders: Sequence[Order], size: int
) -> LeakageEstimate:
    """Estimate the true positive rate of one group at the pooled thresholds."""
    values, false_positive_rates = np.full(len(orders), np.nan), np.full(len(orders), np.nan)
    numerator, denominator, expected = np.zeros(size), np.zeros(size), np.zeros(size)
    bounds = np.full((len(orders), 3), np.nan)
    for t, (order, (inside, in_rows, outside, _)) in enumerate(zip(orders, parts, strict=True)):
        if len(inside) == 0:
            continue
        threshold = order.non_members.threshold(pooled_threshold.ranks[t, 0])
        weight = 1 / len(inside) / len(orders)
        hit = inside > threshold
        values[t] = hit.mean()
        numerator[in_rows[hit]] += weight
        denominator[in_rows] += weight
        expected[in_rows] += weight * values[t]
        bounds[t] = [order.non_members.share_above(inside, rank) for rank in pooled_threshold.ranks[t, 1:]]
        false_positive_rates[t] = (outside > threshold).mean() if len(outside) else np.nan
    strict, low, high = bounds.mean(axis=0)
    ranks, sizes = pooled_threshold.ranks, [o.non_members.size for o in orders]
    width = float(np.mean((ranks[:, 3] - ranks[:, 2]) / sizes))
    # The derivative of the rate with respect to the called share, from a finite difference over the
    # confidence limits of the threshold: at a single order statistic the empirical rate is a step function.
    slope = float(high - low) / width if width > 0 else 0.0
    return LeakageEstimate(
        values,
        numerator - expected,
        numerator,
        denominator,
        slope,
        pooled_threshold,
        (float(strict), float(low), float(high)),
        float(false_positive_rates.mean()),
    )


def _balanced_accuracy(
    pooled_threshold: PooledThreshold, parts: Sequence[Parts], orders: Sequence[Order], size: int
) -> LeakageEstimate:
    """Estimate the balanced accuracy of one group: the mean of its true positive and true negative rates."""
    values, slopes = np.full(len(orders), np.nan), np.zeros(len(orders))
    row_influence = np.zeros(size)
    for t, (order, (inside, in_rows, outside, out_rows)) in enumerate(zip(orders, parts, strict=True)):
        if len(inside) == 0 or len(outside) == 0:
            continue
        pool = order.all_rows
        threshold = pool.threshold(pooled_threshold.ranks[t, 0])
        hit, alarm = inside > threshold, outside > threshold
        values[t] = (hit.mean() + 1 - alarm.mean()) / 2
        row_influence[in_rows] += (hit - hit.mean()) / (2 * len(inside) * len(orders))
        row_influence[out_rows] -= (alarm - alarm.mean()) / (2 * len(outside) * len(orders))
        ends = [
            pool.share_above(inside, r) - pool.share_above(outside, r) for r in pooled_threshold.ranks[t, 2:]
        ]
        slopes[t] = (
            (ends[1] - ends[0])
            / 2
            / ((pooled_threshold.ranks[t, 3] - pooled_threshold.ranks[t, 2]) / pool.size)
        )
    return LeakageEstimate(
        values, row_influence, slope=float(slopes.mean()), pooled_threshold=pooled_threshold
    )


def _auc(parts: Sequence[Parts], size: int) -> LeakageEstimate:
    """Estimate the area under the ROC curve of one group's members against its non-members.

    Influence values are DeLong's (1988): the centred placement of each row among the rows of the other kind.
    """
    values, row_influence = np.full(len(parts), np.nan), np.zeros(size)
    for t, (inside, in_rows, outside, out_rows) in enumerate(parts):
        if len(inside) == 0 or len(outside) == 0:
            continue
        member_placement = placement_values(inside, np.sort(outside))
        non_member_placement = 1 - placement_values(outside, np.sort(inside))
        values[t] = member_placement.mean()
        row_influence[in_rows] += (member_placement - values[t]) / len(inside) / len(parts)
        row_influence[out_rows] += (non_member_placement - values[t]) / len(outside) / len(parts)
    return LeakageEstimate(values, row_influence)


def unscored_remarks(scored: Scored, groups: Sequence[Group]) -> list[str]:
    """Count the pairs of run and row without a score, by group; empty where all or none have one."""
    lacking = ~np.isfinite(scored.scores)
    total = int(lacking.sum())
    if not total or scored.reason:
        return []
    listed = []
    for group in groups:
        count = int(lacking[:, group.rows].sum())
        if group.attribute is not None and count:
            size = len(group.rows) * len(scored.runs)
            listed.append((count / size, f"{group.attribute} '{group.name}' {count:,} of {size:,}"))
    listed.sort(key=lambda entry: -entry[0])
    more = (
        f", and {plural(len(listed) - _MAX_LISTED_GROUPS, 'group')} more"
        if len(listed) > _MAX_LISTED_GROUPS
        else ""
    )
    by_group = (
        f"; by group: {', '.join(text for _, text in listed[:_MAX_LISTED_GROUPS])}{more}" if listed else ""
    )
    return [
        f"{scored.arm}, {scored.attack}: {total:,} of {lacking.size:,} pairs of run and row have no score "
        f"({describe_causes(scored.causes)}) and were left out, of the numbers of all rows too{by_group}."
    ]
