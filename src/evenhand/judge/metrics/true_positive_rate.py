"""True positive rate: the share of positive rows that are predicted positive (recall).

P(prediction positive | label positive) = TP / (TP + FN); NaN without positive labels.

Source: fairlearn.metrics.true_positive_rate.

>>> true_positive_rate(["yes", "yes", "no"], ["yes", "no", "no"], pos_label="yes")
0.5
>>> true_positive_rate([0, 0], [1, 0])
nan
"""

from __future__ import annotations

from evenhand.judge.metrics import NO_POSITIVES, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="true positive rate",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    complement="false_negative_rate",
    reference="fairlearn.metrics.true_positive_rate",
)


def compute(sample: Sample) -> Estimate:
    """sum(w [prediction positive, label positive]) / sum(w [label positive])."""
    return ratio(sample, sample.prediction & sample.label, sample.label, NO_POSITIVES)
