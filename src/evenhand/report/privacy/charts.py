"""Charts of membership inference: ROC curves by group, leakage by group, differences by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.report import wording
from evenhand.report.charts import MOST_PANELS, forest_of, rates_of
from evenhand.report.document import Document, Row, primary, unique
from evenhand.report.encodings import apply_style, tooltips
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
    known = curves(document)
    spec = _roc_spec(arms_of(document)) if known else {}

    def draw(of_attack: Sequence[Row], attack: str) -> list[Panel]:
        panels = []
        for attribute, group in dict.fromkeys((r["attribute"], r["group"]) for r in of_attack):
            name = wording.group_name(attribute, group)
            points = _points([r for r in of_attack if (r["attribute"], r["group"]) == (attribute, group)])
            panels.append(
                Panel(
                    title=name,
                    note="",
                    description=f"ROC curve of the attack {attack} for {name}, both axes logarithmic.",
                    spec={**spec, "datasets": {**spec["datasets"], _POINTS: points}},
                )
            )
        return panels

    return _blocks(known, draw)


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
    tooltip = tooltips(arm="arm", at="false positive rate", shown="true positive rate")
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
    rows, names, metrics = document["rates"], arms_of(document), document["settings"]["primary"]
    return _blocks(
        rows, lambda of, attack: rates_of(of, metrics, names, ", by", f"of {attack} by group and arm")
    )


def forest_blocks(document: Document) -> list[Block]:
    """Draw the primary differences, a block per attack, a panel per metric and candidate."""
    return _blocks(primary(document), lambda of, _: forest_of(of, "by group"))


def _blocks(rows: Sequence[Row], draw: Callable[[Sequence[Row], str], Sequence[Panel]]) -> list[Block]:
    """Draw the rows of each attack, as many panels as fit on a page."""
    blocks: list[Block] = []
    room = MOST_PANELS
    for attack in unique(rows, "attack"):
        panels = draw([r for r in rows if r["attack"] == attack], str(attack))[:room]
        room -= len(panels)
        blocks += [Block(str(attack), panels)] if panels else []
    return blocks
