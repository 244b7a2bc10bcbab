"""Brier score: the mean squared error of the scores, the proper score that judges calibration here."""

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
