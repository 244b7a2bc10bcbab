"""Worst group accuracy: the accuracy of the group with the lowest one.

Smallest accuracy of the groups.

Source: Sagawa et al. 2020.

>>> worst_group_accuracy([1, 0, 1, 0], [1, 0, 1, 1], sensitive_features=["a", "a", "b", "b"])
0.5
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="worst group accuracy",
    direction=1,
    range=(0, 1),
    of=("accuracy",),
    form="worst",
    combine="min",
    reference="Sagawa et al. 2020, worst-group accuracy",
)
