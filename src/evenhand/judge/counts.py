"""Rows of each group, what every arm answered there, and what rates and their influence values follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from evenhand.judge.metrics import Estimate, MetricInfo, Sample
from evenhand.tables.schema import Arm, Attribute, BoolArray, FloatArray, IntArray, Predictions

#: From this many rows on each side a variance is taken from the data, below from its upper bound.
ENOUGH = 10.0

#: Runs per arm from which on an interval holds for the method and not only for these very runs.
ENOUGH_RUNS = 5


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
    """One metric in one group as one arm shows it, averaged over the arm's runs.

    Attributes:
        values: [runs] the metric of each run.
        value: their mean; NaN when undefined.
        influence: [n] mean influence of each row.
        numerator: [n] mean share above the line, or None.
        denominator: [n] share below the line, or None.
        right: [n] share of the runs that answer the row right.
        reason: why the value is undefined.
    """

    values: FloatArray
    value: float
    influence: FloatArray
    numerator: FloatArray | None
    denominator: FloatArray | None
    right: FloatArray
    reason: str


def groups_of(attribute: Attribute | None, predictions: Predictions) -> list[Group]:
    """Every group of an attribute, empty ones too; for None the one group of all rows."""
    if attribute is None:
        everything = np.arange(len(predictions.label))
        return [Group(None, None, everything, round(predictions.count.sum()))]
    found = []
    for index, name in enumerate(attribute.groups):
        rows = np.flatnonzero(attribute.in_group(index))
        found.append(Group(attribute.name, name, rows, round(predictions.count[rows].sum())))
    return found


def observe(metric: ModuleType, arm: Arm, group: Group, predictions: Predictions, positive: int) -> Observed:
    """Compute a metric for one arm in one group, run by run, and average.

    Args:
        metric: the metric's module.
        arm: the arm.
        group: the rows.
        predictions: where they come from.
        positive: the class that counts as positive.
    """
    rows = group.rows
    true, weight = predictions.label[rows], predictions.weight[rows]
    estimates: list[Estimate] = []
    for run in range(len(arm.runs)):
        probability = arm.score[run][rows] if arm.score is not None else None
        sample = Sample(true, arm.prediction[run][rows], weight, positive, probability)
        estimates.append(metric.compute(sample))
    right = np.mean(_right(arm.prediction[:, rows], true, metric.INFO, positive), axis=0)
    reason = next((e.reason for e in estimates if e.reason), "")
    return Observed(
        values=np.array([e.value for e in estimates]),
        value=float(np.mean([e.value for e in estimates])),
        influence=_mean([e.influence for e in estimates]),
        numerator=_mean_or_none([e.numerator for e in estimates]),
        denominator=_mean_or_none([e.denominator for e in estimates]),
        right=right,
        reason=reason,
    )


def _right(answers: IntArray, true: IntArray, info: MetricInfo, positive: int) -> BoolArray:
    """[runs, n] whether the row is answered right; for one class against the rest, whether that is."""
    if info.classes == "whole":
        return np.asarray(answers == true)
    return np.asarray((answers == positive) == (true == positive))


def _mean(parts: list[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.asarray(np.mean(parts, axis=0))


def _mean_or_none(parts: list[FloatArray | None]) -> FloatArray | None:
    known = [p for p in parts if p is not None]
    return _mean(known) if len(known) == len(parts) else None


def variance(influence: FloatArray, rows: IntArray, predictions: Predictions) -> float:
    """Variance of an estimate over rows, or over clusters (with the factor C / (C - 1))."""
    return float(covariance(influence[None, :], rows, predictions)[0, 0])


def covariance(influence: FloatArray, rows: IntArray, predictions: Predictions) -> FloatArray:
    """[k, k] covariance of k estimates whose [k, n] influence values lie on the same rows."""
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
    """Effective number of rows whatever the answers are: (sum w)^2 / sum w^2, over clusters where given."""
    total = float(np.sum(predictions.weight[rows] * below))
    if predictions.cluster is None:
        square = float(np.sum(predictions.weight_squared[rows] * below**2))
    else:
        _, code = np.unique(predictions.cluster[rows], return_inverse=True)
        square = float(np.sum(np.bincount(code, weights=predictions.weight[rows] * below) ** 2))
    return total**2 / square if square > 0 else 0.0


def row_dof(rows: IntArray, predictions: Predictions) -> float:
    """Degrees of freedom of a variance over rows: clusters less one, or infinite without clusters."""
    if predictions.cluster is None:
        return np.inf
    return max(len(np.unique(predictions.cluster[rows])) - 1.0, 1.0)


def effective_rows(observed: Observed, group: Group, predictions: Predictions) -> float:
    """Rows of independent, equally weighted answers that would give a share the variance it has here.

    With few answers on one side the observed variance says little; then the number that holds for any
    answers is taken.
    """
    p = observed.value
    below = observed.denominator if observed.denominator is not None else np.ones(len(group.rows))
    floor = independent_rows(np.minimum(below, 1.0), group.rows, predictions)
    if min(p, 1 - p) * floor < ENOUGH:
        return floor
    spread = variance(observed.influence, group.rows, predictions)
    return p * (1 - p) / spread if spread > 0 else floor


def run_variance(candidate: Observed, reference: Observed, *, same_runs: bool) -> tuple[float, float]:
    """Variance over runs of the difference of two arms' means, and its degrees of freedom.

    Runs of the same name are paired (they share a seed); otherwise the arms vary independently. Fewer than
    five runs in either arm say nothing about other runs: variance 0, infinite degrees of freedom.
    """
    a, b = reference.values, candidate.values
    if min(len(a), len(b)) < ENOUGH_RUNS:
        return 0.0, np.inf
    if same_runs:
        return float(np.var(b - a, ddof=1) / len(a)), len(a) - 1.0
    return float(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)), min(len(a), len(b)) - 1.0


def classes_of(info: MetricInfo, predictions: Predictions) -> Iterator[tuple[str | None, int]]:
    """Class names and indices that a metric is computed for: (None, positive) when binary or whole."""
    if predictions.positive is not None:
        yield None, predictions.positive
    elif info.classes == "whole":
        yield None, 0
    else:
        yield from ((name, index) for index, name in enumerate(predictions.classes))


def compress(predictions: Predictions) -> Predictions:
    """Join rows that no prediction metric can tell apart; scores are dropped, clusters forbid it."""
    if predictions.cluster is not None:
        return predictions
    columns: list[IntArray] = [predictions.label, *(p for arm in predictions.arms for p in arm.prediction)]
    for attribute in predictions.attributes:
        columns.extend(attribute.columns())
    key = np.zeros(len(predictions.label), dtype=np.int64)
    width = 1
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if width * size > 2**62:
            _, key = np.unique(key, return_inverse=True)
            width = int(key.max(initial=0)) + 1
        key = key * size + column
        width *= size
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)

    def total(amount: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(cell, weights=amount, minlength=len(first)), dtype=np.float64)

    return dataclasses.replace(
        predictions,
        label=predictions.label[first],
        arms=tuple(
            dataclasses.replace(arm, prediction=arm.prediction[:, first], score=None)
            for arm in predictions.arms
        ),
        attributes=tuple(
            dataclasses.replace(
                a,
                codes=None if a.codes is None else a.codes[first],
                flags=None if a.flags is None else a.flags[:, first],
            )
            for a in predictions.attributes
        ),
        count=total(predictions.count),
        weight=total(predictions.weight),
        weight_squared=total(predictions.weight_squared),
    )
