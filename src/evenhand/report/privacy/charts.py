"""Charts of membership inference: ROC curves by group, leakage by group, differences by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.report import wording
from evenhand.report.charts import (
    MOST_PANELS,
    apply_style,
    domain,
    farthest_from_overall,
    forest_spec,
    rates_spec,
    worst_rows,
)
from evenhand.report.document import Document, Row, unique
from evenhand.report.rendering import Panel

#: The lowest rate drawn: a logarithmic axis cannot show 0.
LEAST = 1e-4

_POINTS = "points"


@dataclass(frozen=True)
class Block:
    """The panels of one attack."""

    title: str
    panels: Sequence[Panel]


def arms_of(document: Document) -> list[str]:
    """Name the arms, the reference first."""
    names = [str(a) for a in unique(document["rates"], "input")]
    reference = str(document["settings"]["reference"])
    return sorted(names, key=lambda name: name != reference)


def look(names: Sequence[str]) -> list[tuple[str, int]]:
    """Assign each arm the number of its colour."""
    return [(name, i % 6 + 1) for i, name in enumerate(names)]


def curves(document: Document) -> list[Row]:
    """Select the non-empty ROC curves of large enough groups, and add the rows `n` of the group."""
    sizes = {
        (r["attack"], r["attribute"], r["group"]): r["n"]
        for r in document["rates"]
        if r.get("status", "ok") == "ok"
    }
    sized = ({**r, "n": sizes.get((r["attack"], r["attribute"], r["group"]))} for r in document["roc"])
    return [r for r in sized if r["fpr"] and r["n"] is not None]


def roc_blocks(document: Document) -> list[Block]:
    """Draw the ROC curves of all arms, one panel per group, log-log."""
    names = arms_of(document)
    known = curves(document)
    blocks: list[Block] = []
    if not known:
        return blocks
    spec = _roc_spec(names)
    for attack in unique(known, "attack"):
        of_attack = [r for r in known if r["attack"] == attack]
        groups = list(dict.fromkeys((r["attribute"], r["group"]) for r in of_attack))
        panels = []
        for attribute, group in groups[: MOST_PANELS - sum(len(b.panels) for b in blocks)]:
            of_group = [r for r in of_attack if (r["attribute"], r["group"]) == (attribute, group)]
            name = wording.group_name(attribute, group)
            panels.append(
                Panel(
                    title=name,
                    note="",
                    description=f"ROC curve of the attack {attack} for {name}, both axes logarithmic.",
                    spec={**spec, "datasets": {**spec["datasets"], _POINTS: _points(of_group)}},
                )
            )
        if panels:
            blocks.append(Block(str(attack), panels))
    return blocks


def _points(curves: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "arm": str(r["input"]),
            "fpr": f,
            "tpr": max(t, LEAST),
            "own": max(group_fpr, LEAST) if group_fpr is not None else None,
            "shown": f"{100 * t:.2f} %",
            "at": f"{100 * f:.3g} %",
        }
        for r in curves
        for f, t, group_fpr in zip(r["fpr"], r["tpr"], r["own_fpr"] or [None] * len(r["fpr"]), strict=True)
        if f >= LEAST  # the curve below it is left of the axis
    ]


def _roc_spec(names: Sequence[str]) -> dict[str, Any]:
    """Make the specification without its points: it is slow to make, so all groups share it."""
    import altair as alt  # noqa: PLC0415

    scale = alt.Scale(type="log", domain=[LEAST, 1], nice=False, clamp=True)
    axis = alt.Axis(values=[1e-4, 1e-3, 1e-2, 1e-1, 1], format="~%", grid=True)
    x = alt.X("fpr:Q", scale=scale, axis=axis, title="false positive rate")
    y = alt.Y("tpr:Q", scale=scale, axis=axis, title="true positive rate")
    colours = [f"var(--arm{colour})" for _, colour in look(names)]
    colour = alt.Color("arm:N", legend=None, scale=alt.Scale(domain=list(names), range=colours))
    tips = [("arm", "arm"), ("at", "false positive rate"), ("shown", "true positive rate")]
    tooltip = [alt.Tooltip(f"{f}:N", title=t) for f, t in tips]
    corners: list[dict[str, float]] = [{"fpr": LEAST, "tpr": LEAST}, {"fpr": 1, "tpr": 1}]
    ends = alt.Chart(alt.InlineData(values=corners))
    chance = ends.mark_line(strokeDash=[4, 4], color="var(--muted)", strokeWidth=1).encode(x=x, y=y)
    points = alt.Chart(alt.NamedData(_POINTS))
    lines = points.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour)
    marks = points.mark_point(filled=True, size=18, opacity=0.9).encode(
        x=x, y=y, color=colour, tooltip=tooltip
    )
    group_fpr = alt.Y("own:Q", scale=scale, axis=axis, title="true positive rate")
    without = points.mark_line(strokeWidth=1.2, strokeDash=[2, 3], opacity=0.8).encode(
        x=x, y=group_fpr, color=colour
    )
    return apply_style(alt.layer(chance, without, lines, marks), height=220)


def rate_blocks(document: Document) -> list[Block]:
    """Draw the primary metrics of all arms by group, a block per attack."""
    names, drawn = arms_of(document), 0
    blocks: list[Block] = []
    for attack in unique(document["rates"], "attack"):
        panels = []
        for metric in document["settings"]["primary"]:
            rows = [r for r in document["rates"] if (r["attack"], r["metric"]) == (attack, metric)]
            overall = [r for r in rows if r["attribute"] is None]
            for attribute in [a for a in unique(rows, "attribute") if a is not None] or [None]:
                inside = [r for r in rows if r["attribute"] == attribute]
                some = farthest_from_overall(inside, overall) if attribute is not None else []
                name = wording.metric_name(str(metric))
                panels.append(
                    Panel(
                        title=name if attribute is None else f"{name}, by {attribute}",
                        note=wording.left_out(
                            len(unique(some, "group")), len(unique(inside, "group")), "groups"
                        )
                        if some
                        else "",
                        description=f"{name} of {attack} by group and arm; the table has the numbers.",
                        spec=rates_spec([*overall, *some], names),
                    )
                )
        shown = panels[: MOST_PANELS - drawn]
        drawn += len(shown)
        if shown:
            blocks.append(Block(str(attack), shown))
    return blocks


def forest_blocks(document: Document) -> list[Block]:
    """Draw the primary differences, a block per attack, a panel per metric and candidate."""
    rows = [r for r in document["comparisons"] if r["family"] == "primary"]
    blocks: list[Block] = []
    for attack in unique(rows, "attack"):
        panels = []
        for metric in unique(rows, "metric"):
            of_metric = [r for r in rows if (r["attack"], r["metric"]) == (attack, metric)]
            shown = {
                c: worst_rows([r for r in of_metric if r["candidate"] == c])
                for c in unique(of_metric, "candidate")
            }
            bounds = domain([r for some in shown.values() for r in some])
            for candidate, some in shown.items():
                total = sum(r["candidate"] == candidate for r in of_metric)
                name = wording.metric_name(str(metric))
                panels.append(
                    Panel(
                        title=f"{name}: {candidate} − {some[0]['reference']}",
                        note=wording.left_out(len(some), total, "differences"),
                        description=f"Differences of {name} by group; the table has the numbers.",
                        spec=forest_spec(some, bounds),
                    )
                )
        room = MOST_PANELS - sum(len(b.panels) for b in blocks)
        if panels[:room]:
            blocks.append(Block(str(attack), panels[:room]))
    return blocks
