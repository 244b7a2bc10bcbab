"""True negative rate: the share of negative rows that are predicted negative.

P(prediction negative | label negative) = TN / (FP + TN); NaN without negative labels.

Source: fairlearn.metrics.true_negative_rate.
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_NEGATIVES, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="true negative rate",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    complement="false_positive_rate",
    reference="fairlearn.metrics.true_negative_rate",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction negative, label negative]) / sum(w [label negative])."""
    return ratio(sample, ~sample.prediction & ~sample.label, ~sample.label, NO_NEGATIVES)
