"""Charts of the figures: rows of data.py in, Vega-Lite specifications out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.document import Document, Row, number, unique
from evenhand.report.encodings import NO_VERDICT, in_unit
from evenhand.report.figures import style
from evenhand.report.figures import wording as figure_wording
from evenhand.report.figures.data import Rows, series_names, split
from evenhand.report.figures.style import Spec
from evenhand.report.study.calibration_wording import axis

#: Panels of a forest plot side by side.
FOREST_COLUMNS = 5

#: Total width of panels side by side in pixels; wider figures have too small letters on a page.
WIDEST = 560

#: Pixels of an axis beside its panel.
_AXIS = 42

#: Width of a panel by group size, and the gap between arms of one group there, in pixels.
_SIZE_WIDTH, _BESIDE = 145, 2.5


def by_group(rows: Rows) -> Spec:
    """P1, P2, P4, P6, P9: groups with their rows on x, rates with intervals on y, arms beside each other."""
    import altair as alt  # noqa: PLC0415

    names = [str(a) for a in unique(rows, "arm")]
    metrics = unique(rows, "metric")
    most = max(len(unique(panel_rows, "label")) for panel_rows in split(rows, "model", "attribute"))
    step = 4.2 * len(names) + 7

    def panel(panel_rows: Rows, metric: str, title: str) -> Any:  # noqa: ANN401
        scale, fitting = _shown(panel_rows, metric), alt.Scale(zero=False, padding=4)
        groups = [str(x) for x in unique(panel_rows, "label")]
        colours, shapes = style.arm_scales(names)
        mark = style.legend(names)
        x = alt.X(
            "label:N", sort=groups, title=None, axis=alt.Axis(labelAngle=-40, ticks=False, labelPadding=4)
        )
        offset = alt.XOffset("arm:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.7))
        base = alt.Chart(alt.InlineData(values=scale)).encode(
            x=x, xOffset=offset, color=alt.Color("arm:N", scale=colours, legend=mark)
        )
        ruled = alt.Axis(tickCount=5, grid=True)
        low = alt.Y("low:Q", title=figure_wording.metric_axis(metric), scale=fitting, axis=ruled)
        bars = base.mark_rule(strokeWidth=1.2).encode(y=low, y2=alt.Y2("high:Q"))
        points = base.mark_point(filled=True, size=22, opacity=1).encode(
            y=alt.Y("value:Q", title=figure_wording.metric_axis(metric), scale=fitting, axis=ruled),
            shape=alt.Shape("arm:N", scale=shapes, legend=mark),
        )
        return alt.layer(bars, points).properties(width=step * len(groups), height=125, title=title)

    return style.apply_style(_grid(rows, metrics, panel, step * most))


def _shown(rows: Iterable[Row], metric: str) -> list[dict[str, Any]]:
    """Return values and limits in the unit shown; a specification contains only the fields that it draws."""
    return [
        {"label": row.get("label"), "arm": str(row["arm"]), **in_unit(row, metric, "value", "low", "high")}
        for row in rows
        if number(row, "value") is not None
    ]


def _grid(
    rows: Rows,
    metrics: Sequence[str],
    panel: Callable[[Rows, str, str], Any],
    width: float,
) -> Spec:
    """Arrange panels: one line per model and attribute, metrics side by side.

    Args:
        rows: of all panels.
        metrics: in their order.
        panel: draws one panel from its rows, its metric and its title.
        width: of a panel in pixels; metrics that do not fit side by side wrap to the next line.
    """
    several = len(unique(rows, "model")) > 1
    columns = max(int(WIDEST // (width + _AXIS)), 1)
    lines = []
    for line_rows in split(rows, "model", "attribute"):
        first = line_rows[0]
        title = figure_wording.panel_title(str(first["model"]), first["attribute"], several=several)
        title = f"{first['attack']}: {title}" if "attack" in first else title
        line: list[Any] = []
        for metric in metrics:
            some = [r for r in line_rows if r["metric"] == metric]
            if some:
                line.append(panel(some, metric, title if not line else ""))
        lines.append(style.concatenate(line, columns=columns))
    return style.concatenate(lines)


def reliability(rows: Rows, result: Document) -> Spec:
    """P3: a reliability diagram for every group (down) and arm (across), with pointwise intervals."""
    import altair as alt  # noqa: PLC0415

    several = len(unique(rows, "model")) > 1
    audit: Document = next(m["audit"] for m in result["models"] if m.get("audit"))
    across, upwards = axis(audit)
    blocks = []
    for of_model in split(rows, "model"):
        names, groups = [str(a) for a in unique(of_model, "arm")], [str(x) for x in unique(of_model, "label")]
        keys = ("label", "arm", "confidence", "accuracy", "low", "high", "n")
        values = [{k: r[k] for k in keys} for r in of_model]
        unit_scale = alt.Scale(domain=[0, 1], nice=False)
        ticks = alt.Axis(values=[0, 0.5, 1], grid=True, format="~g")
        x = alt.X("confidence:Q", scale=unit_scale, axis=ticks, title=across)
        y = alt.Y("accuracy:Q", scale=unit_scale, axis=ticks, title=upwards)
        low = alt.Y("low:Q", scale=unit_scale, axis=ticks, title=upwards)
        size = alt.Size("n:Q", legend=None, scale=alt.Scale(type="sqrt", range=[6, 70]))
        base = alt.Chart()
        ends = {"x": alt.datum(0, scale=unit_scale), "y": alt.datum(0, scale=unit_scale)}
        ideal = base.mark_rule(strokeDash=[3, 3], color=style.RULE, strokeWidth=0.7)
        diagonal = ideal.encode(**ends, x2=alt.datum(1), y2=alt.datum(1))
        bars = base.mark_rule(color=style.MUTED, opacity=0.55, strokeWidth=1).encode(
            x=x, y=low, y2=alt.Y2("high:Q")
        )
        points = base.mark_point(filled=True, opacity=0.9, color=style.ARM_COLOURS[2])
        drawn = alt.layer(
            diagonal, bars, points.encode(x=x, y=y, size=size), data=alt.InlineData(values=values)
        ).properties(width=72, height=72)
        header = alt.Header(labelLimit=0, labelExpr="split(datum.label, ',')")
        facets = drawn.facet(
            row=alt.Row(
                "label:N",
                sort=groups,
                title=None,
                header=alt.Header(labelAngle=0, labelAlign="left", labelLimit=150),
            ),
            column=alt.Column("arm:N", sort=names, title=None, header=header),
            spacing=8,
        )
        blocks.append(facets.properties(title=str(of_model[0]["model"])) if several else facets)
    return style.apply_style(style.concatenate(blocks))


def along_option(rows: Rows, *, logarithmic: bool) -> Spec:
    """P7, P8: an option on x, accuracy and disparities on y; the horizontal line is the reference."""
    import altair as alt  # noqa: PLC0415

    series = series_names(rows)
    known = sorted({float(r["value"]) for r in rows if r["value"] is not None})
    positive = [v for v in known if v > 0]
    # A logarithmic axis cannot show rank 0 (the head only): it is drawn one doubling below the lowest rank.
    lowest = math.log2(positive[0]) - 1 if logarithmic else 0.0

    def position_of(value: float) -> float:
        return (math.log2(value) if value > 0 else lowest) if logarithmic else value

    ends = (position_of(known[0]), position_of(known[-1]))
    pad = 0.06 * (ends[1] - ends[0])
    labels = f"datum.value <= {lowest + 0.01} ? '0' : format(pow(2, datum.value), '.4~g')"
    labels = labels if logarithmic else "format(datum.value, '.4~g')"
    numbers = alt.Axis(
        values=[position_of(v) for v in known], grid=False, labelOverlap=True, labelExpr=labels
    )
    title = figure_wording.FRACTION_AXIS
    if logarithmic:
        title = figure_wording.RANK_AXIS if known[0] == 0 else figure_wording.RANK_AXIS_PLAIN
    reference = next((str(r["arm"]) for r in rows if r["value"] is None), "")
    names = [*([reference] if reference else []), *series]

    def panel(panel_rows: Rows, metric: str, head: str) -> Any:  # noqa: ANN401
        shift = {s: pad * 0.35 * (i - (len(series) - 1) / 2) for i, s in enumerate(series)}
        values = _valued(panel_rows, metric)
        flat = [v | {"series": reference} for v in values if v["at"] is None]
        points = [
            v | {"at": position_of(v["at"]) + shift[v["series"]]} for v in values if v["at"] is not None
        ]
        colours, shapes = style.arm_scales(names)
        mark = style.legend(names)
        colour = alt.Color("series:N", scale=colours, legend=mark)
        x = alt.X(
            "at:Q",
            title=title,
            axis=numbers,
            scale=alt.Scale(domain=[ends[0] - pad, ends[1] + pad], nice=False),
        )
        fitting = alt.Scale(zero=False, padding=4) if metric == "accuracy" else alt.Scale(zero=True)
        ruled, name = alt.Axis(tickCount=5, grid=True), figure_wording.metric_axis(metric)
        y_value = alt.Y("value:Q", title=name, scale=fitting, axis=ruled)
        y_low = alt.Y("low:Q", title=name, scale=fitting, axis=ruled)
        line = alt.Chart(alt.InlineData(values=flat))
        band = line.mark_rect(color=style.BAND, opacity=0.7).encode(y=y_low, y2=alt.Y2("high:Q"))
        level = line.mark_rule(strokeDash=[5, 3], strokeWidth=1.3).encode(y=y_value, color=colour)
        base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=colour)
        parts = [
            base.mark_line(strokeWidth=1.3).encode(y=y_value),
            base.mark_rule(strokeWidth=1.2, opacity=0.8).encode(y=y_low, y2=alt.Y2("high:Q")),
            base.mark_point(filled=True, size=28, opacity=1).encode(
                y=y_value, shape=alt.Shape("series:N", scale=shapes, legend=mark)
            ),
        ]
        return alt.layer(band, level, *parts).properties(width=140, height=115, title=head)

    return style.apply_style(_grid(rows, unique(rows, "metric"), panel, 140))


def _valued(rows: Rows, metric: str) -> list[dict[str, Any]]:
    """Return the values along an option, in the unit shown, each with the value of the option."""
    values = []
    for row in rows:
        shown = in_unit(row, metric, "y", "low", "high")
        if shown["y"] is not None:
            point = {"series": row["series"], "at": number(row, "value")}
            values.append({**point, "value": shown["y"], "low": shown["low"], "high": shown["high"]})
    return values


def by_size(rows: Rows) -> Spec:
    """P12: the size of the group on x (log), the difference to the reference on y, with its interval."""
    import altair as alt  # noqa: PLC0415

    names = [str(c) for c in unique(rows, "candidate")]
    sizes = [float(r["n"]) for r in rows]
    domain = [min(sizes) / 1.35, max(sizes) * 1.35]
    # Arms of one group are offset by a constant number of pixels: an offset in rows would grow with the
    # size and could reach another group's position.
    beside = math.log2(domain[1] / domain[0]) * _BESIDE / _SIZE_WIDTH

    def panel(panel_rows: Rows, metric: str, head: str) -> Any:  # noqa: ANN401
        values = []
        for row in panel_rows:
            shift = 2 ** (beside * (names.index(str(row["candidate"])) - (len(names) - 1) / 2))
            shown = in_unit(row, metric, "difference", "low", "high")
            values.append({"arm": str(row["candidate"]), "n": float(row["n"]) * shift, **shown})
        colours, shapes = style.arm_scales(names, first=1)
        mark = style.legend(names)
        colour = alt.Color("arm:N", scale=colours, legend=mark, sort=names)
        x = alt.X(
            "n:Q",
            title=figure_wording.SIZE_AXIS,
            scale=alt.Scale(type="log", base=2, domain=domain, nice=False),
            axis=alt.Axis(tickCount=5, format=",.0f", grid=False),
        )
        name = figure_wording.difference_axis(metric, str(panel_rows[0]["reference"]))
        ruled, fitting = alt.Axis(tickCount=5, grid=True, titleLimit=150), alt.Scale(zero=True, padding=4)
        zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=style.MUTED, strokeWidth=0.8)
        base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour)
        return alt.layer(
            zero.encode(y=alt.Y("zero:Q", title=name, axis=ruled, scale=fitting)),
            base.mark_rule(strokeWidth=1.1, opacity=0.75).encode(
                y=alt.Y("low:Q", title=name, axis=ruled, scale=fitting), y2=alt.Y2("high:Q")
            ),
            base.mark_point(filled=True, size=28, opacity=1).encode(
                y=alt.Y("difference:Q", title=name, axis=ruled, scale=fitting),
                shape=alt.Shape("arm:N", scale=shapes, legend=mark, sort=names),
            ),
        ).properties(width=_SIZE_WIDTH, height=130, title=head)

    return style.apply_style(_grid(rows, unique(rows, "metric"), panel, 140))


def forest(rows: Rows) -> Spec:
    """Every primary difference with its interval, margin and verdict: a line per group, a panel per arm.

    Groups without rows get no line, such as variants in which answers cannot follow a token.
    """
    several = len(unique(rows, "model")) > 1
    lines = []
    for of_metric in split([r for r in rows if r["n"] != 0] or rows, "model", "metric"):
        metric, labels = str(of_metric[0]["metric"]), [str(x) for x in unique(of_metric, "label")]
        panels = [
            _forest_panel([r for r in of_metric if r["candidate"] == c], labels, i % FOREST_COLUMNS == 0)
            for i, c in enumerate(unique(of_metric, "candidate"))
        ]
        name = figure_wording.difference_axis(metric, str(of_metric[0]["reference"]))
        title = f"{name} · {of_metric[0]['model']}" if several else name
        shared = {"scale": {"x": "shared"}}
        lines.append(style.concatenate(panels, columns=FOREST_COLUMNS, resolve=shared, title=title))
    return style.apply_style(style.concatenate(lines))


def _forest_panel(rows: Rows, labels: Sequence[str], named: bool) -> Any:  # noqa: ANN401
    import altair as alt  # noqa: PLC0415

    metric = str(rows[0]["metric"])
    values = [
        {"label": row["label"], "verdict": row["verdict"] or NO_VERDICT}
        | in_unit(row, metric, "difference", "low", "high")
        for row in rows
    ]
    colours, shapes = style.verdict_scales()
    mark = alt.Legend(orient="top", title=None, columns=5)
    colour = alt.Color("verdict:N", scale=colours, legend=mark)
    side = alt.Axis(labels=named, ticks=False, domain=False, labelPadding=6, grid=False)
    y = alt.Y("label:N", sort=list(labels), title=None, axis=side, scale=alt.Scale(domain=list(labels)))
    flat = alt.Axis(tickCount=4, grid=True, labelOverlap=True, labelSeparation=4)
    end = wording.axis_caption(rows[0])
    x = alt.X("difference:Q", title=end, axis=flat)
    layers: list[Any] = []
    margin = in_unit(rows[0], metric, "margin")["margin"]
    if margin is not None:
        band = alt.Chart(alt.InlineData(values=[{"from": -margin, "to": margin}]))
        layers.append(
            band.mark_rect(color=style.BAND, opacity=1).encode(
                x=alt.X("from:Q", title=end, axis=flat), x2=alt.X2("to:Q")
            )
        )
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=style.MUTED, strokeWidth=0.8)
    layers.append(zero.encode(x=alt.X("zero:Q", title=end, axis=flat)))
    base = alt.Chart(alt.InlineData(values=values)).encode(y=y, color=colour)
    layers.append(
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q", title=end, axis=flat), x2=alt.X2("high:Q"))
    )
    layers.append(
        base.mark_point(filled=True, size=36, opacity=1).encode(
            x=x, shape=alt.Shape("verdict:N", scale=shapes, legend=mark)
        )
    )
    head = alt.TitleParams(
        figure_wording.wrap_arm_name(str(rows[0]["candidate"])), fontWeight="normal", anchor="middle"
    )
    return alt.layer(*layers).properties(width=104, height=alt.Step(13), title=head)
