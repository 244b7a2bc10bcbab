"""Cells that several tables share: a value of one arm with its interval."""

from __future__ import annotations

from evenhand.report import wording
from evenhand.report.document import Row, number, verdict_of
from evenhand.report.rendering import Cell, figure


def value_cell(row: Row | None) -> Cell:
    """Show a rate, a disparity or an attack metric with its interval, or the reason for its absence."""
    if row is None:
        return Cell("", css="figure")
    value, bounds = number(row, "value"), wording.span(row)
    small = row.get("status", "ok") != "ok"
    reason = wording.status_reason(row) if small else str(row.get("interval") or "")
    if value is None:
        return Cell(wording.missing_value(row), css="figure none", title=wording.status_reason(row))
    text = wording.amount(value, str(row["metric"])) + ("" if bounds == "–" else f" ({bounds})")
    return figure(value, f"{text} *" if small else text, css="none" if small else "", title=reason)


def difference_cell(row: Row | None) -> Cell:
    """Show a difference of two arms with its interval, after the verdict's symbol where it has one."""
    if row is None:
        return Cell("", css="figure")
    difference, bounds = number(row, "difference"), wording.span(row, signed=True)
    shown = wording.amount(difference, str(row["metric"]), signed=True)
    if difference is None or bounds == "–":
        return figure(difference, shown, css="none", title=wording.status_reason(row))
    verdict = verdict_of(row)
    symbol = f"{wording.SYMBOLS[verdict]} " if verdict else ""
    css = f"verdict {verdict}" if verdict else ""
    return figure(difference, f"{symbol}{shown} ({bounds})", css=css, title=wording.comparison_sentence(row))
