"""Equalized odds ratio: the smaller of the ratios in true and false positive rate."""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo, Values, ratio

INFO = DisparityInfo(
    title="equalized odds ratio",
    direction=1,
    range=(0, 1),
    of=(
        "true_positive_rate",
        "false_positive_rate",
    ),
    form="ratio",
    combine="min",
    reference="fairlearn.metrics.equalized_odds_ratio(agg='worst_case')",
    margin=False,
)


def compute(values: Values) -> float:
    """The smaller of the two ratios; an FPR of 0 in every group is ignored, as in fairlearn."""
    return min(ratio(values["true_positive_rate"]), ratio(values["false_positive_rate"]))
