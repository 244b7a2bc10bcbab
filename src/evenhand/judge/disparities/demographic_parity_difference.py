"""Demographic parity difference: the gap between the groups' selection rates.

Largest minus smallest selection rate of the groups.

Source: fairlearn.metrics.demographic_parity_difference.

Args:
    y_true: [n] labels (their values are not used; pass `y_pred` if there are none).
    y_pred: [n] predicted labels.
    sensitive_features: the groups.
    method: `between_groups`, or `to_overall`: the largest distance of a group from the value of all rows.
    sample_weight: [n] weights.
    pos_label: the positive label.

>>> demographic_parity_difference([1, 0, 1, 0], [1, 1, 1, 0], sensitive_features=["a", "a", "b", "b"])
0.5
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="demographic parity difference",
    direction=-1,
    range=(0, 1),
    of=("selection_rate",),
    form="gap",
    combine="max",
    reference="fairlearn.metrics.demographic_parity_difference",
)
