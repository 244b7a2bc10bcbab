"""Demographic parity ratio: the smallest selection rate over the largest (LL144's impact ratio).

Smallest selection rate of the groups over the largest; NaN when all are 0.

Source: fairlearn.metrics.demographic_parity_ratio; LL144's impact ratio. `to_overall` compares each group
with all rows, the smaller rate over the larger, and takes the smallest.

>>> demographic_parity_ratio([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["a", "a", "b", "b"])
0.5
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="demographic parity ratio",
    direction=1,
    range=(0, 1),
    of=("selection_rate",),
    form="ratio",
    combine="min",
    reference="fairlearn.metrics.demographic_parity_ratio",
    margin=False,
)
