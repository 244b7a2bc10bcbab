"""Metrics: values of one arm in one group.

A file here is a metric; its name is the metric's name. It defines `INFO` (a `MetricInfo`) and
`compute(sample) -> Estimate`. Undefined is NaN with a reason, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Literal

import numpy as np

from evenhand.tables.schema import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class MetricInfo:
    """Facts about a metric.

    Attributes:
        title: its name in a report.
        direction: +1 higher is better, -1 lower is better, 0 good or bad by context (no verdict).
        range: smallest and largest possible value.
        needs: what it is computed from.
        classes: for more than two classes: one number for all (`whole`) or one per class
            (`one_vs_rest`).
        inference: comparison of two arms on the same rows: `score` (the difference of two shares of
            the same rows: Tango's interval), `wald` (influence values) or `permutation` (p-value only).
        complement: the metric that is 1 minus this one: both are one row in a family.
        margin: whether the default margin for rates on [0, 1] applies.
        moderated: whether its variance over runs may borrow from other groups and arms.
        reference: definition or source.
    """

    title: str
    direction: Literal[-1, 0, 1]
    range: tuple[float, float]
    needs: Literal["prediction", "score"]
    classes: Literal["whole", "one_vs_rest"]
    inference: Literal["score", "wald", "permutation"]
    reference: str
    complement: str | None = None
    margin: bool = True
    moderated: bool = True


@dataclass(frozen=True)
class Sample:
    """Rows of one group as one run of one arm answered them.

    Attributes:
        true: [n] true class.
        answer: [n] predicted class.
        weight: [n] weight of each row (a cell of equal rows has their sum).
        positive: the class that counts as positive here.
        probability: [n, classes] scores, or None.
    """

    true: IntArray
    answer: IntArray
    weight: FloatArray
    positive: int
    probability: FloatArray | None = None

    @cached_property
    def label(self) -> BoolArray:
        """[n] whether the true class is the positive one."""
        return np.asarray(self.true == self.positive)

    @cached_property
    def prediction(self) -> BoolArray:
        """[n] whether the predicted class is the positive one."""
        return np.asarray(self.answer == self.positive)

    @property
    def proba(self) -> FloatArray:
        """[n, classes] scores; a call without scores is a bug."""
        assert self.probability is not None
        return self.probability

    @property
    def score(self) -> FloatArray:
        """[n] score of the positive class."""
        return self.proba[:, self.positive]


@dataclass(frozen=True)
class Estimate:
    """An estimate with its influence values.

    Attributes:
        value: the estimate; NaN when undefined.
        influence: [n] change of the estimate per unit of a row's weight: the variance is the sum over
            rows (or clusters) of (weight * influence) squared.
        numerator: [n] for a weighted share or mean, what each row adds above the line.
        denominator: [n] what it adds below the line.
        reason: why the value is undefined.
    """

    value: float
    influence: FloatArray
    numerator: FloatArray | None = None
    denominator: FloatArray | None = None
    reason: str = ""


@dataclass(frozen=True)
class Measure:
    """A metric without its own file: one of several that a file of another folder measures.

    Attributes:
        name: its name in results.
        INFO: facts about it.
        compute: the estimate of a sample.
    """

    name: str
    INFO: MetricInfo
    compute: Callable[[Sample], Estimate]


#: A module of this folder, or a measure: rates and comparisons accept both.
Metric = ModuleType | Measure


def undefined(sample: Sample, reason: str) -> Estimate:
    """Return an undefined estimate (NaN) with its reason."""
    return Estimate(float("nan"), np.full(len(sample.true), np.nan), reason=reason)


def ratio(
    sample: Sample, numerator: BoolArray | FloatArray, denominator: BoolArray | FloatArray | None, empty: str
) -> Estimate:
    """Weighted ratio of sums R = sum(w a) / sum(w b), with influence values (a - R b) / sum(w b).

    The influence values are the linearisation (delta method) of the ratio: Cochran (1977), Sampling
    Techniques, chapter 6.

    Args:
        sample: the rows.
        numerator: [n] a.
        denominator: [n] b; None is 1 for every row.
        empty: the reason to give when sum(w b) is 0.
    """
    above = numerator.astype(np.float64)
    below = np.ones(above.shape) if denominator is None else denominator.astype(np.float64)
    total = float((sample.weight * below).sum())
    if not total > 0:
        return undefined(sample, empty)
    value = float((sample.weight * above).sum()) / total
    return Estimate(value, (above - value * below) / total, above, below)


NO_ROWS = "no rows"
NO_POSITIVES = "no rows with a positive label"
NO_NEGATIVES = "no rows with a negative label"
