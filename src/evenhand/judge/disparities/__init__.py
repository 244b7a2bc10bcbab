"""Disparities: differences between the groups of one arm, as single numbers.

A file here is a disparity; its name is the disparity's name. It defines `INFO` (a `DisparityInfo`) and
`compute(values)`, from the group values of each metric in `INFO.of`. `INFO.form` names the max-min
expression, which determines the bounds of its interval and of its difference between two arms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.tables.schema import FloatArray

#: Values of one metric by group, for each metric of a disparity. Groups are the same and all defined.
Values = Mapping[str, FloatArray]


@dataclass(frozen=True)
class DisparityInfo:
    """Facts about a disparity.

    Attributes:
        title: its name in a report.
        direction: +1 higher is better, -1 lower is better.
        range: smallest and largest possible value.
        of: metrics whose group values it compares.
        form: `gap` (largest minus smallest), `ratio` (smallest over largest), `worst` (the worst group's
            value) or `size_fair` (a gap tested by permutation, since its size depends on group sizes).
        combine: how the results of several metrics are joined.
        reference: definition or source.
        margin: whether the default margin for rates on [0, 1] applies.
    """

    title: str
    direction: Literal[-1, 1]
    range: tuple[float, float]
    of: tuple[str, ...]
    form: Literal["gap", "ratio", "worst", "size_fair"]
    reference: str
    combine: Literal["max", "mean", "min"] = "max"
    margin: bool = True


def gap(values: FloatArray) -> float:
    """Return the largest minus the smallest value."""
    return float(np.max(values) - np.min(values))


def ratio(values: FloatArray) -> float:
    """Return the smallest over the largest value; NaN when all are 0."""
    top = float(np.max(values))
    return float(np.min(values)) / top if top > 0 else float("nan")
