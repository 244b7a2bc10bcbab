"""ROC AUC: the probability that a positive row has a higher score than a negative one (ties count half).

P(score of a positive row > score of a negative row) + P(equal) / 2; scores may be any numbers.

Source: sklearn.metrics.roc_auc_score.

>>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
0.875
"""

from __future__ import annotations

import numpy as np

from evenhand.judge.metrics import NO_NEGATIVES, NO_POSITIVES, Estimate, MetricInfo, Sample, undefined
from evenhand.tables.schema import BoolArray, FloatArray

INFO = MetricInfo(
    title="ROC AUC",
    direction=1,
    range=(0, 1),
    needs="score",
    classes="one_vs_rest",
    inference="wald",
    reference="scikit-learn roc_auc_score; influence values: DeLong, DeLong and Clarke-Pearson (1988)",
)


def compute(sample: Sample) -> Estimate:
    """P(score of a positive > score of a negative) + P(equal) / 2, weighted.

    The influence of a row is its placement value (the weighted share of the other class that it beats)
    minus the AUC, over the weight of its own class.
    """
    positive, weight = sample.label, sample.weight
    above, below = float(weight[positive].sum()), float(weight[~positive].sum())
    if not above > 0:
        return undefined(sample, NO_POSITIVES)
    if not below > 0:
        return undefined(sample, NO_NEGATIVES)
    placement = np.where(
        positive,
        _share_below(sample.score, weight, ~positive) / below,
        1 - _share_below(sample.score, weight, positive) / above,
    )
    value = float(np.sum(weight[positive] * placement[positive]) / above)
    return Estimate(value, (placement - value) / np.where(positive, above, below))


def _share_below(score: FloatArray, weight: FloatArray, of: BoolArray) -> FloatArray:
    """[n] weight of the rows in `of` with a lower score, equal scores counted half."""
    order = np.argsort(score[of], kind="stable")
    ranked = score[of][order]
    running = np.concatenate([[0.0], np.cumsum(weight[of][order])])
    lower = running[np.searchsorted(ranked, score, side="left")]
    upto = running[np.searchsorted(ranked, score, side="right")]
    return np.asarray((lower + upto) / 2)
