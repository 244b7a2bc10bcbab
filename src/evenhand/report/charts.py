"""Charts of a document as Vega-Lite specs, made with altair: differences by group, and rates by group."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.document import (
    Document,
    Row,
    arms,
    direction,
    key_metrics,
    number,
    primary,
    unique,
    verdict_of,
    worst_first,
)
from evenhand.report.encodings import (
    NO_VERDICT,
    apply_style,
    arm_encodings,
    in_unit,
    margin_and_zero,
    tooltips,
    unit_factor,
    verdict_encodings,
)
from evenhand.report.rendering import Panel

#: Largest number of lines of a panel that can be read; the table contains all.
MOST_LINES = 40
MOST_PANELS = 24


def forest(document: Document) -> list[Panel]:
    """Draw the primary differences, one panel per metric and candidate."""
    return forest_of(primary(document), "by group with intervals")


def forest_of(rows: Sequence[Row], how: str) -> list[Panel]:
    """Draw differences, one panel per metric and candidate, all candidates of a metric on one range.

    Args:
        rows: comparisons.
        how: describes the panels for those who cannot see them.
    """
    panels: list[Panel] = []
    for metric in unique(rows, "metric"):
        of_metric = [r for r in rows if r["metric"] == metric]
        names = unique(of_metric, "candidate")
        shown = {c: worst_rows([r for r in of_metric if r["candidate"] == c]) for c in names}
        bounds = domain([r for some in shown.values() for r in some])
        for candidate, some in list(shown.items())[: MOST_PANELS - len(panels)]:
            total = sum(r["candidate"] == candidate for r in of_metric)
            name = wording.metric_name(str(metric))
            panels.append(
                Panel(
                    title=f"{name}: {candidate} − {some[0]['reference']}",
                    note=wording.left_out(len(some), total, "differences"),
                    description=f"Differences of {name} {how}; the table has the numbers.",
                    spec=forest_spec(some, bounds),
                )
            )
    return panels


def forest_panels(document: Document) -> int:
    """Count the panels that a forest plot of all primary rows would have."""
    return len({(r["metric"], r["candidate"]) for r in primary(document)})


def rates(document: Document) -> list[Panel]:
    """Draw the rates of all arms by group, one panel per main metric and attribute."""
    how = "of each arm by group with intervals"
    return rates_of(document["rates"], key_metrics(document), arms(document), " by", how)[:MOST_PANELS]


def rates_of(
    rows: Sequence[Row], metrics: Sequence[str], names: Sequence[str], by: str, how: str
) -> list[Panel]:
    """Draw rates by group, one panel per metric and attribute.

    Args:
        rows: the rates.
        metrics: in their order on the page.
        names: the arms, in their order on the page.
        by: joins metric and attribute in a title.
        how: describes the panels for those who cannot see them.
    """
    panels = []
    for metric in metrics:
        of_metric = [r for r in rows if r["metric"] == metric]
        overall = [r for r in of_metric if r["attribute"] is None]
        for attribute in [a for a in unique(of_metric, "attribute") if a is not None] or [None]:
            inside = [r for r in of_metric if r["attribute"] == attribute]
            some = farthest_from_overall(inside, overall) if attribute is not None else []
            groups = unique(inside, "group")
            name = wording.metric_name(str(metric))
            panels.append(
                Panel(
                    title=name if attribute is None else f"{name}{by} {attribute}",
                    note=wording.left_out(len(unique(some, "group")), len(groups), "groups") if some else "",
                    description=f"{name} {how}; the table has the numbers.",
                    spec=rates_spec([*overall, *some], names),
                )
            )
    return panels


def worst_rows(rows: Sequence[Row]) -> list[Row]:
    """Select the worst rows of a panel, in the document's order, so that panels can be read across."""
    selected = {id(r) for r in worst_first(rows)[:MOST_LINES]}
    return [r for r in rows if id(r) in selected]


def farthest_from_overall(rows: Sequence[Row], overall: Sequence[Row]) -> list[Row]:
    """Select the groups whose rates are farthest from the overall rate, in units of their interval."""
    # A distance in units of the interval favours clear differences over noisy ones of small groups.
    centre = {(r["input"], r["class"]): number(r, "value") for r in overall}
    distance: dict[Any, float] = {}
    for r in rows:
        value, low, high = (number(r, k) for k in ("value", "low", "high"))
        middle = centre.get((r["input"], r["class"]))
        far = 0.0
        if value is not None and low is not None and high is not None and middle is not None:
            far = abs(value - middle) / max(high - low, 1e-9)
        distance[r["group"]] = max(far, distance.get(r["group"], 0.0))
    selected = set(sorted(distance, key=lambda g: -distance[g])[:MOST_LINES])
    return [r for r in rows if r["group"] in selected]


def domain(rows: Sequence[Row]) -> tuple[float, float]:
    """Return one range of differences for all candidates of a metric, in the units shown; it contains 0.

    It contains every estimate and every interval with a verdict. An undecided interval may be clipped, since
    that of one group of ten rows would otherwise shrink all others to a dot.
    """
    # Intervals with a verdict set the range; undecided ones extend it to at most twice their median or
    # twice the range so far, so that a single wide interval cannot dominate.
    ends: list[float] = [0.0]
    open_ends: list[float] = []
    for r in rows:
        limits = [v for v in (number(r, "low"), number(r, "high")) if v is not None]
        (open_ends if r["verdict"] == "undecided" else ends).extend(limits)
        difference, margin = number(r, "difference"), number(r, "margin")
        ends += [difference] if difference is not None and limits else []
        ends += [-1.5 * margin, 1.5 * margin] if margin is not None else []
    if open_ends:
        room = max(2 * max(abs(v) for v in ends), 2 * statistics.median(abs(v) for v in open_ends))
        ends += [min(max(v, -room), room) for v in open_ends]
    scale = unit_factor(rows[0]["metric"]) if rows else 1.0
    slack = 0.04 * (max(ends) - min(ends)) or 0.01
    return scale * (min(ends) - slack), scale * (max(ends) + slack)


def _labels(rows: Sequence[Row]) -> list[str]:
    """Label the lines of a panel; equal labels, which files may contain, are numbered."""
    counts: dict[str, int] = {}
    names = []
    for r in rows:
        name = f"{wording.subject(r)}  ({wording.count(number(r, 'n'))})"
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} #{counts[name]}")
    return names


def _line(row: Row, label: str) -> dict[str, Any]:
    metric, difference = str(row["metric"]), number(row, "difference")
    complete = number(row, "low") is not None and number(row, "high") is not None
    return {
        "group": label,
        **in_unit(row, metric, "difference", "low", "high"),
        "verdict": verdict_of(row) or NO_VERDICT,
        "why": "" if complete else wording.status_reason(row),
        "shown": f"{wording.amount(difference, metric, signed=True)}{wording.unit_of(metric)}",
        "interval": wording.span(row, signed=True),
        "p": wording.p_value(number(row, "p_adjusted")),
        "flips": wording.flips(row) or "–",
    }


def forest_spec(rows: Sequence[Row], bounds: tuple[float, float]) -> dict[str, Any]:
    """Draw differences of one metric with their intervals, a line per row."""
    import altair as alt  # noqa: PLC0415

    lines = [_line(r, label) for r, label in zip(rows, _labels(rows), strict=True)]
    complete = alt.InlineData(values=[x for x in lines if not x["why"]])
    partial = alt.InlineData(values=[x for x in lines if x["why"]])
    labels = [x["group"] for x in lines]
    # The scale names every line, so that lines without an interval keep their position.
    y = alt.Y("group:N", sort=labels, title=None, scale=alt.Scale(domain=labels))
    at = alt.Scale(domain=list(bounds), nice=False, zero=False)
    colour, shape = verdict_encodings()
    tooltip = tooltips(
        group="group (rows)", shown="difference", interval="interval", verdict="verdict", p="adjusted p",
        flips="rows changed",
    )  # fmt: skip
    axis = wording.axis_caption(rows[0])
    x = alt.X("difference:Q", scale=at, title=axis)
    layers = margin_and_zero(rows[0], "x", clip=False, scale=at, title=axis)
    bars = alt.Chart(complete).mark_rule(strokeWidth=2.5, strokeCap="round", clip=True)
    layers.append(
        bars.encode(
            x=alt.X("low:Q", scale=at, title=axis), x2=alt.X2("high:Q"), y=y, color=colour, tooltip=tooltip
        )
    )
    points = alt.Chart(complete).mark_point(
        filled=True, size=95, opacity=1, stroke="var(--paper)", strokeWidth=1
    )
    layers.append(points.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    words = alt.Chart(partial).mark_text(
        align="left", dx=6, fontStyle="italic", fill="var(--muted)", limit=220
    )
    layers.append(words.encode(x=alt.value(0), y=y, text=alt.Text("why:N")))
    return apply_style(alt.layer(*layers), height=alt.Step(24, **{"for": "position"}))


def rates_spec(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Draw values of one metric with their intervals, by group and arm."""
    groups = dict.fromkeys((r["attribute"], r["group"], r["class"]) for r in rows)
    firsts = [next(r for r in rows if (r["attribute"], r["group"], r["class"]) == g) for g in groups]
    label = dict(zip(groups, _labels(firsts), strict=True))
    lines = [
        {
            "group": label[r["attribute"], r["group"], r["class"]],
            "arm": str(r["input"]),
            "value": number(r, "value"),
            "low": number(r, "low"),
            "high": number(r, "high"),
            "shown": wording.amount(number(r, "value"), str(r["metric"])),
            "interval": wording.span(r),
        }
        for r in rows
        if number(r, "value") is not None and r.get("status", "ok") == "ok"
    ]
    drawn = {x["group"] for x in lines}
    empty = [
        {"group": name, "why": wording.status_reason(first)}
        for name, first in zip(label.values(), firsts, strict=True)
        if name not in drawn
    ]
    name = wording.metric_name(str(rows[0]["metric"]))
    share = wording.in_points(str(rows[0]["metric"]))
    return arm_dots(lines, list(label.values()), empty, names, f"{name}, {_better(rows[0])}", share=share)


def arm_dots(
    lines: Sequence[Row],
    labels: Sequence[str],
    empty: Sequence[Row],
    names: Sequence[str],
    title: str,
    *,
    share: bool,
) -> dict[str, Any]:
    """Draw values with intervals, a line of the panel per group, a colour and a shape per arm.

    Args:
        lines: `group`, `arm`, `value`, `low`, `high`, and `shown` and `interval` for the tooltip.
        labels: groups, in drawing order.
        empty: `group` and `why` of groups without values.
        names: arms, in their order on the page.
        title: of the axis.
        share: whether values are shares.
    """
    import altair as alt  # noqa: PLC0415

    y = alt.Y("group:N", sort=list(labels), title=None, scale=alt.Scale(domain=list(labels)))
    offset = alt.YOffset("arm:N", sort=list(names), scale=alt.Scale(domain=list(names), paddingOuter=0.6))
    legend = alt.Legend(orient="top", title=None, columns=3, labelLimit=150) if len(names) > 1 else None
    colour, shape = arm_encodings(names, legend)
    tooltip = tooltips(group="group (rows)", arm="arm", shown="value", interval="interval")
    axis = alt.Axis(format="%", tickCount=6) if share else alt.Axis(tickCount=6)
    x = alt.X("low:Q", title=title, axis=axis, scale=alt.Scale(zero=False))
    base = alt.Chart(alt.InlineData(values=list(lines))).encode(
        y=y, yOffset=offset, color=colour, tooltip=tooltip
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.75).encode(x=x, x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=alt.X("value:Q", axis=axis), shape=shape
    )
    words = alt.Chart(alt.InlineData(values=list(empty))).mark_text(
        align="left", dx=6, fontStyle="italic", limit=220
    )
    why = words.encode(x=alt.value(0), y=y, text=alt.Text("why:N"), color=alt.value("var(--muted)"))
    step = alt.Step(12 * len(names) + 10, **{"for": "position"})
    return apply_style(alt.layer(bars, points, why), height=step)


def _better(row: Row) -> str:
    return {1: "higher is better →", -1: "← lower is better", 0: "good or bad by context"}[direction(row)]
