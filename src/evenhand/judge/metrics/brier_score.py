"""Brier score: the mean squared error of the scores, the proper score that judges calibration here.

Mean squared error of the scores: (p - y)^2 for two classes, summed over classes for more.

Source: sklearn.metrics.brier_score_loss, whose range is [0, 1] for two classes and [0, 2] for more.

>>> brier_score([1, 0], [0.5, 0.25])
0.15625
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import NO_ROWS, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="Brier score",
    direction=-1,
    range=(0, 2),
    needs="score",
    classes="whole",
    inference="wald",
    margin=False,
    reference="scikit-learn brier_score_loss (two classes: (p - y)^2; more: summed over classes)",
)


def compute(sample: Sample) -> Estimate:
    """Two classes: mean (p - y)^2. More: mean over rows of sum_k (p_k - [y = k])^2."""
    if sample.proba.shape[1] == 2:
        loss = (sample.score - sample.label) ** 2
    else:
        target = sample.true[:, None] == np.arange(sample.proba.shape[1])
        loss = np.sum((sample.proba - target) ** 2, axis=1)
    return ratio(sample, loss, None, NO_ROWS)
