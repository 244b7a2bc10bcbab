"""Log loss: the mean negative logarithm of the score of the true class.

Mean of -ln(score of the true class), in nats; scores are clipped to [2^-52, 1 - 2^-52].

Source: sklearn.metrics.log_loss. `labels` names the classes of the columns of `y_score` in their order.

>>> round(log_loss([1, 0], [0.5, 0.25]), 4)
0.4904
"""

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
