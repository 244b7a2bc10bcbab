"""Mean equalized odds difference: the mean of the gaps in true and false positive rate.

`equalized_odds_difference` with `agg="mean"`, under its name in audits.
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="mean equalized odds difference",
    direction=-1,
    range=(0, 1),
    of=("true_positive_rate", "false_positive_rate"),
    form="gap",
    combine="mean",
    reference="fairlearn.metrics.equalized_odds_difference(agg='mean')",
)
