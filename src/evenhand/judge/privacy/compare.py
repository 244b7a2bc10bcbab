"""Rows of `comparisons`: the same attack on two arms, paired by target and by row.

Targets of the same run have the same training set in both arms, so a row is a member for both or for neither.
More leakage counts as harm. Families, intervals and verdicts are those of an audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.judge.core import estimates as counts
from evenhand.judge.core import families
from evenhand.judge.core.estimates import MIN_DISCORDANT_ROWS, Group
from evenhand.judge.core.pairs import PairedEstimate
from evenhand.judge.privacy.observe import AttackEstimates, LeakageEstimate
from evenhand.judge.privacy.rates import status_of, unit_of
from evenhand.judge.privacy.rows import Status
from evenhand.judge.privacy.settings import AUC, BALANCED, PrivacySettings
from evenhand.judge.settings import Settings
from evenhand.judge.stats.combine import MIN_RUNS
from evenhand.judge.stats.verdict import more_needed, settling_half_width
from evenhand.tables.schema import Attribute, FloatArray, Predictions

#: A column that only the rows of an audit have.
AUDIT_ONLY_COLUMN = "n_right_to_wrong_between_runs"
#: Columns of an audit that count changed answers; here they count members that only one arm's attack
#: identifies.
RENAMED_COLUMNS = {"n_right_to_wrong": "n_found_before", "n_wrong_to_right": "n_found_now"}

UNMATCHED = "no target of one arm has the training set of a target of the other, so nothing can be paired"


def build_comparisons(
    pairs: Sequence[tuple[AttackEstimates, AttackEstimates]],
    groups: Sequence[Group],
    attributes: tuple[Attribute, ...],
    settings: PrivacySettings,
) -> list[dict[str, Any]]:
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
    result: list[dict[str, Any]] = []
    for family, members in sorted(by_family.items()):
        kind = "exploratory" if family else "primary"
        name = pairs[0][0].scored.arm
        rows = families.adjust_family([p for p, _ in members], table, plain, kind, name)
        result += [_attack_row(r, p, attack) for r, (p, attack) in zip(rows, members, strict=True)]
    return result


def _equal_weight_rows(n: int, attributes: tuple[Attribute, ...]) -> Predictions:
    """Build rows of equal weight, the form that families of comparisons take."""
    ones = np.ones(n)
    return Predictions((), None, np.zeros(n, dtype=np.int64), (), attributes, ones, ones, ones)


def _attack_row(row: dict[str, Any], pair: PairedEstimate, attack: str) -> dict[str, Any]:
    """Turn a comparison row of an audit into one of an attack."""
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if key == "metric":
            columns["attack"] = attack
        if key != AUDIT_ONLY_COLUMN:
            columns[RENAMED_COLUMNS.get(key, key)] = value
    columns["direction"] = -1
    if columns["verdict"] == "undecided" and pair.unit == "rows":
        # With one target the threshold's variance is one over rows too, so the whole width shrinks with n.
        half = (columns["high"] - columns["low"]) / 2
        target = settling_half_width(pair.difference, -1, columns["margin"])
        columns["rows_to_settle"] = more_needed(half, 0.0, target, pair.n)
    return columns


def _paired_estimate(
    reference: AttackEstimates,
    candidate: AttackEstimates,
    metric: str,
    group: Group,
    g: int,
    settings: PrivacySettings,
) -> PairedEstimate:
    """Estimate the difference in one number and one group, candidate minus reference."""
    targets = len(reference.scored.runs)
    a, b = reference.leakage.get((metric, g)), candidate.leakage.get((metric, g))
    status, reason = Status.OK, ""
    for estimates in (reference, candidate):
        arm_status, arm_reason = status_of(estimates, metric, g, settings)
        if arm_status is not Status.OK and status is not Status.UNDEFINED:
            status, reason = arm_status, arm_reason
    fields: dict[str, Any] = {
        "candidate": candidate.scored.arm,
        "attribute": group.attribute,
        "group": group.name,
        "class_name": None,
        "metric": metric,
        "complement_key": f"{reference.scored.attack} {metric}",
        "direction": -1,
        "margin_rule": True,
        "span": 1.0,
        "n": group.n,
        "runs": targets,
        "unit": unit_of(targets),
        "right_to_wrong": np.nan,
        "wrong_to_right": np.nan,
        "difference": np.nan,
        "rows": np.arange(len(reference.scored.scores.T)),
    }
    fields["inference"] = "wald" if metric in (AUC, BALANCED) else "score"
    if a is None or b is None or not status.has_value:
        return PairedEstimate(**fields, status=status.word, reason=reason)
    fields["difference"] = b.value - a.value
    if status is not Status.OK:
        return PairedEstimate(**fields, status=status.word, reason=reason)
    n = len(fields["rows"])
    # Influence values are paired by row, so the covariance between the arms is part of the variance.
    influence = b.influence(group.rows, n) - a.influence(group.rows, n)
    spread, dof = _run_variance(b.values - a.values)
    if fields["inference"] == "wald":
        fewest = min(
            int(x.min()) for s in (reference, candidate) for x in (s.members[:, g], s.non_members[:, g])
        )
        return PairedEstimate(**fields, **_wald_fields(influence, spread, dof, fewest))
    return PairedEstimate(**{**fields, **_score_fields(a, b, influence, group, spread, dof)})


def _run_variance(differences: FloatArray) -> tuple[float, float]:
    """Return the variance over targets of the mean difference and its degrees of freedom.

    Below `MIN_RUNS` targets a variance over targets is not estimated: it is 0, and rows alone vary.
    """
    if len(differences) < MIN_RUNS:
        return 0.0, np.inf
    return float(np.var(differences, ddof=1) / len(differences)), len(differences) - 1.0


def _wald_fields(influence: FloatArray, spread: float, dof: float, fewest: int) -> dict[str, Any]:
    changed = int((influence != 0).sum())
    if changed < MIN_DISCORDANT_ROWS:
        reason = f"the arms differ on {counts.shortage(changed, int(MIN_DISCORDANT_ROWS))}: no interval holds"
        return {"status": "too_small", "reason": reason}
    return {
        "status": "ok",
        "reason": "",
        "row_variance": float(influence @ influence),
        "row_dof": max(fewest - 1.0, 1.0),
        "run_variance": spread,
        "run_dof": dof,
        "influence": influence,
    }


def _score_fields(
    a: LeakageEstimate, b: LeakageEstimate, influence: FloatArray, group: Group, spread: float, dof: float
) -> dict[str, Any]:
    """Return the inputs of Tango's interval for paired true positive rates.

    The pairs are the same members under both arms. The interval treats the thresholds as fixed; the variance
    that the thresholds add enters as a second component, together with that over targets (`run_variance`).
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
    single = len(a.values) == 1
    return {
        "status": "ok",
        "reason": "",
        "absolute": float(weight @ np.abs(d)),
        "square": square,
        "n_effective": n,
        "row_dof": np.inf,
        "run_variance": spread + float(threshold_influence @ threshold_influence),
        "run_dof": dof,
        "better": float((d > 0).sum()) if single else np.nan,
        "worse": float((d < 0).sum()) if single else np.nan,
        "right_to_wrong": float(np.sum(np.maximum(-d, 0.0))),
        "wrong_to_right": float(np.sum(np.maximum(d, 0.0))),
        "influence": influence if changed >= MIN_DISCORDANT_ROWS else None,
    }


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
