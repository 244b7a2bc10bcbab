"""Log loss: the mean negative logarithm of the score of the true class."""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import NO_ROWS, Estimate, MetricInfo, Sample, ratio

INFO = MetricInfo(
    title="log loss",
    direction=-1,
    range=(0, float("inf")),
    needs="score",
    classes="whole",
    inference="wald",
    margin=False,
    reference="scikit-learn log_loss; scores are clipped to [eps, 1 - eps], eps = 2^-52",
)


def compute(sample: Sample) -> Estimate:
    """Mean over rows of -ln p(true class), in nats."""
    eps = np.finfo(np.float64).eps
    chosen = np.take_along_axis(sample.proba, sample.true[:, None], axis=1)[:, 0]
    return ratio(sample, -np.log(np.clip(chosen, eps, 1 - eps)), None, NO_ROWS)
