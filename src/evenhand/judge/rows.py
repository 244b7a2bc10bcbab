"""Rows of an audit's tables: objects of the document, whose keys are their fields, in this order.

Undefined numbers are NaN here and null in the document. Rows are typed while they are computed and
summarised, and become dictionaries where a document is put together. Studies and reports read documents,
which may come from files, as mappings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

Status = Literal["ok", "undefined", "too_small"]
NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of any table."""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as an object of the document."""
        return {"class" if key == "class_name" else key: value for key, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class RateRow(Row):
    """A row of `rates`: one metric of one arm in one group, with a pointwise interval."""

    input: str
    attribute: str | None
    group: str | None
    class_name: str | None
    metric: str
    value: float
    low: float
    high: float
    level: float
    n: int
    n_positive: int | None
    runs: int
    unit: str
    status: Status
    reason: str
    interval: str | None


@dataclass(frozen=True, kw_only=True)
class DisparityRow(Row):
    """A row of `disparities`: one disparity of one arm between the groups of an attribute."""

    input: str
    attribute: str
    class_name: str | None
    metric: str
    value: float
    low: float = NAN
    high: float = NAN
    level: float
    groups_used: list[str]
    groups_left_out: list[dict[str, str]]
    runs: int
    unit: str
    status: Status = "ok"
    reason: str = ""
    interval: str | None = None
    p_value: float = NAN

    def between(self, low: float, high: float) -> Self:
        """Return the row with these limits."""
        return replace(self, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class ComparisonRow(Row):
    """A row of `comparisons`: one metric or disparity of two arms, judged within its family."""

    reference: str
    candidate: str
    attribute: str | None
    group: str | None
    class_name: str | None
    metric: str
    family: str
    difference: float
    low: float = NAN
    high: float = NAN
    level: float
    error_rate: str = "familywise"
    harm_limit: float = NAN
    interval: str | None = None
    p_value: float = NAN
    p_adjusted: float = NAN
    margin: float | None
    verdict: str | None = None
    equivalent: bool | None = None
    beyond_margin: bool | None = None
    minimum_detectable: float = NAN
    rows_to_settle: int | None = None
    runs_to_settle: int | None = None
    limited_by: str | None = None
    row_variance: float = NAN
    flip_variance: float = NAN
    run_variance: float = NAN
    row_dof: float = NAN
    run_dof: float = NAN
    reference_share: float = NAN
    critical: float = NAN
    harm_critical: float = NAN
    n: int
    n_right_to_wrong: float
    n_wrong_to_right: float
    n_right_to_wrong_between_runs: float
    runs: int
    unit: str
    status: Status
    reason: str


@dataclass(frozen=True, kw_only=True)
class CollectiveRow(Row):
    """A row of `collective`: how many groups of an attribute one candidate harms, or helps, at least."""

    reference: str
    candidate: str
    attribute: str
    class_name: str | None
    metric: str
    claim: Literal["harm", "help"]
    at_least: int
    groups_used: list[str]
    groups_left_out: list[dict[str, str]]
    level: float
    test: str | None = None
    p_value: float = NAN
    p_adjusted: float = NAN
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    runs: int
    unit: str
    status: Status = "ok"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ShrunkenRow(Row):
    """A row of `shrunken`: the difference of one group, drawn towards the other groups of its attribute.

    `direct_low` and `direct_high` are pointwise limits of `difference`, for comparison.
    """

    reference: str
    candidate: str
    attribute: str
    group: str
    class_name: str | None
    metric: str
    difference: float
    direct_low: float = NAN
    direct_high: float = NAN
    shrunken_difference: float = NAN
    shrunken_low: float = NAN
    shrunken_high: float = NAN
    target: float = NAN
    level: float
    n: int
    runs: int
    unit: str
    status: Status = "ok"
    reason: str = ""
