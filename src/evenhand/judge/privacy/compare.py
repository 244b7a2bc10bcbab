"""Rows of `comparisons`: the same attack on two arms, paired by target and by row.

Targets of the same run have the same training set in both arms, so a row is a member for both or for neither.
More leakage counts as harm. Families, intervals and verdicts are those of an audit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.judge.core import families
from evenhand.judge.core.estimates import MIN_DISCORDANT_ROWS, Group
from evenhand.judge.core.evidence import (
    Identity,
    Missing,
    PairedEstimate,
    RowInfluence,
    Score,
    Wald,
    wald,
)
from evenhand.judge.core.flips import NO_FLIPS, Flips
from evenhand.judge.core.pairs import too_few_differ
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rates import status_of
from evenhand.judge.privacy.rows import AttackComparisonRow, Status
from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import Variation, variance_over_runs
from evenhand.judge.stats.paired import ScorePaired
from evenhand.tables.schema import Attribute, FloatArray, Predictions

UNMATCHED = "no target of one arm has the training set of a target of the other, so nothing can be paired"


def build_comparisons(
    pairs: Sequence[tuple[AttackEstimates, AttackEstimates]],
    groups: Sequence[Group],
    attributes: tuple[Attribute, ...],
    settings: PrivacySettings,
) -> list[AttackComparisonRow]:
    """Compare arms, in one primary family over groups, candidates, attacks and primary numbers.

    Args:
        pairs: estimates of each attack for the reference and for a candidate, on the same targets.
        groups: the groups of the rows.
        attributes: the attributes that define the groups.
        settings: the primary numbers, level, margin and seed.
    """
    by_family: dict[str, list[tuple[PairedEstimate, str]]] = {}
    for reference, candidate in pairs:
        for metric in settings.metrics:
            for g, group in enumerate(groups):
                pair = _paired_estimate(reference, candidate, metric, group, g, settings)
                judged = group.attribute is not None or not attributes
                family = "" if metric in settings.declared and judged else metric
                by_family.setdefault(family, []).append((pair, reference.scored.attack))
    n = len(groups[0].rows)
    table = _equal_weight_rows(n, attributes)
    plain = Settings(margin=settings.margin, alpha=settings.alpha, rng=settings.rng)
    result: list[AttackComparisonRow] = []
    for family, members in sorted(by_family.items()):
        kind = "exploratory" if family else "primary"
        name = pairs[0][0].scored.arm
        rows = families.adjust_family([p for p, _ in members], table, plain, kind, name)
        result += [
            AttackComparisonRow(**vars(row), attack=attack)
            for row, (_, attack) in zip(rows, members, strict=True)
        ]
    return result


def _equal_weight_rows(n: int, attributes: tuple[Attribute, ...]) -> Predictions:
    """Build rows of equal weight, the form that families of comparisons take."""
    ones = np.ones(n)
    return Predictions((), None, np.zeros(n, dtype=np.int64), (), attributes, ones, ones, ones)


def _paired_estimate(
    reference: AttackEstimates,
    candidate: AttackEstimates,
    metric: str,
    group: Group,
    g: int,
    settings: PrivacySettings,
) -> PairedEstimate:
    """Estimate the difference in one number and one group, candidate minus reference."""
    a, b = reference.leakage.get((metric, g)), candidate.leakage.get((metric, g))
    status, reason = Status.OK, ""
    for estimates in (reference, candidate):
        arm_status, arm_reason = status_of(estimates, metric, g, settings)
        if arm_status is not Status.OK and status is not Status.UNDEFINED:
            status, reason = arm_status, arm_reason
    identity = Identity(
        candidate=candidate.scored.arm,
        attribute=group.attribute,
        group=group.name,
        class_name=None,
        metric=metric,
        complement_key=f"{reference.scored.attack} {metric}",
        direction=-1,
        margin_rule=True,
        span=1.0,
    )
    targets = len(reference.scored.runs)
    if a is None or b is None or not status.has_value:
        return PairedEstimate(identity, np.nan, group.n, targets, NO_FLIPS, Missing(status.word, reason))
    difference = b.value - a.value
    if status is not Status.OK:
        return PairedEstimate(identity, difference, group.n, targets, NO_FLIPS, Missing(status.word, reason))
    n = len(reference.scored.scores.T)
    # Influence values are paired by row, so the covariance between the arms is part of the variance.
    influence = RowInfluence(np.arange(n), b.influence(group.rows, n) - a.influence(group.rows, n))
    if metric in (AUC, BALANCED):
        fewest = min(
            int(x.min()) for s in (reference, candidate) for x in (s.members[:, g], s.non_members[:, g])
        )
        evidence = _wald(difference, b.values - a.values, influence, fewest)
        return PairedEstimate(identity, difference, group.n, targets, NO_FLIPS, evidence)
    score, flips = _score(a, b, influence)
    return PairedEstimate(identity, difference, group.n, targets, flips, score)


def _wald(difference: float, runs: FloatArray, influence: RowInfluence, fewest: int) -> Wald | Missing:
    """Return the variances over rows and targets, from influence values and differences by target."""
    moved = influence.values
    changed = int((moved != 0).sum())
    if changed < MIN_DISCORDANT_ROWS:
        return Missing("too_small", too_few_differ(changed, "no interval holds"))
    variation = Variation.of_runs(max(fewest - 1.0, 1.0), runs)
    return Wald(wald(difference, float(moved @ moved), variation), influence)


def _score(a: LeakageEstimate, b: LeakageEstimate, influence: RowInfluence) -> tuple[Score, Flips]:
    """Return the inputs of Tango's interval for paired true positive rates, and the changed members.

    The pairs are the same members under both arms. The interval treats the thresholds as fixed; the variance
    that the thresholds add enters as a second component, together with that over targets.
    """
    assert a.numerator is not None
    assert b.numerator is not None
    assert a.denominator is not None
    assert b.denominator is not None
    assert a.pooled_threshold is not None
    assert b.pooled_threshold is not None
    # d is each member's difference between the arms, in [-1, 1], averaged over its targets.
    weight = (a.denominator + b.denominator) / 2
    inside = weight > 0
    weight = weight[inside]
    d = (b.numerator - a.numerator)[inside] / weight
    mean, square = float(weight @ d), float(weight @ d**2)
    changed = int((d != 0).sum())
    floor = 1 / float(weight @ weight)
    sum_squares = float(np.sum((weight * (d - mean)) ** 2))
    # Effective number of rows: the variance of d divided by that of its weighted mean. It is at least Kish's
    # number for the weights, which also serves where too few rows differ to estimate a variance.
    n = (
        floor
        if changed < MIN_DISCORDANT_ROWS or not sum_squares > 0
        else max((square - mean**2) / sum_squares, floor)
    )
    threshold_influence = (
        b.slope * b.pooled_threshold.threshold_influence - a.slope * a.pooled_threshold.threshold_influence
    )
    spread, dof = variance_over_runs(b.values - a.values)
    single = len(a.values) == 1
    estimate = ScorePaired(
        difference=np.asarray(b.value - a.value),
        absolute=np.asarray(weight @ np.abs(d)),
        square=np.asarray(square),
        n=np.asarray(n),
        variation=Variation(np.inf, spread + threshold_influence @ threshold_influence, dof),
        better=np.asarray(float((d > 0).sum()) if single else np.nan),
        worse=np.asarray(float((d < 0).sum()) if single else np.nan),
    )
    flips = Flips(float(np.sum(np.maximum(-d, 0.0))), float(np.sum(np.maximum(d, 0.0))), np.nan)
    return Score(estimate, influence if changed >= MIN_DISCORDANT_ROWS else None), flips


def match_targets(
    reference: Sequence[str], candidate: Sequence[str], same: FloatArray
) -> list[tuple[int, int]]:
    """Targets of two arms that belong together: runs of one name and one training set.

    Args:
        reference: [T] names of its runs.
        candidate: [S] names of its runs.
        same: [T, S] whether the training sets are the same.

    Returns:
        Pairs of indices; where no name is shared, runs are taken in their order.
    """
    names = [(i, list(candidate).index(run)) for i, run in enumerate(reference) if run in candidate]
    if not names:
        names = [(i, i) for i in range(min(len(reference), len(candidate)))]
    return [(i, j) for i, j in names if same[i, j]]
