"""Equalized odds ratio: the smaller of the ratios in true and false positive rate.

A false positive rate of 0 in every group is ignored, as in fairlearn.
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
