"""Expected calibration error difference: the gap between the groups' calibration errors.

Largest minus smallest expected calibration error of the groups.

It grows as groups shrink, even for a calibrated model; the p-value of `evenhand audit` does not.
Bins of equal mass are computed within each group.
"""

from __future__ import annotations

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="expected calibration error difference",
    direction=-1,
    range=(0, 1),
    of=("expected_calibration_error",),
    form="size_fair",
    combine="max",
    reference="gap of expected_calibration_error; judged by permuting labels within bins of the score",
    margin=False,
)
