"""What a study says of calibration: reliability diagrams, calibration errors, the Brier score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.report import calibration_wording, wording
from evenhand.report.charts import ARM_SHAPES, finished
from evenhand.report.document import Document, Row, arms, number, unique, verdict_of
from evenhand.report.rendering import Cell, Panel, Table, figure

#: Groups that get a diagram; the table has all.
MOST_GROUPS = 24

#: Arms that one diagram can hold.
MOST_ARMS = 6

ERROR, BRIER, GAP = (
    "expected_calibration_error",
    "brier_score",
    "expected_calibration_error_difference",
)

_BINS = "bins"


def calibration_view(audit: Document, reliability: Sequence[Row]) -> dict[str, Any] | None:
    """Prepare the section on calibration.

    Args:
        audit: the audit of a model.
        reliability: rows of its bins; may be empty.

    Returns:
        What the template shows; None when nothing was measured on scores.
    """
    errors = [r for r in audit["rates"] if r["metric"] == ERROR]
    if not errors and not reliability:
        return None
    shown = arms(audit)[:MOST_ARMS]
    gaps = [r for r in audit["disparities"] if r["metric"] == GAP]
    return {
        "caption": calibration_wording.reliability_caption(audit),
        "arms": [(name, i % len(ARM_SHAPES) + 1, SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(shown)],
        "arms_left_out": wording.left_out(len(shown), len(arms(audit)), "arms"),
        "panels": reliability_panels(audit, reliability, shown),
        "unlike_sizes": calibration_wording.UNLIKE_SIZES,
        "table": _table(audit, errors) if errors else None,
        "no_p": _no_p(audit),
        "gaps": [calibration_wording.gap_line(r) for r in gaps],
    }


#: Letters for the shapes of arms, in the order of `ARM_SHAPES`.
SYMBOLS = ("●", "■", "▲", "◆", "✚", "▶")


def reliability_panels(audit: Document, rows: Sequence[Row], names: Sequence[str]) -> list[Panel]:
    """Draw one reliability diagram per group, the arms over each other."""
    kept = [r for r in rows if r["arm"] in names]
    groups = list(dict.fromkeys((r["attribute"], r["group"]) for r in kept))
    if not groups:
        return []
    spec = _spec(audit, names)
    sizes = {(r["attribute"], r["group"]): number(r, "n") for r in audit["rates"]}
    panels = []
    for attribute, group in groups[:MOST_GROUPS]:
        name = wording.group_name(attribute, group)
        values = [bin_values(r) for r in kept if (r["attribute"], r["group"]) == (attribute, group)]
        panels.append(
            Panel(
                title=f"{name} ({wording.count(sizes.get((attribute, group)))} rows)",
                note="",
                description=f"Reliability diagram of {', '.join(names)} for {name}.",
                spec={**spec, "datasets": {**spec["datasets"], _BINS: values}},
            )
        )
    if len(groups) > MOST_GROUPS:
        last = panels[-1]
        note = wording.left_out(MOST_GROUPS, len(groups), "groups")
        panels[-1] = Panel(last.title, note, last.description, last.spec)
    return panels


def bin_values(row: Row) -> dict[str, Any]:
    """Give a bin as a point of a chart."""
    low, high = number(row, "low"), number(row, "high")
    share = wording.amount(number(row, "accuracy"), "accuracy")
    limits = "" if low is None else f" ({wording.short_span({**row, 'metric': 'accuracy'})})"
    return {
        "arm": str(row["arm"]),
        "confidence": number(row, "confidence"),
        "share": number(row, "accuracy"),
        "low": low,
        "high": high,
        "n": number(row, "n"),
        "told": f"{share} %{limits}",
        "rows": wording.count(number(row, "n")),
        "edges": f"{row['low_edge']:.2f} to {row['high_edge']:.2f}",
    }


def _spec(audit: Document, names: Sequence[str]) -> dict[str, Any]:
    """The drawing, without points: slow to make, so all groups share it."""
    import altair as alt  # noqa: PLC0415

    across, upwards = calibration_wording.axis(audit)
    colours = [f"var(--arm{i % 6 + 1})" for i in range(len(names))]
    shapes = [ARM_SHAPES[i % len(ARM_SHAPES)] for i in range(len(names))]
    whole = alt.Scale(domain=[0, 1], nice=False)
    ticks = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format="~g", grid=True, titleLimit=200)
    x = alt.X("confidence:Q", scale=whole, title=across, axis=ticks)
    y = alt.Y("share:Q", scale=whole, title=upwards, axis=ticks)
    low = alt.Y("low:Q", scale=whole, title=upwards, axis=ticks)
    colour = alt.Color("arm:N", legend=None, scale=alt.Scale(domain=list(names), range=colours))
    shape = alt.Shape("arm:N", legend=None, scale=alt.Scale(domain=list(names), range=shapes))
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(type="sqrt", range=[12, 130]))
    tips = [("arm", "arm"), ("edges", "scores"), ("told", "came true"), ("rows", "rows per run")]
    tooltip = [alt.Tooltip(f"{f}:N", title=t) for f, t in tips]
    ideal = alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}]))
    diagonal = ideal.mark_line(strokeDash=[4, 4], color="var(--muted)", strokeWidth=1).encode(
        x=alt.X("at:Q", scale=whole, title=across, axis=ticks),
        y=alt.Y("at:Q", scale=whole, title=upwards, axis=ticks),
    )
    points = alt.Chart(alt.NamedData(_BINS))
    bars = points.mark_rule(strokeWidth=1.5, opacity=0.4).encode(x=x, y=low, y2="high:Q", color=colour)
    lines = points.mark_line(strokeWidth=1.2, opacity=0.7).encode(x=x, y=y, color=colour)
    marks = points.mark_point(filled=True, opacity=0.9).encode(
        x=x, y=y, color=colour, shape=shape, size=size, tooltip=tooltip
    )
    return finished(alt.layer(diagonal, bars, lines, marks), height=220)


def _table(audit: Document, errors: Sequence[Row]) -> Table:
    """One line per group and arm: its error, and what changed against the reference."""
    reference = arms(audit)[0]
    compared = {
        (r["metric"], r["attribute"], r["group"], r["candidate"]): r
        for r in audit["comparisons"]
        if r["metric"] in (ERROR, BRIER)
    }
    names = ["group", "rows", "arm", "calibration error", f"against {reference}", "adjusted p"]
    names += ["Brier difference (interval)", "finding, by the Brier score"]
    head = [Cell(n, css="figure" if i in (1, 3, 4, 5, 6) else "") for i, n in enumerate(names)]
    body = []
    for row in sorted(errors, key=lambda r: _place(r, errors)):
        key = row["attribute"], row["group"], row["input"]
        own, brier = compared.get((ERROR, *key)), compared.get((BRIER, *key))
        value, rows = number(row, "value"), number(row, "n")
        change = number(own, "difference") if own else None
        p = number(own, "p_adjusted") if own else None
        gap = number(brier, "difference") if brier else None
        css = f"verdict {verdict_of(brier)}" if brier and verdict_of(brier) else ""
        body.append(
            [
                Cell(wording.subject(row)),
                figure(rows, wording.count(rows)),
                Cell(str(row["input"])),
                figure(value, wording.amount(value, ERROR), title=wording.status_reason(row)),
                figure(change, wording.amount(change, ERROR, signed=True) if own else ""),
                figure(p, wording.p_value(p) if own else "", title=calibration_wording.p_reason(own or {})),
                figure(gap, _brier(brier)),
                Cell(calibration_wording.brier_finding(brier), css=css),
            ]
        )
    return Table(calibration_wording.TABLE, head, body)


def _place(row: Row, rows: Sequence[Row]) -> tuple[int, int]:
    """Sort by group as the document has them, and within by arm."""
    groups = list(dict.fromkeys((r["attribute"], r["group"]) for r in rows))
    return groups.index((row["attribute"], row["group"])), unique(rows, "input").index(row["input"])


def _brier(row: Row | None) -> str:
    if row is None:
        return ""
    told, span = wording.amount(number(row, "difference"), BRIER, signed=True), wording.span(row, signed=True)
    return told if span == "–" else f"{told} ({span})"


def _no_p(audit: Document) -> str:
    """Say once why no calibration error has a p-value, when none has."""
    rows = [r for r in audit["comparisons"] if r["metric"] == ERROR and r.get("status", "ok") == "ok"]
    if not rows or any(number(r, "p_value") is not None for r in rows):
        return ""
    reasons = dict.fromkeys(calibration_wording.p_reason(r).removeprefix("no p-value: ") for r in rows)
    return calibration_wording.no_p_values(list(reasons))
