"""Equal opportunity difference: the gap between the groups' true positive rates.

Largest minus smallest true positive rate of the groups.

Source: fairlearn.metrics.equal_opportunity_difference; Hardt et al. 2016.
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="equal opportunity difference",
    direction=-1,
    range=(0, 1),
    of=("true_positive_rate",),
    form="gap",
    combine="max",
    reference="fairlearn.metrics.equal_opportunity_difference; Hardt et al. 2016",
)
