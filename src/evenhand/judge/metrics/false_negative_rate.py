"""False negative rate: the share of positive rows that are predicted negative.

P(prediction negative | label positive) = FN / (TP + FN); NaN without positive labels.

Source: fairlearn.metrics.false_negative_rate.
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_POSITIVES, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="false negative rate",
    direction=-1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    complement="true_positive_rate",
    reference="fairlearn.metrics.false_negative_rate",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction negative, label positive]) / sum(w [label positive])."""
    return ratio(sample, ~sample.prediction & sample.label, sample.label, NO_POSITIVES)
