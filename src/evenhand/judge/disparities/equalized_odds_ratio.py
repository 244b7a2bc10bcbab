"""Equalized odds ratio: the smaller of the ratios in true and false positive rate.

The smaller (`worst_case`) or the mean of the ratios in true and in false positive rate.

Source: fairlearn.metrics.equalized_odds_ratio. A rate that is 0 in every group has no ratio.
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="equalized odds ratio",
    direction=1,
    range=(0, 1),
    of=("true_positive_rate", "false_positive_rate"),
    form="ratio",
    combine="min",
    reference="fairlearn.metrics.equalized_odds_ratio(agg='worst_case')",
    margin=False,
)
