"""Variance components of preferences: stacked bars and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.cells import count_cell
from evenhand.report.charts import MOST_LINES
from evenhand.report.document import Row, number
from evenhand.report.encodings import apply_style, tooltips
from evenhand.report.language import wording as generative_wording
from evenhand.report.rendering import Cell, Panel, Table, build_table, figure

#: Largest number of rows of the table; the result contains all.
MOST_ROWS = 600


def variance_panels(rows: Sequence[Row]) -> list[Panel]:
    """Draw the variance shares of arms and of differences as stacked bars, a panel for each.

    Args:
        rows: of `variance` in a document.
    """
    known = [r for r in rows if r["share"] is not None and generative_wording.variance_part(r)]
    charts = [
        ("Variance of the preference of each arm", [r for r in known if r["input"] is not None]),
        ("Variance of the difference between arms", [r for r in known if r["input"] is None]),
    ]
    return [_bars(title, of) for title, of in charts if of]


def _bars(title: str, rows: Sequence[Row]) -> Panel:
    labels = list(dict.fromkeys(_label(r) for r in rows))
    shown = labels[:MOST_LINES]
    parts = list(dict.fromkeys(generative_wording.variance_part(r) for r in rows))
    lines = [
        {
            "what": _label(r),
            "part": generative_wording.variance_part(r),
            "share": number(r, "share"),
            "order": parts.index(generative_wording.variance_part(r)),
            "shown": generative_wording.variance_share(r),
        }
        for r in rows
        if _label(r) in shown
    ]
    note = wording.left_out(len(shown), len(labels), "bars", rest="the table has all")
    return Panel(title, note, f"{title}, as shares; the table has the numbers.", _spec(lines, shown, parts))


def _spec(lines: Sequence[Row], labels: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    colours = [f"var(--arm{i % 6 + 1})" for i in range(len(parts))]
    legend = alt.Legend(orient="top", title=None, columns=2, labelLimit=200, symbolType="square")
    bars = alt.Chart(alt.InlineData(values=list(lines))).mark_bar(stroke="var(--paper)", strokeWidth=1)
    chart = bars.encode(
        x=alt.X(
            "share:Q", stack="zero", title="share of the variance", axis=alt.Axis(format="%", tickCount=6)
        ),
        y=alt.Y("what:N", sort=list(labels), title=None, scale=alt.Scale(domain=list(labels))),
        color=alt.Color("part:N", legend=legend, scale=alt.Scale(domain=list(parts), range=colours)),
        order=alt.Order("order:Q"),
        tooltip=tooltips(what="preference", part="source", shown="share (interval)"),
    )
    return apply_style(chart, height=alt.Step(24, **{"for": "position"}))


def _label(row: Row) -> str:
    return f"{generative_wording.variance_subject(row)}: {row['class']}"


def variance_table(rows: Sequence[Row]) -> Table | None:
    """List every component and sum with its share, interval and size; None without rows.

    Args:
        rows: of `variance` in a document.
    """
    if not rows:
        return None
    names = ["arm or difference", "meaning", "source", "share (interval)", "as sd, in points"]
    body = []
    for r in rows[:MOST_ROWS]:
        variance = number(r, "variance")
        size = None if variance is None else 100 * math.sqrt(variance)
        shown = generative_wording.variance_share(r)
        body.append(
            [
                Cell(generative_wording.variance_subject(r)),
                Cell(str(r["class"])),
                Cell(str(r["component"]), title=str(r["factors"] or "")),
                figure(number(r, "share"), shown, title=str(r["interval"] or "")),
                figure(size, "–" if size is None else f"{size:.2f}"),
                count_cell(r, "degrees"),
                Cell(str(r["reason"]), css="long"),
            ]
        )
    left = wording.left_out(len(body), len(rows), "rows", rest="the result has all")
    caption = f"{generative_wording.VARIANCE_CAPTION} {left}".strip()
    return build_table(caption, [*names, "degrees of freedom", "remark"], body)
