"""Demographic parity ratio: the smallest selection rate over the largest (LL144's impact ratio)."""

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
