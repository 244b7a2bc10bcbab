"""Charts of a study as Vega-Lite specs: differences along an option such as the rank, and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evenhand.report import wording
from evenhand.report.charts import domain
from evenhand.report.document import Document, Row, number, unique, verdict_of
from evenhand.report.encodings import (
    NO_VERDICT,
    apply_style,
    in_unit,
    margin_and_zero,
    tooltips,
    unit_factor,
    verdict_encodings,
)
from evenhand.report.rendering import Panel
from evenhand.report.study import wording as study_wording

#: Largest number of groups drawn for one metric; the table of slopes contains all.
MOST_GROUPS = 12

#: Largest numbers of points of a training curve, and of lines of single runs in one chart.
MOST_POINTS = 60
MOST_LINES = 60

#: Name of the data set that differs between the charts of a metric.
_POINTS = "points"

#: Largest number of points that are all marked, and of epochs that all have a tick.
_FEW = 12

_Key = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Curves:
    """Small charts of one metric, one per group, on the same axes."""

    title: str
    note: str
    panels: Sequence[Panel]


def option_curves(audit: Document, series: Row, trends: Sequence[Row]) -> list[Curves]:
    """Draw the differences to the reference along an option, one block per primary metric.

    Args:
        audit: the comparisons of a model's arms.
        series: the arms along the option, a row of `series`.
        trends: slopes of this series, for the line under each chart; may be empty.
    """
    blocks = []
    rows = [r for r in audit["comparisons"] if r["candidate"] in series["arms"] and _of_a_group(r)]
    rows.sort(key=lambda r: r["attribute"] is not None)
    judged = [m for m in audit.get("settings", {}).get("primary", ()) if m in unique(rows, "metric")]
    for metric in judged or unique(rows, "metric")[:3]:
        of_metric = [r for r in rows if r["metric"] == metric]
        slopes = {_key(t): t for t in trends if t["metric"] == metric}
        total = len(dict.fromkeys(map(_key, of_metric)))
        # Groups without any interval are drawn only if no group has one: noise of their few rows looks
        # like a trend.
        certain = list(dict.fromkeys(_key(r) for r in of_metric if number(r, "low") is not None))
        keys = _clearest(certain or list(dict.fromkeys(map(_key, of_metric))), slopes)
        shown = {k: [r for r in of_metric if _key(r) == k] for k in keys}
        bounds = domain([r for some in shown.values() for r in some])
        spec = _option_spec(of_metric[0], series, bounds)
        panels = [_option_panel(some, series, slopes.get(k), spec) for k, some in shown.items()]
        note = wording.left_out(len(panels), total, "groups", rest="the table of slopes has all")
        blocks.append(Curves(study_wording.metric_title(str(metric)), note, panels))
    return blocks


def _of_a_group(row: Row) -> bool:
    return row["attribute"] is None or row["group"] is not None


def _key(row: Row) -> _Key:
    return row["attribute"], row["group"], row["class"]


def _clearest(keys: Sequence[_Key], slopes: Mapping[_Key, Row]) -> list[_Key]:
    """Select the groups with the clearest slopes, in the document's order."""

    def p(key: _Key) -> float:
        value = number(slopes[key], "p_value") if key in slopes else None
        return 1.0 if value is None else value

    selected = set(sorted(keys, key=p)[:MOST_GROUPS])
    return [k for k in keys if k in selected]


def _option_panel(rows: Sequence[Row], series: Row, slope: Row | None, spec: dict[str, Any]) -> Panel:
    """Make the chart of one group: the shared specification of its metric, with the points of the group."""
    first = rows[0]
    name = wording.metric_name(str(first["metric"]))
    where = wording.subject(first)
    note = "" if slope is None else study_wording.trend_finding(slope)
    return Panel(
        title=f"{where} ({wording.count(number(first, 'n'))} rows)",
        note=note,
        description=f"Difference of {name} to {first['reference']} by {series['parameter']}, {where}. {note}",
        spec={**spec, "datasets": {**spec["datasets"], _POINTS: _points(rows, series)}},
    )


def _points(rows: Sequence[Row], series: Row) -> list[dict[str, Any]]:
    """Make one point per value above 0, as the axis is logarithmic; the reference is at 0 by definition."""
    metric = str(rows[0]["metric"])
    by_arm = {r["candidate"]: r for r in rows}
    points = []
    for value, arm in zip(series["values"], series["arms"], strict=True):
        row = by_arm.get(arm)
        difference = 0.0 if arm == rows[0]["reference"] else number(row, "difference") if row else None
        if value <= 0 or difference is None:
            continue
        points.append(
            {
                "value": value,
                "arm": arm,
                "difference": unit_factor(metric) * difference,
                **in_unit(row or {}, metric, "low", "high"),
                "verdict": (verdict_of(row) if row else None) or NO_VERDICT,
                "shown": wording.amount(difference, metric, signed=True) + wording.unit_of(metric),
                "interval": wording.span(row, signed=True) if row else "the reference",
            }
        )
    return points


def _option_spec(row: Row, series: Row, bounds: tuple[float, float]) -> dict[str, Any]:
    """Make the specification of a metric without its points: it is slow to make, so all groups share it."""
    import altair as alt  # noqa: PLC0415

    values = [v for v in series["values"] if v > 0]
    scale = alt.Scale(type="log", base=2, domain=[min(values) / 1.6, max(values) * 1.6], nice=False)
    ticks = alt.Axis(values=values, format="~g", labelAngle=0, grid=False)
    x = alt.X("value:Q", scale=scale, axis=ticks, title=study_wording.option_axis(series["parameter"]))
    return difference_spec(row, x, bounds, _POINTS, "arm", line=True)


def difference_spec(
    row: Row,
    x: Any,  # noqa: ANN401  (altair's)
    bounds: tuple[float, float],
    data: str,
    *tips: str,
    line: bool,
) -> dict[str, Any]:
    """Draw differences upwards, with intervals, margin and verdicts, of points that are added later.

    Args:
        row: a comparison of the metric.
        x: the horizontal channel.
        bounds: range of the differences.
        data: name of the points.
        tips: fields of the tooltip before the difference.
        line: connect the points.
    """
    import altair as alt  # noqa: PLC0415

    at = alt.Scale(domain=list(bounds), nice=False, zero=False)
    points_unit = ", points" if wording.in_points(str(row["metric"])) else ""
    axis: dict[str, Any] = {
        "scale": at,
        "title": f"difference to {row['reference']}{points_unit}",
        "axis": alt.Axis(grid=True, tickCount=5, titleLimit=170),
    }
    y, low = alt.Y("difference:Q", **axis), alt.Y("low:Q", **axis)
    colour, shape = verdict_encodings()
    fields = {field: field for field in tips}
    tooltip = tooltips(**fields, shown="difference", interval="interval", verdict="verdict")
    layers = margin_and_zero(row, "y", clip=True, **axis)
    points = alt.Chart(alt.NamedData(data))
    if line:
        path = points.mark_line(color="var(--muted)", strokeWidth=1.5, clip=True)
        layers.append(path.encode(x=x, y=y))
    bars = points.mark_rule(strokeWidth=2.5, strokeCap="round", clip=True)
    layers.append(bars.encode(x=x, y=low, y2=alt.Y2("high:Q"), color=colour, tooltip=tooltip))
    marks = points.mark_point(filled=True, size=95, opacity=1, stroke="var(--paper)", strokeWidth=1)
    layers.append(marks.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    return apply_style(alt.layer(*layers), height=190)


def training_curves(curves: Sequence[Row]) -> list[Panel]:
    """Draw the training loss and the validation metrics against the epoch, by arm.

    Thick lines are means over runs, thin lines are single runs; untrained arms have none.
    """
    arms = [str(a) for a in unique(curves, "arm")]
    measures = (
        ("points", "loss", "training loss", "lower is better"),
        ("validation", "accuracy", "validation accuracy", "higher is better"),
        ("validation", "loss", "validation loss", "lower is better"),
    )
    panels = []
    for kind, field, name, better in measures:
        singles, means, total = _lines(curves, arms, kind, field)
        if means:
            drawn = len({(x["arm"], x["run"]) for x in singles})
            note = wording.left_out(drawn, total, "single runs", rest="the thick lines are means over all")
            spec = _training_spec(singles, means, arms, f"{name}, {better}", share=field == "accuracy")
            what = f"{name} against the epoch, by arm: means over runs, and single runs."
            panels.append(Panel(name, note, what, spec))
    return panels


def _lines(
    curves: Sequence[Row], arms: Sequence[str], kind: str, field: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Return points of single runs (equally many runs per arm), points of means, and the number of runs."""
    singles, means, total = [], [], 0
    for arm in arms:
        runs = {str(c["run"]): c.get(kind) or () for c in curves if c["arm"] == arm}
        binned = {run: _binned(points, field) for run, points in runs.items()}
        binned = {run: points for run, points in binned.items() if points}
        total += len(binned)
        for run in list(binned)[: max(1, MOST_LINES // len(arms))]:
            singles += [{"arm": arm, "run": run, "epoch": e, "value": v} for e, v in binned[run]]
        by_epoch: dict[float, list[float]] = {}
        for points in binned.values():
            for epoch, value in points:
                by_epoch.setdefault(epoch, []).append(value)
        means += [
            {"arm": arm, "epoch": e, "value": fmean(v)}
            for e, v in sorted(by_epoch.items())
            if len(v) == len(binned)  # a mean over fewer runs would jump where one ends
        ]
    return singles, means, total


def _binned(points: Sequence[Row], field: str) -> list[tuple[float, float]]:
    """Average the points of a run in bins of equal width in epochs; few points are unchanged."""
    known = [(number(p, "epoch"), number(p, field)) for p in points]
    pairs = [(e, v) for e, v in known if e is not None and v is not None]
    if len(pairs) <= MOST_POINTS:
        return [(round(e, 4), v) for e, v in pairs]
    width = max(e for e, _ in pairs) / MOST_POINTS
    bins: dict[int, list[float]] = {}
    for epoch, value in pairs:
        bins.setdefault(min(int(epoch / width), MOST_POINTS - 1), []).append(value)
    return [(round((k + 0.5) * width, 4), fmean(values)) for k, values in sorted(bins.items())]


def _training_spec(
    singles: Sequence[Row], means: Sequence[Row], arms: Sequence[str], title: str, *, share: bool
) -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    range_ = [f"var(--arm{i % 6 + 1})" for i in range(len(arms))]
    dashes = [([1, 0], [6, 3], [2, 2])[i // 6 % 3] for i in range(len(arms))]
    legend = alt.Legend(
        orient="top", title=None, columns=3, labelLimit=170, symbolOpacity=1, symbolStrokeWidth=2.5
    )
    colour = alt.Color("arm:N", legend=legend, scale=alt.Scale(domain=list(arms), range=range_))
    dash = alt.StrokeDash("arm:N", legend=legend, scale=alt.Scale(domain=list(arms), range=dashes))
    last = max(float(x["epoch"]) for x in means)
    ticks = alt.Axis(grid=False, format="~g", tickCount=6)
    if last <= _FEW:
        ticks = alt.Axis(grid=False, format="~g", values=list(range(int(last) + 1)))
    x = alt.X("epoch:Q", title="epoch", axis=ticks, scale=alt.Scale(domain=[0, last], nice=False))
    axis = alt.Axis(grid=True, tickCount=5, format="~%" if share else "~g")
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, padding=6), axis=axis)
    shown = ".3f" if not share else ".1%"
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("epoch:Q", format=".2~f"),
        alt.Tooltip("value:Q", title=title.partition(",")[0], format=shown),
    ]
    runs = alt.Chart(alt.InlineData(values=list(singles))).mark_line(strokeWidth=1, opacity=0.25)
    thin = runs.encode(x=x, y=y, color=colour, strokeDash=dash, detail=alt.Detail("run:N"))
    mean = alt.Chart(alt.InlineData(values=list(means))).mark_line(strokeWidth=2.4)
    thick = mean.encode(x=x, y=y, color=colour, strokeDash=dash)
    few = len(means) <= _FEW * len(arms)  # many dots would hide the lines; they still have tooltips
    dots = alt.Chart(alt.InlineData(values=list(means))).mark_point(filled=True, size=30, opacity=float(few))
    marks = dots.encode(x=x, y=y, color=colour, tooltip=tooltip)
    return apply_style(alt.layer(thin, thick, marks), height=240)
