"""Equalized odds difference: the larger of the gaps in true and false positive rate."""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="equalized odds difference",
    direction=-1,
    range=(0, 1),
    of=("true_positive_rate", "false_positive_rate"),
    form="gap",
    combine="max",
    reference="fairlearn.metrics.equalized_odds_difference(agg='worst_case')",
)
