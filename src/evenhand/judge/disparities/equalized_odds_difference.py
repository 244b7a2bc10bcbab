"""Equalized odds difference: the larger of the gaps in true and false positive rate.

The larger (`worst_case`) or the mean of the gaps in true and in false positive rate.

Source: fairlearn.metrics.equalized_odds_difference; Hardt et al. 2016. Only groups in which both rates
are defined are compared.

>>> a_and_b = ["a", "a", "b", "b", "b"]
>>> equalized_odds_difference([1, 0, 1, 1, 0], [1, 0, 1, 0, 0], sensitive_features=a_and_b)
0.5
>>> equalized_odds_difference([1, 0, 1, 1, 0], [1, 0, 1, 0, 0], sensitive_features=a_and_b, agg="mean")
0.25
"""

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
