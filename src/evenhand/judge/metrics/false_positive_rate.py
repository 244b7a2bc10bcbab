"""False positive rate: the share of negative rows that are predicted positive.

P(prediction positive | label negative) = FP / (FP + TN); NaN without negative labels.

Source: fairlearn.metrics.false_positive_rate.
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_NEGATIVES, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="false positive rate",
    direction=-1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    complement="true_negative_rate",
    reference="fairlearn.metrics.false_positive_rate",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction positive, label negative]) / sum(w [label negative])."""
    return ratio(sample, sample.prediction & ~sample.label, ~sample.label, NO_NEGATIVES)
