"""Arms along one numeric option that a list in the study file varies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evenhand.spec.names import combination_name
from evenhand.spec.study import Arm

if TYPE_CHECKING:
    from evenhand.judge.across_arms.trends import Series


def series_of(arms: Sequence[Arm]) -> list[Series]:
    """List all series of two or more different values, in the order of the arms and of their options."""
    from evenhand.judge.across_arms.trends import Series  # noqa: PLC0415  (numpy)

    by_option: dict[tuple[str, str], dict[float, str]] = {}
    for arm in arms:
        for option, value in arm.varied.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                others = {key: v for key, v in arm.varied.items() if key != option}
                points = by_option.setdefault((combination_name(arm.entry, others), option), {})
                points.setdefault(float(value), arm.name)
    return [
        Series(method, parameter, tuple(sorted(points)), tuple(points[v] for v in sorted(points)))
        for (method, parameter), points in by_option.items()
        if len(points) > 1
    ]
