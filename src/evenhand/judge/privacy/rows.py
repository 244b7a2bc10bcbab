"""Rows of an attack's result: objects of the document, whose keys are their fields, in this order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from evenhand.judge.rows import NAN, ComparisonRow


class Status(Enum):
    """Availability of a number: its value, and its judgement."""

    OK = "has a value and is judged"
    TOO_SMALL = "has a value and is not judged, since it rests on few rows"
    NOT_RESOLVABLE = "has no value, since no threshold has so low a false positive rate"
    UNDEFINED = "has no value"

    @property
    def has_value(self) -> bool:
        """True where the number has a value, judged or not."""
        return self in (Status.OK, Status.TOO_SMALL)

    @property
    def word(self) -> Literal["ok", "undefined", "too_small"]:
        """The status as documents write it: a rate that is not resolvable is `too_small` and has no value."""
        if self is Status.OK:
            return "ok"
        return "undefined" if self is Status.UNDEFINED else "too_small"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Fields that all rows share: whose number it is."""

    input: str
    attack: str
    attribute: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as an object of the document."""
        names = {"class_name": "class", "group_fpr": "own_fpr"}
        return {
            names.get(key, key): value.word if isinstance(value, Status) else value
            for key, value in vars(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class LeakageRow(Row):
    """A row of `rates`: one number of one attack on one arm in one group."""

    group: str | None
    class_name: None = None
    n: int
    n_positive: float | None
    runs: int
    unit: str
    metric: str
    direction: int = -1
    value: float = NAN
    low: float = NAN
    high: float = NAN
    level: float
    false_positive_rate: float = NAN
    status: Status
    reason: str
    interval: str | None = None


@dataclass(frozen=True, kw_only=True)
class VulnerabilityRow(Row):
    """A row of `vulnerability`: the range of one number over the groups of an attribute, and its control."""

    metric: str
    value: float = NAN
    low: float = NAN
    high: float = NAN
    control: float = NAN
    control_high: float = NAN
    p_control: float = NAN
    p_alike: float = NAN
    p_value: float = NAN
    level: float
    permutations: int = 0
    runs: int
    status: Status = Status.UNDEFINED
    reason: str = ""
    groups_used: list[str]
    groups_left_out: list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class CurveRow(Row):
    """A row of `roc`: true positive rates and the group's own false positive rates, at each `fpr`."""

    group: str | None
    runs: int
    fpr: list[float] = field(default_factory=list)
    tpr: list[float] = field(default_factory=list)
    group_fpr: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StabilityRow(Row):
    """A row of `stability`: how consistently the members of a group are identified over targets."""

    group: str | None
    fpr: float
    n: int = 0
    always: float = NAN
    sometimes: float = NAN
    never: float = NAN
    intraclass_correlation: float = NAN
    runs: int
    status: Status = Status.UNDEFINED
    reason: str = ""


#: Columns of an audit that count changed answers; here they count members that only one arm's attack
#: identifies.
RENAMED_COLUMNS = {"n_right_to_wrong": "n_found_before", "n_wrong_to_right": "n_found_now"}


@dataclass(frozen=True, kw_only=True)
class AttackComparisonRow(ComparisonRow):
    """A row of `comparisons`: one number of one attack on two arms."""

    attack: str
    direction: int = -1

    def to_dict(self) -> dict[str, Any]:
        """Return the row as an object of the document: as in an audit, with the attack before the metric."""
        columns: dict[str, Any] = {}
        for key, value in super().to_dict().items():
            if key == "metric":
                columns["attack"] = self.attack
            if key not in ("attack", "n_right_to_wrong_between_runs"):
                columns[RENAMED_COLUMNS.get(key, key)] = value
        return columns


@dataclass
class AttackTables:
    """The tables of an attack's result, filled attack by attack and arm by arm."""

    rates: list[LeakageRow] = field(default_factory=list)
    comparisons: list[AttackComparisonRow] = field(default_factory=list)
    vulnerability: list[VulnerabilityRow] = field(default_factory=list)
    roc: list[CurveRow] = field(default_factory=list)
    stability: list[StabilityRow] = field(default_factory=list)

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the tables of the document, in the order in which they are read."""
        return {
            "rates": [row.to_dict() for row in self.rates],
            "comparisons": [row.to_dict() for row in self.comparisons],
            "vulnerability": [row.to_dict() for row in self.vulnerability],
            "roc": [row.to_dict() for row in self.roc],
            "stability": [row.to_dict() for row in self.stability],
        }
