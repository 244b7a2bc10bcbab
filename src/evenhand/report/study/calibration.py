"""The calibration section of a study: reliability diagrams, calibration errors, Brier scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.report import wording
from evenhand.report.cells import count_cell
from evenhand.report.document import Document, Row, arms, number, unique, verdict_of
from evenhand.report.encodings import ARM_SHAPES, apply_style, tooltips
from evenhand.report.rendering import Cell, Panel, Table, build_table, figure
from evenhand.report.study import calibration_wording

#: Largest number of diagrams of a page; the result contains the numbers of all.
MOST_PANELS = 48

ERROR, BRIER, GAP = (
    "expected_calibration_error",
    "brier_score",
    "expected_calibration_error_difference",
)

_BINS = "bins"

#: Characters for the shapes of arms, in the order of `ARM_SHAPES`.
SYMBOLS = ("●", "■", "▲", "◆", "✚", "▶")


def calibration_view(audit: Document, reliability: Sequence[Row]) -> dict[str, Any] | None:
    """Prepare the section on calibration.

    Args:
        audit: the audit of a model.
        reliability: rows of its bins; may be empty.

    Returns:
        The template variables; None without results on scores.
    """
    errors = [r for r in audit["rates"] if r["metric"] == ERROR]
    if not errors and not reliability:
        return None
    gaps = [r for r in audit["disparities"] if r["metric"] == GAP]
    blocks = reliability_blocks(audit, reliability)
    drawn, there = sum(len(b.panels) for b in blocks), _pairs(audit) * len(_groups(reliability))
    return {
        "caption": calibration_wording.reliability_caption(audit),
        "blocks": blocks,
        "left_out": wording.left_out(drawn, there, "diagrams", rest="the result has the numbers of all"),
        "unlike_sizes": calibration_wording.UNLIKE_SIZES,
        "table": _table(audit, errors) if errors else None,
        "no_p": _no_p(audit),
        "gaps": [calibration_wording.gap_line(r, ERROR) for r in gaps],
    }


@dataclass(frozen=True)
class Block:
    """Reliability diagrams of one candidate beside the reference, one per group.

    Attributes:
        title: the candidate and the reference.
        arms: (name, colour number, symbol) of each.
        panels: the diagrams.
    """

    title: str
    arms: Sequence[tuple[str, int, str]]
    panels: Sequence[Panel]


def _groups(rows: Sequence[Row]) -> list[tuple[Any, Any]]:
    return list(dict.fromkeys((r["attribute"], r["group"]) for r in rows))


def _pairs(audit: Document) -> int:
    return max(len(arms(audit)) - 1, 1)


def reliability_blocks(audit: Document, rows: Sequence[Row]) -> list[Block]:
    """Draw the reliability diagrams of each candidate and the reference, group by group."""
    groups, (reference, *candidates) = _groups(rows), arms(audit)
    sizes = {(r["attribute"], r["group"]): number(r, "n") for r in audit["rates"]}
    blocks: list[Block] = []
    for index, candidate in enumerate(candidates or [""], 1):
        names = [reference, candidate] if candidate else [reference]
        room = MOST_PANELS - sum(len(b.panels) for b in blocks)
        if not groups or room <= 0:
            break
        look = [0, (index - 1) % 5 + 1][: len(names)]
        spec = _spec(audit, names, look)
        panels = []
        for attribute, group in groups[:room]:
            name = wording.group_name(attribute, group)
            of_group = [r for r in rows if (r["attribute"], r["group"]) == (attribute, group)]
            values = [bin_values(r) for r in of_group if r["arm"] in names]
            panels.append(
                Panel(
                    title=f"{name} ({wording.format_quantity(sizes.get((attribute, group)), 'row')})",
                    note="",
                    description=f"Reliability diagram of {' and '.join(names)} for {name}.",
                    spec={**spec, "datasets": {**spec["datasets"], _BINS: values}},
                )
            )
        legend = [(n, i + 1, SYMBOLS[i]) for n, i in zip(names, look, strict=True)]
        blocks.append(Block(" beside ".join(reversed(names)), legend, panels))
    return blocks


def bin_values(row: Row) -> dict[str, Any]:
    """Convert a bin to a point of a chart."""
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
        "shown": f"{share} %{limits}",
        "rows": wording.count(number(row, "n")),
        "edges": f"{row['low_edge']:.2f} to {row['high_edge']:.2f}",
    }


def _spec(audit: Document, names: Sequence[str], look: Sequence[int]) -> dict[str, Any]:
    """Make the specification without its points: it is slow to make, so all groups share it."""
    import altair as alt  # noqa: PLC0415

    across, upwards = calibration_wording.axis(audit)
    colours, shapes = [f"var(--arm{i + 1})" for i in look], [ARM_SHAPES[i] for i in look]
    unit_scale = alt.Scale(domain=[0, 1], nice=False)
    ticks = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], format="~g", grid=True, titleLimit=200)
    x = alt.X("confidence:Q", scale=unit_scale, title=across, axis=ticks)
    y = alt.Y("share:Q", scale=unit_scale, title=upwards, axis=ticks)
    low = alt.Y("low:Q", scale=unit_scale, title=upwards, axis=ticks)
    colour = alt.Color("arm:N", legend=None, scale=alt.Scale(domain=list(names), range=colours))
    shape = alt.Shape("arm:N", legend=None, scale=alt.Scale(domain=list(names), range=shapes))
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(type="sqrt", range=[12, 130]))
    tooltip = tooltips(arm="arm", edges="scores", shown="observed", rows="rows per run")
    ideal = alt.Chart(alt.InlineData(values=[{"at": 0}, {"at": 1}]))
    diagonal = ideal.mark_line(strokeDash=[4, 4], color="var(--muted)", strokeWidth=1).encode(
        x=alt.X("at:Q", scale=unit_scale, title=across, axis=ticks),
        y=alt.Y("at:Q", scale=unit_scale, title=upwards, axis=ticks),
    )
    points = alt.Chart(alt.NamedData(_BINS))
    bars = points.mark_rule(strokeWidth=1.5, opacity=0.4).encode(
        x=x, y=low, y2=alt.Y2("high:Q"), color=colour
    )
    lines = points.mark_line(strokeWidth=1.2, opacity=0.7).encode(x=x, y=y, color=colour)
    marks = points.mark_point(filled=True, opacity=0.9).encode(
        x=x, y=y, color=colour, shape=shape, size=size, tooltip=tooltip
    )
    return apply_style(alt.layer(diagonal, bars, lines, marks), height=220)


def _table(audit: Document, errors: Sequence[Row]) -> Table:
    """Make a table with one row per group and arm: its error, and the change against the reference."""
    reference = arms(audit)[0]
    compared = {
        (r["metric"], r["attribute"], r["group"], r["candidate"]): r
        for r in audit["comparisons"]
        if r["metric"] in (ERROR, BRIER)
    }
    body = []
    for row in sorted(errors, key=lambda r: _sort_key(r, errors)):
        key = row["attribute"], row["group"], row["input"]
        error, brier = compared.get((ERROR, *key)), compared.get((BRIER, *key))
        value = number(row, "value")
        change, p = (number(error, k) if error else None for k in ("difference", "p_adjusted"))
        why = calibration_wording.p_reason(error or {})
        css = f"verdict {verdict_of(brier)}" if brier and verdict_of(brier) else ""
        body.append(
            [
                Cell(wording.subject(row)),
                count_cell(row),
                Cell(str(row["input"])),
                figure(value, wording.amount(value, ERROR), title=wording.status_reason(row)),
                figure(change, wording.amount(change, ERROR, signed=True) if error else ""),
                figure(p, wording.p_value(p) if error else "", title=why),
                figure(number(brier, "difference"), wording.estimate(brier, "difference", signed=True))
                if brier
                else figure(None, ""),
                Cell(calibration_wording.brier_finding(brier), css=css),
            ]
        )
    names = ["group", "rows", "arm", "calibration error", f"against {reference}", "adjusted p"]
    names += ["Brier difference (interval)", "finding, by the Brier score"]
    return build_table(calibration_wording.TABLE, names, body)


def _sort_key(row: Row, rows: Sequence[Row]) -> tuple[int, int]:
    """Sort by group, then by arm, both in the order of the document."""
    groups = list(dict.fromkeys((r["attribute"], r["group"]) for r in rows))
    return groups.index((row["attribute"], row["group"])), unique(rows, "input").index(row["input"])


def _no_p(audit: Document) -> str:
    """State the reason once if no calibration error has a p-value."""
    rows = [r for r in audit["comparisons"] if r["metric"] == ERROR and r.get("status", "ok") == "ok"]
    if not rows or any(number(r, "p_value") is not None for r in rows):
        return ""
    reasons = dict.fromkeys(calibration_wording.p_reason(r).removeprefix("no p-value: ") for r in rows)
    return calibration_wording.no_p_values(list(reasons))
