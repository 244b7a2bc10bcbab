"""Balanced accuracy: the mean over classes of the share of a class's rows that are predicted right.

Mean over classes of P(prediction = class | label = class); NaN with labels of one class only.

Source: sklearn.metrics.balanced_accuracy_score.

>>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
0.5
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import Estimate, MetricInfo, Sample, ratio, undefined

INFO = MetricInfo(
    title="balanced accuracy",
    direction=1,
    range=(0, 1),
    needs="prediction",
    classes="whole",
    inference="wald",
    reference="scikit-learn balanced_accuracy_score; undefined when fewer than two classes occur",
)


def compute(sample: Sample) -> Estimate:
    """Mean over the classes that occur of the class's recall; for two classes (TPR + TNR) / 2."""
    classes = np.unique(sample.true[sample.weight > 0])
    if len(classes) < 2:
        return undefined(sample, "rows of fewer than two classes")
    right = sample.true == sample.answer
    parts = [ratio(sample, right & (sample.true == k), sample.true == k, "") for k in classes]
    value = float(np.mean([p.value for p in parts]))
    influence: np.ndarray = np.mean([p.influence for p in parts], axis=0)
    return Estimate(value, influence)
