"""F1: the harmonic mean of precision and true positive rate.

2 TP / (2 TP + FP + FN); NaN if no label and no prediction is positive.

Source: sklearn.metrics.f1_score.

>>> f1([1, 1, 0], [1, 0, 1])
0.5
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="F1",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="wald",
    reference="scikit-learn f1_score; undefined (not 0) when no label and no prediction is positive",
)


def compute(sample: Sample) -> Estimate:
    """2 TP / (2 TP + FP + FN), a ratio of sums over rows."""
    hits = 2 * (sample.label & sample.prediction).astype(np.float64)
    either = sample.label.astype(np.float64) + sample.prediction.astype(np.float64)
    return ratio(sample, hits, either, "no rows with a positive label or prediction")
