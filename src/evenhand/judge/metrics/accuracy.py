"""Accuracy: the share of rows whose predicted class is the true one.

P(prediction = label), for any number of classes.

Source: sklearn.metrics.accuracy_score.

>>> accuracy(["a", "b", "c", "c"], ["a", "b", "c", "a"])
0.75
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_ROWS, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="accuracy",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="whole",
    inference="score",
    reference="scikit-learn accuracy_score",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction = label]) / sum(w)."""
    return ratio(sample, sample.true == sample.answer, None, NO_ROWS)
