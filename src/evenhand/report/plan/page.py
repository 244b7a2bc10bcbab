"""The page of a plan: numbers of runs and rows, and curves of the power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.report import wording as common
from evenhand.report.document import Document, Row
from evenhand.report.encodings import apply_style
from evenhand.report.plan import wording
from evenhand.report.rendering import Cell, Panel, Table, build_table, fast_charts, figure, render

#: Panels of a model: a page with more would not be read.
_MOST_PANELS = 12


def build_plan_page(document: Document) -> str:
    """Build the page of a plan, schema `evenhand.plan/1`: a complete HTML document without references."""
    with fast_charts():
        view = {
            "title": wording.title(document),
            "goal": wording.goal(document),
            "assumptions": wording.assumptions(document),
            "how": wording.HOW,
            "models": [_model(model, several=len(document["models"]) > 1) for model in document["models"]],
        }
    return render("plan.html.j2", {"p": view, "document": document})


def _model(model: Row, *, several: bool) -> dict[str, Any]:
    """Prepare the template variables of one model."""
    return {
        "name": model["model"] if several else None,
        "summary": wording.summary(model),
        "next": _next(model) if model["next"] else None,
        "needed": _needed(model["rows"]) if model["rows"] else None,
        "panels": _panels(model["rows"]),
        "remarks": model["remarks"],
    }


def _next(model: Row) -> Table:
    rows = [
        [
            Cell(wording.option(choice)),
            figure(choice["seconds"], wording.cost(choice) if choice["buy"] != "nothing" else "–"),
            figure(choice["power"], wording.percent(choice["power"])),
        ]
        for choice in model["next"]
    ]
    return build_table("What the next effort buys", ("effort", "costs", "decided on average"), rows)


def _needed(rows: Sequence[Row]) -> Table:
    heads = ["group", "metric", "arm", "rows now", "runs now"]
    for question in ("harm", "harmless"):
        heads += [f"{question} now", f"runs for {question}", f"rows for {question}", f"both for {question}"]
    body = []
    for row in rows:
        cells = [
            Cell(wording.group_of(row)),
            Cell(common.measure(row)),
            Cell(str(row["candidate"])),
            figure(row["n"], common.count(row["n"])),
            figure(row["runs"], common.count(row["runs"])),
        ]
        for question in ("harm", "harmless"):
            power = row[f"power_{question}"]
            cells.append(figure(power, wording.percent(power)))
            for what in ("runs", "rows"):
                cells.append(figure(row[f"{what}_{question}"], wording.needed(row, what, question)))
            runs = row[f"runs_together_{question}_cautious"]
            cells.append(figure(runs, wording.together(row, question)))
        body.append(cells)
    return build_table("Runs and rows that decide", heads, body)


def _panels(rows: Sequence[Row]) -> list[Panel]:
    """Draw the power against the number of runs: one panel per metric and arm, one line per group."""
    panels = []
    kinds = dict.fromkeys((common.measure(row), str(row["candidate"])) for row in rows if row["by_runs"])
    for metric, candidate in list(kinds)[:_MOST_PANELS]:
        points = [
            {"group": wording.group_of(row), "runs": at["runs"], "question": question, "power": at[question]}
            for row in rows
            if common.measure(row) == metric and row["candidate"] == candidate
            for at in row["by_runs"]
            for question in ("harm", "harmless")
            if at.get(question) is not None
        ]
        if points:
            panels.append(
                Panel(
                    f"{metric}, {candidate}",
                    "",
                    f"Power against the number of runs of {candidate}, for {metric}: one line per group.",
                    _spec(points),
                )
            )
    return panels


def _spec(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    groups = list(dict.fromkeys(p["group"] for p in points))
    legend = alt.Legend(orient="top", title=None, columns=3, labelLimit=170, symbolOpacity=1)
    colours = [f"var(--arm{i % 6 + 1})" for i in range(len(groups))]
    dashes = {"harm": [1, 0], "harmless": [5, 3]}
    chart = alt.Chart(alt.InlineData(values=list(points))).encode(
        x=alt.X("runs:Q", title="runs of each arm", axis=alt.Axis(grid=False, tickCount=6)),
        y=alt.Y(
            "power:Q",
            title="probability of a decision",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(grid=True, tickCount=5, format="~%"),
        ),
        color=alt.Color("group:N", legend=legend, scale=alt.Scale(domain=groups, range=colours)),
        tooltip=[
            alt.Tooltip("group:N"),
            alt.Tooltip("question:N"),
            alt.Tooltip("runs:Q"),
            alt.Tooltip("power:Q", format=".0%"),
        ],
    )
    kind = alt.StrokeDash(
        "question:N",
        legend=alt.Legend(
            orient="top", title=None, symbolType="stroke", symbolSize=300, symbolStrokeColor="var(--ink)"
        ),
        scale=alt.Scale(domain=list(dashes), range=list(dashes.values())),
    )
    # Points of their own: with `mark_line(point=True)` the legend of the dashes has no lines.
    return apply_style(
        chart.mark_line(strokeWidth=2).encode(strokeDash=kind) + chart.mark_circle(size=30, opacity=1),
        height=240,
    )
