"""Demographic parity difference: the gap between the groups' selection rates."""

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
