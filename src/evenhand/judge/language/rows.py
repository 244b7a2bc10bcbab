"""Rows of a judgement of language models: objects of the document, whose keys are their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenhand.judge.rows import NAN, ComparisonRow, Row, Status

Direction = Literal["more", "less", "cannot tell"]
Finding = Literal["survives", "weakens", "turns", "appears", "open"]


@dataclass(frozen=True, kw_only=True)
class ConclusionRow(ComparisonRow):
    """A row of `conclusions`: how often two arms choose a meaning, overall or along one axis.

    Attributes:
        scoring: the scoring that chooses.
        axis: `template`, `variant` or `scoring`; None for the conclusion itself.
        says: the candidate chooses the meaning more or less often.
    """

    scoring: str
    axis: str | None
    says: Direction


@dataclass(frozen=True, kw_only=True)
class RobustnessRow(Row):
    """A row of `survival`: how often a conclusion is confirmed, undetermined or reversed along an axis."""

    candidate: str
    reference: str
    meaning: str | None
    says: Direction
    difference: float
    axis: str
    looks: int
    same: int
    cannot_tell: int
    opposite: int
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class VarianceRow(Row):
    """A row of `variance`: one component of the variance of a preference, or the sum of several.

    Rows of an arm have `input`, rows of a difference `candidate` and `reference`.
    """

    input: str | None
    candidate: str | None = None
    reference: str | None = None
    scoring: str
    class_name: str
    mean: float = NAN
    n: int = 0
    left_out: int = 0
    runs: int = 0
    unit: str = "snippets"
    level: float
    kind: Literal["component", "sum"] = "component"
    component: str = ""
    factors: str | None = None
    variance: float = NAN
    variance_untruncated: float = NAN
    share: float = NAN
    share_untruncated: float = NAN
    low: float = NAN
    high: float = NAN
    degrees: float = NAN
    status: Status = "undefined"
    reason: str = ""
    interval: str | None = None
