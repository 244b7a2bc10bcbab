"""Pairs: one metric of two arms on the same rows of one group, before adjustment within a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.judge.core import swaps
from evenhand.judge.core.estimates import (
    MIN_DISCORDANT_ROWS,
    Group,
    Observed,
    effective_paired,
    per_row,
    row_dof,
    row_variance,
    run_variance,
    shortage,
)
from evenhand.judge.core.flips import Flips, count_flips
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.metrics import Measure, Metric
from evenhand.judge.settings import Settings
from evenhand.tables.schema import FloatArray, Predictions

#: Influence values that differ by less than this, over the weight of all rows, are equal up to rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class PairedEstimate:
    """One difference between a candidate and the reference.

    Attributes:
        candidate, attribute, group, class_name, metric: the identity of a row of the result.
        complement_key: equal for metrics whose comparisons are the same test (a rate and its complement).
        direction: of the metric; its margin rule and span (largest minus smallest value) accompany it.
        difference: candidate minus reference; NaN when undefined.
        absolute: mean |d| of the rows, for `score`.
        square: mean d squared, for `score`.
        n_effective: rows behind the difference, for `score`.
        row_dof: degrees of freedom over rows or clusters.
        row_variance: variance over rows, for `wald` and `swap`.
        run_variance: variance over runs, or 0.
        run_dof: its degrees of freedom.
        better: rows that only the candidate has right (exact test), or NaN.
        worse: rows that only the reference has right, or NaN.
        p_value: the permutation p-value, for `permutation`.
        between_runs: rows that two runs of one arm answer differently, in each direction; NaN without runs.
        noise: for `swap`, the calibration error that noise of this size can hide.
        rows: [n] rows of the group.
        influence: [n] influence of each row on the difference; None where too few rows differ to estimate
            correlations from.
        maximum: inputs of the bounds, for disparities.
    """

    candidate: str
    attribute: str | None
    group: str | None
    class_name: str | None
    metric: str
    complement_key: str
    direction: int
    margin_rule: bool
    span: float
    inference: str
    n: int
    runs: int
    unit: str
    right_to_wrong: float
    wrong_to_right: float
    status: str
    reason: str
    difference: float
    absolute: float = float("nan")
    square: float = float("nan")
    n_effective: float = float("nan")
    row_dof: float = float("inf")
    row_variance: float = float("nan")
    run_variance: float = 0.0
    run_dof: float = float("inf")
    better: float = float("nan")
    worse: float = float("nan")
    p_value: float = float("nan")
    between_runs: float = float("nan")
    noise: float = 0.0
    rows: Any = None
    influence: FloatArray | None = None
    maximum: Any = None


def compare_arms(
    matched: PairedArms, min_group_size: int, rng: np.random.Generator, *, margin: bool = False
) -> PairedEstimate:
    """Compare two arms by one metric in one group.

    Args:
        matched: the observations.
        min_group_size: smaller groups get a difference without interval, p-value and verdict.
        rng: source of swaps.
        margin: whether a margin was declared for this metric itself.
    """
    m = matched
    difference = m.candidate.value - m.reference.value
    counted = _counted(m)
    amount = m.predictions.count[m.group.rows] * (counted > 0)
    changes = _flips(m, amount)
    status, reason = "ok", ""
    if np.isnan(difference):
        status = "undefined"
        reason = "; ".join(dict.fromkeys(r for r in (m.reference.reason, m.candidate.reason) if r))
    elif m.group.n < min_group_size:
        status, reason = "too_small", shortage(m.group.n, min_group_size)
    base: dict[str, Any] = {
        "candidate": m.candidate_arm.name,
        "attribute": m.group.attribute,
        "group": m.group.name,
        "class_name": m.class_name,
        "metric": m.name,
        "complement_key": min(m.name, m.info.complement or m.name),
        "direction": m.info.direction,
        "margin_rule": m.info.margin,
        "span": m.info.range[1] - m.info.range[0],
        "inference": m.info.inference,
        "n": m.group.n,
        "runs": min(len(m.reference_arm.runs), len(m.candidate_arm.runs)),
        "unit": m.unit,
        "right_to_wrong": changes.right_to_wrong,
        "wrong_to_right": changes.wrong_to_right,
        "between_runs": changes.between_runs,
        "difference": difference,
        "rows": m.group.rows,
    }
    if status != "ok":
        return PairedEstimate(**base, status=status, reason=reason)
    if m.info.inference == "score":
        return PairedEstimate(**base, **_score_fields(m))
    if m.info.inference == "wald":
        return PairedEstimate(**base, **_wald_fields(m))
    return PairedEstimate(**(base | swaps.compare_calibration(m, rng, interval=margin)))


def _flips(m: PairedArms, amount: FloatArray) -> Flips:
    """Count rows whose answers change; NaN where answers are neither right nor wrong."""
    if m.reference.right_by_run is None or m.candidate.right_by_run is None:
        return Flips(np.nan, np.nan, np.nan)
    right = m.reference.right_by_run, m.candidate.right_by_run
    return count_flips((m.reference_arm, m.candidate_arm), right, m.group.rows, amount)


def _counted(m: PairedArms) -> FloatArray:
    """[n] each row's share in the metric's denominator, which does not depend on the predictions."""
    if m.info.inference == "score" and m.reference.denominator is not None:
        return m.reference.denominator
    return np.ones(len(m.group.rows))


def _score_fields(m: PairedArms) -> dict[str, Any]:
    p, rows = m.predictions, m.group.rows
    assert m.candidate.numerator is not None
    assert m.reference.numerator is not None
    below = _counted(m)
    weight = p.weight[rows] * below
    total = float(weight.sum())
    d = per_row(m.candidate.numerator - m.reference.numerator, below)
    mean, square = float(np.sum(weight * d)) / total, float(np.sum(weight * d**2)) / total
    absolute = float(np.sum(weight * np.abs(d))) / total
    influence = (d - mean) * below / total
    changed = float(np.sum(p.count[rows] * (d != 0)))
    single = len(m.reference_arm.runs) == len(m.candidate_arm.runs) == 1
    counted = single and not p.weighted and p.cluster is None
    run_var, run_dof = run_variance(m.candidate, m.reference, same_runs=m.same_runs)
    return {
        "status": "ok",
        "reason": "",
        "absolute": absolute,
        "square": square,
        "n_effective": effective_paired(d, below, rows, p, square=square),
        "row_dof": row_dof(rows, p),
        "run_variance": run_var,
        "run_dof": run_dof,
        "better": float(p.count[rows] @ (d > 0)) if counted else np.nan,
        "worse": float(p.count[rows] @ (d < 0)) if counted else np.nan,
        "influence": influence if changed >= MIN_DISCORDANT_ROWS else None,
    }


def _wald_fields(m: PairedArms) -> dict[str, Any]:
    p, rows = m.predictions, m.group.rows
    influence = m.candidate.influence - m.reference.influence
    # Metrics of predictions count rows whose answers differ: one changed answer changes the influence values
    # of all rows, so these cannot be counted.
    moved = np.abs(influence) * float(p.weight[rows].sum()) > ROUNDING
    differ = m.reference.right != m.candidate.right if m.info.needs == "prediction" else moved
    if m.reference.each is not None and m.candidate.each is not None:
        differ = m.reference.each != m.candidate.each
    changed = round(float(p.count[rows] @ differ))
    if changed < MIN_DISCORDANT_ROWS:
        reason = f"the arms differ on {shortage(changed, int(MIN_DISCORDANT_ROWS))}: too few for an interval"
        return {"status": "too_small", "reason": reason}
    run_var, run_dof = run_variance(m.candidate, m.reference, same_runs=m.same_runs)
    clusters = row_dof(rows, p)
    return {
        "status": "ok",
        "reason": "",
        "row_variance": row_variance(influence, rows, p),
        "row_dof": min(clusters, changed - 1.0),
        "run_variance": run_var,
        "run_dof": run_dof,
        "influence": influence,
    }


def compare_with_reference(
    metric: Metric,
    class_name: str | None,
    predictions: Predictions,
    estimates: tuple[list[Group], list[list[Observed]]],
    reference: int,
    settings: Settings,
) -> list[PairedEstimate]:
    """Compare every candidate with the reference, in every group.

    Args:
        metric: the metric's module, or a measure.
        class_name: the class of a one-against-rest metric, or None.
        predictions: the rows.
        estimates: groups, and observations by [arm][group].
        reference: index of the reference arm.
        settings: smallest group and seed.
    """
    (groups, observed), arms = estimates, predictions.arms
    pairs = []
    for candidate in (i for i in range(len(arms)) if i != reference):
        for g, group in enumerate(groups):
            matched = PairedArms(
                name=module_name(metric),
                info=metric.INFO,
                class_name=class_name,
                group=group,
                reference=observed[reference][g],
                candidate=observed[candidate][g],
                reference_arm=arms[reference],
                candidate_arm=arms[candidate],
                predictions=predictions,
            )
            rng = np.random.default_rng((settings.rng, g))
            declared = matched.name in settings.margins
            pairs.append(compare_arms(matched, settings.min_group_size, rng, margin=declared))
    return pairs


def module_name(metric: Metric) -> str:
    """Return the name of a metric: its file's name, or a measure's `name`."""
    return metric.name if isinstance(metric, Measure) else metric.__name__.rpartition(".")[2]
