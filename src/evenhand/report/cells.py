"""Cells that several tables share, each made from a row of a document."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Row, number, verdict_of
from evenhand.report.rendering import Cell, figure


def value_cell(row: Row | None) -> Cell:
    """Show a rate, a disparity or an attack metric with its interval, or the reason for its absence."""
    if row is None:
        return Cell("", css="figure")
    value, small = number(row, "value"), row.get("status", "ok") != "ok"
    if value is None:
        return Cell(wording.missing_value(row), css="figure none", title=wording.status_reason(row))
    reason = wording.status_reason(row) if small else str(row.get("interval") or "")
    text = wording.estimate(row, "value")
    return figure(value, f"{text} *" if small else text, css="none" if small else "", title=reason)


def difference_cell(row: Row | None) -> Cell:
    """Show a difference of two arms with its interval, after the verdict's symbol where it has one."""
    if row is None:
        return Cell("", css="figure")
    difference, shown = number(row, "difference"), wording.estimate(row, "difference", signed=True)
    if difference is None or number(row, "low") is None or number(row, "high") is None:
        return figure(difference, shown, css="none", title=wording.status_reason(row))
    verdict = verdict_of(row)
    symbol = f"{wording.SYMBOLS[verdict]} " if verdict else ""
    css = f"verdict {verdict}" if verdict else ""
    return figure(difference, f"{symbol}{shown}", css=css, title=wording.comparison_sentence(row))


def change_cell(row: Row, key: str = "difference", *, fine: bool = False) -> Cell:
    """Show a difference or a slope with its interval, and the method of the interval as a tooltip."""
    shown = wording.estimate(row, key, signed=True, fine=fine)
    return figure(number(row, key), shown, title=str(row.get("interval") or ""))


def verdict_cell(row: Row, reason: str) -> Cell:
    """Show the verdict of a comparison, or the reason for its absence."""
    return Cell(wording.verdict_label(row), css=f"verdict {verdict_of(row) or 'none'}", title=reason)


def metric_cell(row: Row) -> Cell:
    """Show the name of a row's metric."""
    return Cell(wording.metric_name(str(row["metric"])), css="nowrap")


def count_cell(row: Row, key: str = "n") -> Cell:
    """Show a number of rows, runs or other things."""
    return figure(number(row, key), wording.count(number(row, key)))


def p_cell(row: Row, key: str = "p_adjusted") -> Cell:
    """Show a p-value."""
    return figure(number(row, key), wording.p_value(number(row, key)))


def settling_cells(row: Row) -> list[Cell]:
    """Show what an undecided comparison can detect, and the data that would settle it; empty for others."""
    smallest = number(row, "minimum_detectable") if verdict_of(row) == "undecided" else None
    shown = "" if smallest is None else wording.amount(smallest, str(row["metric"]))
    return [figure(smallest, shown), figure(number(row, "rows_to_settle"), wording.needed(row))]
