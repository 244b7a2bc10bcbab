"""Pairs: one metric of two arms on the same rows of one group, before adjustment within a family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenhand.judge.core import swaps
from evenhand.judge.core.estimates import (
    MIN_DISCORDANT_ROWS,
    Group,
    Observed,
    flip_variance,
    independent_rows,
    paired_shares,
    row_dof,
    row_variance,
    shortage,
)
from evenhand.judge.core.evidence import (
    Evidence,
    Identity,
    Missing,
    PairedEstimate,
    Permutation,
    RowInfluence,
    RunsOfArms,
    Score,
    Wald,
    wald,
)
from evenhand.judge.core.flips import NO_FLIPS, Flips, count_flips
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.metrics import Measure, Metric
from evenhand.judge.rows import Status
from evenhand.judge.settings import Settings
from evenhand.tables.schema import FloatArray, Predictions

#: Influence values that differ by less than this, over the weight of all rows, are equal up to rounding.
ROUNDING = 1e-9


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
    amount = m.predictions.count[m.group.rows] * (_counted(m) > 0)
    return PairedEstimate(
        Identity.of(m.candidate_arm.name, (m.group.attribute, m.group.name), m.class_name, m.name, m.info),
        difference,
        m.group.n,
        min(len(m.reference_arm.runs), len(m.candidate_arm.runs)),
        _flips(m, amount),
        _evidence(m, difference, min_group_size, rng, margin=margin),
    )


def _evidence(
    m: PairedArms, difference: float, min_group_size: int, rng: np.random.Generator, *, margin: bool
) -> Evidence:
    """Compute the inputs of the interval and the p-value, or the reason why there are none."""
    status: Status = "ok"
    reason = ""
    if np.isnan(difference):
        status = "undefined"
        reason = "; ".join(dict.fromkeys(r for r in (m.reference.reason, m.candidate.reason) if r))
    elif m.group.n < min_group_size:
        status, reason = "too_small", shortage(m.group.n, min_group_size)
    if m.info.inference == "permutation":
        if status != "ok":
            return Permutation(status=status, reason=reason)
        return swaps.compare_calibration(m, rng, interval=margin)
    if status != "ok":
        return Missing(status, reason)
    return _score(m) if m.info.inference == "score" else _wald(m)


def _flips(m: PairedArms, amount: FloatArray) -> Flips:
    """Count rows whose answers change; NaN where answers are neither right nor wrong."""
    if m.reference.right_by_run is None or m.candidate.right_by_run is None:
        return NO_FLIPS
    right = m.reference.right_by_run, m.candidate.right_by_run
    return count_flips((m.reference_arm, m.candidate_arm), right, m.group.rows, amount)


def _counted(m: PairedArms) -> FloatArray:
    """[n] each row's share in the metric's denominator, which does not depend on the predictions."""
    if m.info.inference == "score" and m.reference.denominator is not None:
        return m.reference.denominator
    return np.ones(len(m.group.rows))


def _score(m: PairedArms) -> Score:
    p, rows, below = m.predictions, m.group.rows, _counted(m)
    single = len(m.reference_arm.runs) == len(m.candidate_arm.runs) == 1
    shares, d = paired_shares(m.reference, m.candidate, below, rows, p)
    exact = single and not p.weighted and p.cluster is None
    estimate = replace(
        shares,
        difference=np.asarray(m.candidate.value - m.reference.value),
        variation=m.variation(row_dof(rows, p)),
        better=np.asarray(p.count[rows] @ (d > 0) if exact else np.nan),
        worse=np.asarray(p.count[rows] @ (d < 0) if exact else np.nan),
    )
    few = float(np.sum(p.count[rows] * (d != 0))) < MIN_DISCORDANT_ROWS
    influence = (d - shares.difference) * below / float((p.weight[rows] * below).sum())
    return Score(estimate, None if few else RowInfluence(rows, influence), _runs(m, below))


def _runs(m: PairedArms, below: FloatArray) -> RunsOfArms | None:
    """Return the values of single runs; None where their variance cannot be moderated."""
    flips = m.reference.flips, m.candidate.flips
    if np.isnan(flips).any():
        return None
    rows = independent_rows(below, m.group.rows, m.predictions)
    values = m.reference.values, m.candidate.values
    return RunsOfArms(values, flips, _flips_of_difference(m, below), rows, m.same_seeds)


def _flips_of_difference(m: PairedArms, below: FloatArray) -> float:
    """Variance of the difference between runs of one seed that flips give; NaN where runs are not paired."""
    reference, candidate = m.reference.right_by_run, m.candidate.right_by_run
    if not m.same_seeds or reference is None or candidate is None:
        return float("nan")
    p, rows = m.predictions, m.group.rows
    difference = candidate.astype(np.float64) - reference
    if m.info.classes == "one_vs_rest":
        # The share of answers of a class: an answer that becomes right leaves it, where the label is another.
        positive = p.positive if m.class_name is None else p.classes.index(m.class_name)
        difference *= np.where(p.label[rows] == positive, 1.0, -1.0)
    weight = p.weight[rows] * below
    mean = difference @ weight / weight.sum()
    influence = (difference - mean[:, None]) * below / weight.sum()
    return flip_variance(influence, p.count[rows] * (below > 0), rows, p)


def _wald(m: PairedArms) -> Wald | Missing:
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
        return Missing("too_small", too_few_differ(changed))
    variation = m.variation(min(row_dof(rows, p), changed - 1.0))
    difference = m.candidate.value - m.reference.value
    estimate = wald(difference, row_variance(influence, rows, p), variation)
    return Wald(estimate, RowInfluence(rows, influence), _runs_of_values(m))


def _runs_of_values(m: PairedArms) -> RunsOfArms | None:
    """Return the values of single runs of a metric that is compared by influence values, as `_runs` does."""
    a, b = m.reference, m.candidate
    if np.isnan([a.flips, b.flips]).any():
        return None
    p, rows = m.predictions, m.group.rows
    n, together = independent_rows(np.ones(len(rows)), rows, p), float("nan")
    if m.same_seeds and a.influence_by_run is not None and b.influence_by_run is not None:
        together = flip_variance(b.influence_by_run - a.influence_by_run, p.count[rows], rows, p)
    size = n * row_variance(a.influence, rows, p), n * row_variance(b.influence, rows, p)
    return RunsOfArms((a.values, b.values), (a.flips, b.flips), together, n, m.same_seeds, size)


def too_few_differ(changed: int, consequence: str = "too few for an interval") -> str:
    """Explain that the arms differ on too few rows."""
    return f"the arms differ on {shortage(changed, int(MIN_DISCORDANT_ROWS))}: {consequence}"


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
