"""Groups whose differences are drawn towards those of the others: the table of a page, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.cells import count_cell, metric_cell
from evenhand.report.document import Document, Row, number, unique
from evenhand.report.rendering import Cell, Table, build_table, figure

HEADING = "Shrunken estimates"


def view(document: Document) -> dict[str, Any] | None:
    """Prepare the section on shrunken estimates; None in documents that have none.

    Args:
        document: of an audit, or of a kind that has no such estimates.
    """
    rows = document.get("shrunken", ())
    shrunken = [r for r in rows if number(r, "shrunken_difference") is not None]
    if not shrunken:
        return None
    return {
        "heading": HEADING,
        "caption": caption(shrunken),
        "table": _table(sorted(shrunken, key=lambda r: r["n"])),
        "left_out": left_out(rows),
    }


def caption(rows: Sequence[Row]) -> str:
    """State what the table shows, and what its intervals mean.

    Args:
        rows: those with a shrunken difference.
    """
    level = wording.percent(number(rows[0], "level"))
    few = "in these runs " if wording.of_few_runs(rows) else ""
    return (
        "Each difference is drawn towards what the other groups of its attribute show, the more the fewer "
        "rows it has: with few rows that is, on average, a better guess than the group's own difference. Its "
        f"interval contains the true difference {few}in {level} of the groups, on average over the groups. "
        "It does not hold for all groups at once, nor for each single group, and least for one that is "
        "unlike the others. It stands beside the direct difference with a pointwise interval. No verdict "
        "rests on it."
    )


def method(document: Document) -> str:
    """Describe how differences are shrunk."""
    level = wording.percent(1 - float(document.get("settings", {}).get("alpha", 0.05)))
    return (
        "For every candidate, attribute and primary metric that is a share of the same rows, the true "
        "differences of the groups are taken to vary around a common value, those of crossings around the "
        "sum of what their attributes contribute. How much they vary is not estimated but averaged over, and "
        f"any group may be an outlier. The {level} intervals hold on average over the groups, pointwise. "
        "Variation between whole runs is not shrunk. Verdicts, and all other numbers of this page, do not "
        "use these estimates."
    )


def left_out(rows: Sequence[Row]) -> list[str]:
    """List the attributes without shrunken differences, each with the reason; single groups are elsewhere."""
    reasons = {
        (str(r["attribute"]), str(r["reason"])): None
        for r in rows
        if r.get("status") == "undefined" and r["attribute"] not in _shrunken_attributes(rows)
    }
    return [f"{attribute} has none: {reason}." for attribute, reason in reasons]


def _shrunken_attributes(rows: Sequence[Row]) -> list[Any]:
    return unique([r for r in rows if number(r, "shrunken_difference") is not None], "attribute")


def _table(rows: Sequence[Row]) -> Table:
    names = ("group", "metric", "candidate", "rows", "alone (pointwise)", "shrunken", "drawn towards")
    body = [
        [
            Cell(wording.subject(r)),
            metric_cell(r),
            Cell(str(r["candidate"])),
            count_cell(r),
            _estimate(r, "difference", "direct"),
            _estimate(r, "shrunken_difference", "shrunken"),
            _estimate(r, "target", ""),
        ]
        for r in rows
    ]
    return build_table(f"{HEADING} of differences, smallest groups first", names, body)


def _estimate(row: Row, key: str, limits: str) -> Cell:
    """Show a difference with the limits that a prefix names; without a prefix, alone."""
    both = {name: number(row, f"{limits}_{name}") for name in ("low", "high")}
    return figure(number(row, key), wording.estimate({**row, **both}, key, signed=True))
