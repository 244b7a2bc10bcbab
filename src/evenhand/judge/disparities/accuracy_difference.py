"""Accuracy difference: the gap between the groups' accuracies.

Largest minus smallest accuracy of the groups.

Source: fairlearn.metrics.MetricFrame(metrics=accuracy_score).difference().
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="accuracy difference",
    direction=-1,
    range=(0, 1),
    of=("accuracy",),
    form="gap",
    combine="max",
    reference="fairlearn.metrics.MetricFrame(metrics=accuracy_score).difference()",
)
