"""Disparities: differences between the groups of one arm, as single numbers.

A file here is a disparity; its name is the disparity's name. It defines `INFO` (a `DisparityInfo`): which
metrics of groups it compares, the max-min expression of each, and how these are combined. Its value, the
bounds of its interval and those of its difference between two arms follow from these three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.tables.schema import FloatArray

#: Values of one metric by group, for each metric of a disparity. Groups are the same and all defined.
Values = Mapping[str, FloatArray]


def gap(values: FloatArray) -> float:
    """Return the largest minus the smallest value."""
    return float(np.max(values) - np.min(values))


def ratio(values: FloatArray) -> float:
    """Return the smallest over the largest value; NaN when all are 0."""
    top = float(np.max(values))
    return float(np.min(values)) / top if top > 0 else float("nan")


def worst(values: FloatArray) -> float:
    """Return the smallest value."""
    return float(np.min(values))


def mean(parts: Sequence[float]) -> float:
    """Return the mean of the defined parts; NaN when none is."""
    defined = [p for p in parts if not np.isnan(p)]
    return float(np.mean(defined)) if defined else float("nan")


#: The expressions of one metric's group values, and how those of several metrics are combined. An undefined
#: ratio is ignored where that of an earlier metric is defined.
FORMS = {"gap": gap, "ratio": ratio, "worst": worst, "size_fair": gap}
COMBINATIONS: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "mean": mean}


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

    def apart(self, values: FloatArray) -> float:
        """Return the expression of the [groups] values of one metric."""
        return FORMS[self.form](values)

    def combined(self, parts: Sequence[float]) -> float:
        """Combine the expressions of the metrics in `of`."""
        return COMBINATIONS[self.combine](parts)

    def value(self, values: Values) -> float:
        """Return the disparity of one arm."""
        return self.combined([self.apart(values[metric]) for metric in self.of])
