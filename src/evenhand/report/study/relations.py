"""Sections of a study across groups and arms: group sizes, utility against disparity, tuning trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.report import wording
from evenhand.report.cells import change_cell, count_cell, p_cell
from evenhand.report.charts import domain
from evenhand.report.document import Document, Row, arms, number, unique, verdict_of
from evenhand.report.encodings import NO_VERDICT, apply_style, arm_encodings, in_unit, tooltips
from evenhand.report.rendering import Cell, Panel, Table, build_table, figure
from evenhand.report.study import relations_wording
from evenhand.report.study.charts import difference_spec

#: Largest number of charts of a section; its table contains all.
MOST_PANELS = 12

#: Disparities on the horizontal axis of the utility charts.
DISPARITIES = ("demographic_parity_difference", "equalized_odds_difference")

_POINTS = "points"

_Key = tuple[Any, Any, Any, Any]


def sizes_view(audit: Document, sizes: Sequence[Row]) -> dict[str, Any] | None:
    """Prepare the section on group sizes; None if the document has no such rows."""
    if not sizes:
        return None
    ranked = sorted(sizes, key=_by_p)
    keys = {_key(r): r for r in ranked[:MOST_PANELS]}
    rows = [r for r in audit["comparisons"] if r["family"] == "primary" and r["group"] is not None]
    panels = []
    for metric in unique(ranked, "metric"):
        shown = {k: [r for r in rows if _key(r) == k and _drawn(r)] for k in keys if k[3] == metric}
        shown = {k: some for k, some in shown.items() if some}
        # One range for all charts of a metric, so that they can be compared.
        if shown:
            every = [r for some in shown.values() for r in some]
            spec = _size_spec(every, domain(every))
            panels += [_size_panel(keys[k], some, spec) for k, some in shown.items()]
    return {
        "caption": relations_wording.SIZES_CAPTION,
        "summary": relations_wording.size_summary(sizes),
        "panels": panels,
        "left_out": wording.left_out(len(panels), len(sizes), "charts"),
        "table": _sizes_table(ranked),
    }


def _key(row: Row) -> _Key:
    return row["candidate"], row["attribute"], row.get("class"), row["metric"]


def _drawn(row: Row) -> bool:
    return number(row, "difference") is not None and bool(row["n"])


def _by_p(row: Row) -> tuple[float, float]:
    p_values = [number(row, k) for k in ("p_adjusted", "p_value")]
    return 2.0 if p_values[0] is None else p_values[0], 2.0 if p_values[1] is None else p_values[1]


def _size_panel(size: Row, rows: Sequence[Row], spec: dict[str, Any]) -> Panel:
    metric = str(size["metric"])
    values = [
        {
            "group": wording.subject(row),
            "n": row["n"],
            "rows": wording.count(number(row, "n")),
            **in_unit(row, metric, "difference", "low", "high"),
            "verdict": verdict_of(row) or NO_VERDICT,
            "shown": wording.amount(number(row, "difference"), metric, signed=True) + wording.unit_of(metric),
            "interval": wording.span(row, signed=True),
        }
        for row in rows
    ]
    title = f"{wording.measure(size)}, {size['attribute']}: {size['candidate']} − {size['reference']}"
    note = relations_wording.size_note(size)
    return Panel(
        title, note, f"{title}, by the size of the group. {note}", {**spec, "datasets": {_POINTS: values}}
    )


def _size_spec(rows: Sequence[Row], bounds: tuple[float, float]) -> dict[str, Any]:
    """Make the specification of a metric without its points: it is slow to make, so charts share it."""
    import altair as alt  # noqa: PLC0415

    sizes = [float(r["n"]) for r in rows]
    across = alt.Scale(type="log", base=2, domain=[min(sizes) / 1.4, max(sizes) * 1.4], nice=False)
    ticks = alt.Axis(tickCount=5, format=",.0f")
    x = alt.X("n:Q", scale=across, title="rows of the group (log scale)", axis=ticks)
    return difference_spec(rows[0], x, bounds, _POINTS, "group", "rows", line=False)


def _sizes_table(rows: Sequence[Row]) -> Table:
    names = ["groups of", "metric", "arm − reference", "slope per doubling (interval)"]
    body = [
        [
            Cell(str(row["attribute"])),
            Cell(wording.measure(row)),
            Cell(f"{row['candidate']} − {row['reference']}"),
            change_cell(row, "slope", fine=True),
            p_cell(row),
            count_cell(row, "groups"),
            Cell(relations_wording.size_finding(row)),
        ]
        for row in rows
    ]
    return build_table(relations_wording.SIZES, [*names, "adjusted p", "groups", "finding"], body)


def utility_panels(audit: Document) -> list[Panel]:
    """Draw the accuracy of each arm against each of its disparities, with both intervals."""
    names = arms(audit)
    accuracy = {r["input"]: r for r in audit["rates"] if r["attribute"] is None and r["metric"] == "accuracy"}
    panels = []
    for metric in DISPARITIES:
        rows = [r for r in audit["disparities"] if r["metric"] == metric]
        for attribute, cls in dict.fromkeys((r["attribute"], r["class"]) for r in rows):
            of_attribute = [r for r in rows if (r["attribute"], r["class"]) == (attribute, cls)]
            values = [
                v for r in of_attribute if (v := utility_point(r, accuracy.get(r["input"]))) is not None
            ]
            if values:
                name = wording.metric_name(metric) + ("" if cls is None else f" of class {cls}")
                title = f"accuracy against {name}, {attribute}"
                what = f"Accuracy over all rows against {name} between the groups of {attribute}, by arm."
                panels.append(Panel(title, "", what, _utility_spec(values, names, metric)))
    return panels[:MOST_PANELS]


def utility_point(row: Row, accuracy: Row | None) -> dict[str, Any] | None:
    """Convert an arm to a point of disparity (x) and accuracy (y); None if either is undefined."""
    if accuracy is None or number(row, "value") is None or number(accuracy, "value") is None:
        return None
    return {
        "arm": str(row["input"]),
        "disparity": number(row, "value"),
        "disparity_low": number(row, "low"),
        "disparity_high": number(row, "high"),
        "accuracy": number(accuracy, "value"),
        "accuracy_low": number(accuracy, "low"),
        "accuracy_high": number(accuracy, "high"),
        "shown": f"{wording.amount(number(row, 'value'), str(row['metric']))} ({wording.span(row)})",
        "right": f"{wording.amount(number(accuracy, 'value'), 'accuracy')} ({wording.span(accuracy)})",
    }


def _utility_spec(values: Sequence[Mapping[str, Any]], names: Sequence[str], metric: str) -> dict[str, Any]:
    import altair as alt  # noqa: PLC0415

    across, upwards = relations_wording.utility_axes(metric)
    legend = alt.Legend(orient="top", title=None, columns=3, labelLimit=150)
    colour, shape = arm_encodings(names, legend)
    axis = alt.Axis(format="%", tickCount=5, grid=True)
    x_scale, y_scale = alt.Scale(zero=True, nice=True), alt.Scale(zero=False, padding=6)
    x = alt.X("disparity:Q", title=across, axis=axis, scale=x_scale)
    y = alt.Y("accuracy:Q", title=upwards, axis=axis, scale=y_scale)
    tooltip = tooltips(arm="arm", shown="disparity", right="accuracy")
    base = alt.Chart(alt.InlineData(values=list(values))).encode(color=colour, tooltip=tooltip)
    wide = base.mark_rule(strokeWidth=1.5, opacity=0.55).encode(
        x=alt.X("disparity_low:Q", title=across, axis=axis, scale=x_scale), x2=alt.X2("disparity_high:Q"), y=y
    )
    tall = base.mark_rule(strokeWidth=1.5, opacity=0.55).encode(
        x=x, y=alt.Y("accuracy_low:Q", title=upwards, axis=axis, scale=y_scale), y2=alt.Y2("accuracy_high:Q")
    )
    marks = base.mark_point(filled=True, size=90, opacity=1, stroke="var(--paper)", strokeWidth=1)
    return apply_style(alt.layer(wide, tall, marks.encode(x=x, y=y, shape=shape)), height=280)


def tuning_table(rows: Sequence[Row]) -> Table:
    """List the trials by arm, with the chosen one marked."""
    options = list(dict.fromkeys(k for r in rows for k in r["trial"]))
    body = []
    for row in rows:
        accuracy, loss = number(row, "accuracy"), number(row, "loss")
        values = [row["trial"].get(k) for k in options]
        shown = ["" if v is None else relations_wording.trial_value(v) for v in values]
        body.append(
            [
                Cell(str(row["arm"])),
                *(figure(_sortable(v), text) for v, text in zip(values, shown, strict=True)),
                figure(accuracy, wording.amount(accuracy, "accuracy")),
                figure(loss, wording.amount(loss, "log_loss")),
                count_cell(row, "runs"),
                Cell("✓ chosen" if row["chosen"] else ""),
            ]
        )
    names = ["arm", *options, "validation accuracy", "validation loss", "runs", "chosen"]
    return build_table(relations_wording.TUNING, names, body)


def _sortable(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
