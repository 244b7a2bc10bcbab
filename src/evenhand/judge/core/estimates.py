"""Rows of each group, and the metrics of every arm there with their influence values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from evenhand.judge.metrics import Estimate, Measure, Metric, MetricInfo, Sample
from evenhand.judge.stats.combine import MIN_RUNS, MIN_RUNS_MODERATED, Variation
from evenhand.judge.stats.paired import ScorePaired
from evenhand.tables.schema import ABSENT, Arm, Attribute, BoolArray, FloatArray, IntArray, Predictions

#: From this many rows on each side (right and wrong, or changed either way) a variance is estimated from
#: the data. Below, the bound that holds for any answers is used: an estimate from few rows is unstable.
MIN_DISCORDANT_ROWS = 10.0


def shortage(n: float, least: int) -> str:
    """Describe a shortage of rows: `1 row, fewer than 10`."""
    return f"{n} row{'' if n == 1 else 's'}, fewer than {least}"


@dataclass(frozen=True)
class Group:
    """The rows of one group of one attribute; all rows when both are None.

    Attributes:
        attribute: its name.
        name: the group's name.
        rows: [n] indices into the rows of the predictions.
        n: examples.
    """

    attribute: str | None
    name: str | None
    rows: IntArray
    n: int


@dataclass(frozen=True)
class Observed:
    """One metric of one arm in one group, averaged over the arm's runs.

    Attributes:
        values: [runs] the metric of each run.
        value: their mean; NaN when undefined.
        influence: [n] mean influence of each row.
        numerator: [n] mean share above the line, or None.
        denominator: [n] share below the line, or None.
        right: [n] share of the runs that answer the row right, of those that have the row.
        right_by_run: [runs, n] whether each run does; None where answers are neither right nor wrong.
        reason: why the value is undefined.
        present: [n] share of the runs that have the row; None is all of them.
        each: [n] the row's own value where the metric is a mean of such, and answers are neither right nor
            wrong.
        flips: variance of a single run's value that flips of single answers give; NaN where runs are few or
            have rows of their own.
        influence_by_run: [runs, n] that of each run; None for shares, and where `flips` is NaN.
    """

    values: FloatArray
    value: float
    influence: FloatArray
    numerator: FloatArray | None
    denominator: FloatArray | None
    right: FloatArray
    reason: str
    present: FloatArray | None = None
    each: FloatArray | None = None
    right_by_run: BoolArray | None = None
    flips: float = float("nan")
    influence_by_run: FloatArray | None = None


def groups_of(attribute: Attribute | None, predictions: Predictions) -> list[Group]:
    """Return every group of an attribute, empty ones too; for None the single group of all rows."""
    if attribute is None:
        everything = np.arange(len(predictions.label))
        return [Group(None, None, everything, round(predictions.count.sum()))]
    groups = []
    for index, name in enumerate(attribute.groups):
        rows = np.flatnonzero(attribute.in_group(index))
        groups.append(Group(attribute.name, name, rows, round(predictions.count[rows].sum())))
    return groups


def observe(metric: Metric, arm: Arm, group: Group, predictions: Predictions, positive: int) -> Observed:
    """Compute a metric for one arm in one group, run by run, and average.

    Where each run has its own rows (`Predictions.resplit`), a run's metric uses its rows only, and a row's
    influence, numerator and denominator are sums over the runs that have it. An example is one row whatever
    the number of runs, so a variance over rows includes the correlation of its answers between runs.

    Args:
        metric: the metric's module.
        arm: the arm.
        group: the rows.
        predictions: where they come from.
        positive: the class that counts as positive.
    """
    rows = group.rows
    true, weight = predictions.label[rows], predictions.weight[rows]
    answers = arm.prediction[:, rows]
    here = answers != ABSENT
    estimates: list[Estimate] = []
    for run in range(len(arm.runs)):
        probability = arm.score[run][rows] if arm.score is not None else None
        sample = Sample(true, answers[run], weight, positive, probability)
        if predictions.resplit:
            estimates.append(_compute_on_present_rows(metric, sample, here[run]))
        else:
            estimates.append(metric.compute(sample))
    right = _answered_right(answers, true, metric.INFO, positive)
    everywhere = bool(here.all())
    if not everywhere:
        right &= here
    values = np.array([e.value for e in estimates])
    reason = next((e.reason for e in estimates if e.reason), "")
    shares = _run_weights(estimates, weight) if predictions.resplit else None
    flips = np.nan if predictions.resplit else flips_of(metric, estimates, rows, predictions)
    stored = not np.isnan(flips) and metric.INFO.inference == "wald"
    return Observed(
        values=values,
        value=float(values.mean()),
        influence=_mean([e.influence for e in estimates]),
        numerator=_mean_or_none([e.numerator for e in estimates], shares),
        denominator=_mean_or_none([e.denominator for e in estimates], shares),
        right=right.sum(axis=0) / (len(here) if everywhere else np.maximum(here.sum(axis=0), 1)),
        reason=reason,
        present=np.ones(len(rows)) if everywhere else here.mean(axis=0),
        right_by_run=right,
        flips=flips,
        influence_by_run=np.stack([e.influence for e in estimates]) if stored else None,
    )


def flips_of(metric: Metric, estimates: list[Estimate], rows: IntArray, predictions: Predictions) -> float:
    """Variance of a run's value that flips give; NaN where it is unknown, or runs are too few.

    Of the measures of texts only shares have it: their other numbers are not moderated.
    """
    shares = metric.INFO.inference == "score"
    least = MIN_RUNS_MODERATED if shares else MIN_RUNS
    measured = isinstance(metric, Measure) and not shares
    if measured or not metric.INFO.moderated or len(estimates) < least or any(e.reason for e in estimates):
        return float("nan")
    below = estimates[0].denominator
    counted = predictions.count[rows] * (True if below is None else below > 0)
    return flip_variance(np.stack([e.influence for e in estimates]), counted, rows, predictions)


def flip_variance(
    influence: FloatArray, counted: FloatArray, rows: IntArray, predictions: Predictions
) -> float:
    """Variance of a single run's value that flips of single answers give, without shifts of whole runs.

    The influence values of a run sum to 0, so shifts are taken out of them; what a run's differ from the mean
    of all runs is its flips. For a share of n rows this is the mean square of rows x runs, over n.

    Args:
        influence: [runs, n] influence values of each run.
        counted: [n] examples of each row that the value rests on.
        rows: [n] indices of the rows.
        predictions: where they come from; a single row gives NaN.
    """
    if (n := float(counted.sum())) < 2:
        return float("nan")
    covariance = row_covariance(influence - influence.mean(axis=0), rows, predictions)
    few = n / (n - 1) if predictions.cluster is None else 1.0  # `row_covariance` corrects for few clusters
    return float(np.trace(covariance)) / (len(influence) - 1) * few


def _compute_on_present_rows(metric: Metric, sample: Sample, here: BoolArray) -> Estimate:
    """Compute a metric on the rows of one run; its other rows get zero influence."""
    probability = None if sample.probability is None else sample.probability[here]
    present = Sample(
        sample.true[here], sample.answer[here], sample.weight[here], sample.positive, probability
    )
    estimate: Estimate = metric.compute(present)

    def scatter(values: FloatArray | None) -> FloatArray | None:
        if values is None:
            return None
        everywhere = np.zeros(len(here))
        everywhere[here] = values
        return everywhere

    influence = scatter(estimate.influence)
    assert influence is not None
    numerator, denominator = scatter(estimate.numerator), scatter(estimate.denominator)
    reason = f"{estimate.reason} in a run" if estimate.reason else ""
    return Estimate(estimate.value, influence, numerator, denominator, reason)


def _run_weights(estimates: list[Estimate], weight: FloatArray) -> FloatArray | None:
    """[runs] weights under which the ratio of weighted sums equals the mean of the runs' ratios.

    With weights proportional to 1 / D_r, sum_r (N_r / D_r) / sum_r (D_r / D_r) is the mean of N_r / D_r.
    """
    totals = [float(np.sum(weight * e.denominator)) for e in estimates if e.denominator is not None]
    if len(totals) < len(estimates) or min(totals, default=0.0) <= 0:
        return None
    inverse = 1 / np.array(totals)
    return np.asarray(inverse / inverse.sum())


def _answered_right(answers: IntArray, true: IntArray, info: MetricInfo, positive: int) -> BoolArray:
    """[runs, n] correct answers; for one class against the rest, correct decisions about that class."""
    if info.classes == "whole":
        return np.asarray(answers == true)
    return np.asarray((answers == positive) == (true == positive))


def _mean(parts: list[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.asarray(np.add.reduce(parts) / len(parts))


def _mean_or_none(parts: list[FloatArray | None], shares: FloatArray | None = None) -> FloatArray | None:
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    return _mean(known) if shares is None else np.asarray(shares @ np.stack(known))


def row_variance(influence: FloatArray, rows: IntArray, predictions: Predictions) -> float:
    """Variance of an estimate over rows, or over C clusters with the factor C / (C - 1)."""
    return float(row_covariance(influence[None, :], rows, predictions)[0, 0])


def row_covariance(influence: FloatArray, rows: IntArray, predictions: Predictions) -> FloatArray:
    """[k, k] covariance of k estimates whose [k, n] influence values refer to the same rows.

    Rows: sum_i w_i^2 f_i f_i'. Clusters: influence values are summed within each cluster first, which keeps
    the correlation of their rows (Liang and Zeger 1986); fewer than two clusters give NaN.
    """
    if predictions.cluster is None:
        return np.asarray((influence * predictions.weight_squared[rows]) @ influence.T)
    _, code = np.unique(predictions.cluster[rows], return_inverse=True)
    clusters = int(code.max()) + 1 if len(code) else 0
    if clusters < 2:
        return np.full((len(influence), len(influence)), np.nan)
    sums = np.stack(
        [np.bincount(code, weights=w, minlength=clusters) for w in influence * predictions.weight[rows]]
    )
    return np.asarray(sums @ sums.T * clusters / (clusters - 1))


def independent_rows(below: FloatArray, rows: IntArray, predictions: Predictions) -> float:
    """Effective number of rows for any answers: (sum w)^2 / sum w^2, with w summed within clusters.

    Source: Kish (1965), Survey Sampling.
    """
    total = float(np.sum(predictions.weight[rows] * below))
    if predictions.cluster is None:
        square = float(np.sum(predictions.weight_squared[rows] * below**2))
    else:
        _, code = np.unique(predictions.cluster[rows], return_inverse=True)
        square = float(np.sum(np.bincount(code, weights=predictions.weight[rows] * below) ** 2))
    return total**2 / square if square > 0 else 0.0


def per_row(difference: FloatArray, below: FloatArray) -> FloatArray:
    """[n] difference of the arms' numerators of a row, over the row's share in the denominator; else 0."""
    inside = below > 0
    return np.asarray(np.where(inside, difference / np.where(inside, below, 1.0), 0.0))


def effective_paired(
    d: FloatArray, below: FloatArray, rows: IntArray, predictions: Predictions, *, square: float
) -> float:
    """Number of unweighted, independent rows that gives a paired difference of shares its variance here.

    Args:
        d: [n] difference of the answers to each row.
        below: [n] the row's share in the denominator of both arms.
        rows: [n] the rows.
        predictions: where they come from.
        square: weighted mean of d squared.
    """
    p, floor = predictions, independent_rows(below, rows, predictions)
    uneven = p.weighted or p.cluster is not None or p.resplit
    if not uneven or float(p.count[rows] @ (d != 0)) < MIN_DISCORDANT_ROWS:
        return floor
    weight = p.weight[rows] * below
    total = float(weight.sum())
    mean = float(np.sum(weight * d)) / total
    spread = row_variance((d - mean) * below / total, rows, p)
    if not spread > 0:
        return floor
    return min((square - mean**2) / spread, float(p.count[rows] @ (below > 0)))


def paired_shares(
    reference: Observed, candidate: Observed, below: FloatArray, rows: IntArray, predictions: Predictions
) -> tuple[ScorePaired, FloatArray]:
    """Estimate the difference of two shares of the same rows; see `ScorePaired`.

    Args:
        reference: one arm's share.
        candidate: the other's.
        below: [n] each row's share in the denominator of both.
        rows: [n] the rows.
        predictions: where they come from.

    Returns:
        The estimate, whose fields have no axes, without runs and exact test; and [n] differences of rows.
    """
    assert candidate.numerator is not None
    assert reference.numerator is not None
    weight = predictions.weight[rows] * below
    total = float(weight.sum())
    d = per_row(candidate.numerator - reference.numerator, below)
    mean, absolute, square = (float(np.sum(weight * v)) / total for v in (d, np.abs(d), d**2))
    n = effective_paired(d, below, rows, predictions, square=square)
    estimate = ScorePaired(
        difference=np.asarray(mean),
        absolute=np.asarray(absolute),
        square=np.asarray(square),
        n=np.asarray(n),
        variation=Variation(np.inf, np.zeros(()), np.inf),
        better=np.asarray(np.nan),
        worse=np.asarray(np.nan),
    )
    return estimate, d


def row_dof(rows: IntArray, predictions: Predictions) -> float:
    """Degrees of freedom of a variance over rows: clusters minus one, or infinite without clusters."""
    if predictions.cluster is None:
        return np.inf
    return max(len(np.unique(predictions.cluster[rows])) - 1.0, 1.0)


def effective_rows(observed: Observed, group: Group, predictions: Predictions) -> float:
    """Number of independent, equally weighted rows that gives a share its variance here: p (1 - p) / var.

    With fewer than `MIN_DISCORDANT_ROWS` answers on one side the observed variance is unreliable; then the
    number that holds for any answers is returned.
    """
    p = observed.value
    below = observed.present if observed.denominator is None else observed.denominator
    below = np.ones(len(group.rows)) if below is None else below
    floor = independent_rows(np.minimum(below, 1.0), group.rows, predictions)
    if min(p, 1 - p) * floor < MIN_DISCORDANT_ROWS:
        return floor
    spread = row_variance(observed.influence, group.rows, predictions)
    return p * (1 - p) / spread if spread > 0 else floor


def classes_of(info: MetricInfo, predictions: Predictions) -> Iterator[tuple[str | None, int]]:
    """Yield the class names and indices of a metric: (None, positive) when binary or `whole`."""
    if predictions.positive is not None:
        yield None, predictions.positive
    elif info.classes == "whole":
        yield None, 0
    else:
        yield from ((name, index) for index, name in enumerate(predictions.classes))


def collapse_equal_rows(predictions: Predictions) -> Predictions:
    """Aggregate rows that are equal for every prediction metric; their counts and weights are summed.

    Rates depend on rows only through such sums, so ten million rows become a few cells. Scores are dropped;
    predictions with clusters are returned unchanged, since rows of different clusters are not exchangeable.
    """
    if predictions.cluster is not None:
        return predictions
    columns: list[IntArray] = [predictions.label, *(p for arm in predictions.arms for p in arm.prediction)]
    for attribute in predictions.attributes:
        columns.extend(attribute.columns())
    key = np.zeros(len(predictions.label), dtype=np.int64)
    width = 1
    for column in columns:
        lowest = min(int(column.min(initial=0)), 0)
        size = int(column.max(initial=0)) - lowest + 1
        if width * size > 2**62:  # the mixed-radix key would overflow int64: renumber it densely first
            _, key = np.unique(key, return_inverse=True)
            width = int(key.max(initial=0)) + 1
        key = key * size + (column - lowest)
        width *= size
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)

    def total(amount: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(cell, weights=amount, minlength=len(first)), dtype=np.float64)

    return replace(
        predictions,
        label=predictions.label[first],
        arms=tuple(replace(a, prediction=a.prediction[:, first], score=None) for a in predictions.arms),
        attributes=tuple(a.at(first) for a in predictions.attributes),
        count=total(predictions.count),
        weight=total(predictions.weight),
        weight_squared=total(predictions.weight_squared),
    )
