"""Precision: the share of rows predicted positive whose label is positive.

P(label positive | prediction positive) = TP / (TP + FP); NaN if no prediction is positive.

Source: sklearn.metrics.precision_score.
"""

from __future__ import annotations

from evenhand.judge.metrics import Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="precision",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="wald",
    moderated=False,
    reference="scikit-learn precision_score; undefined (not 0) when nothing is predicted positive",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction positive, label positive]) / sum(w [prediction positive])."""
    return ratio(
        sample, sample.label & sample.prediction, sample.prediction, "no rows with a positive prediction"
    )
