"""Rows and charts of the figures on membership inference, from a document `evenhand.study/1`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from evenhand.report.document import Document, unique
from evenhand.report.figures import style
from evenhand.report.figures import wording as figure_wording
from evenhand.report.figures.charts import WIDEST
from evenhand.report.figures.data import Rows, rates_of, split
from evenhand.report.figures.style import Spec
from evenhand.report.figures.wording import line_label
from evenhand.report.privacy import charts as privacy_charts

#: Groups on a page of curves; pixels of their labels; largest size of a panel in pixels.
_GROUPS, _NAMES, _PANEL = 5, 120, 125


def attacked(result: Document) -> Iterator[tuple[str, Document]]:
    """Yield the attacked models with the documents of their attacks."""
    for model in result["models"]:
        if model.get("privacy"):
            yield str(model["model"]), model["privacy"]


def curves(result: Document) -> Rows:
    """P5: points of the ROC curves of every attack, arm and group, at thresholds pooled over groups.

    `own_fpr` is the false positive rate among the group's own non-members at the same threshold. Points below
    one non-member are omitted.
    """
    rows: Rows = []
    for model, attack_result in attacked(result):
        resolved = privacy_charts.curves(attack_result)
        several = len({r["attribute"] for r in resolved}) > 2
        for curve in resolved:
            fields = {k: curve[k] for k in ("attack", "attribute", "group", "n", "runs")}
            fields |= {"model": model, "arm": curve["input"]}
            fields["label"] = line_label({**fields, "class": None}, several=several)
            points = zip(
                curve["fpr"], curve["tpr"], curve["own_fpr"] or [None] * len(curve["fpr"]), strict=True
            )
            rows += [
                fields | {"fpr": fpr, "tpr": tpr, "own_fpr": group_fpr} for fpr, tpr, group_fpr in points
            ]
    return rows


def leakage(result: Document) -> Rows:
    """P6: the primary metrics (AUC, true positive rate at low FPR) of every attack and arm by group."""
    return [
        {"model": model, "attack": attack, **row}
        for model, attack_result in attacked(result)
        for attack in unique(attack_result["rates"], "attack")
        for row in rates_of(
            model,
            {"rates": [r for r in attack_result["rates"] if r["attack"] == attack]},
            [str(m) for m in attack_result["settings"]["primary"]],
        )
    ]


def pages_of_curves(rows: Rows) -> list[Rows]:
    """Divide curves into pages of at most five groups."""
    pages = []
    for of_model in split(rows, "model"):
        labels = unique(of_model, "label")
        for start in range(0, len(labels), _GROUPS):
            pages.append([r for r in of_model if r["label"] in labels[start : start + _GROUPS]])
    return pages


def pages_of_leakage(rows: Rows) -> list[Rows]:
    """Divide rates into one page per attack and attribute."""
    return split(rows, "attack", "attribute")


def roc(rows: Rows, result: Document) -> Spec:
    """P5: both axes logarithmic, a panel for every group (down) and attack (across), a line per arm.

    A page has the curves of one model, whose name is above them if several were attacked.
    """
    import altair as alt  # noqa: PLC0415

    names, attacks = [str(a) for a in unique(rows, "arm")], unique(rows, "attack")
    colours, _ = style.arm_scales(names)
    least = 10.0 ** math.floor(math.log10(min(r["fpr"] for r in rows)) + 1e-9)
    values: list[dict[str, Any]] = [
        {**{k: r[k] for k in ("attack", "label", "arm", "fpr")}, "tpr": max(r["tpr"], least)} for r in rows
    ]
    log_scale = alt.Scale(type="log", domain=[least, 1], nice=False)
    decades = [10.0**k for k in range(round(math.log10(least)), 1)]
    ticks = alt.Axis(values=decades, grid=True, labelExpr="format(100 * datum.value, '~r')")
    x = alt.X("fpr:Q", scale=log_scale, axis=ticks, title=figure_wording.FALSE_POSITIVE_AXIS)
    y = alt.Y("tpr:Q", scale=log_scale, axis=ticks, title=figure_wording.TRUE_POSITIVE_AXIS)
    base = alt.Chart()
    start = {"x": alt.datum(least, scale=log_scale), "y": alt.datum(least, scale=log_scale)}
    chance = base.mark_rule(strokeDash=[3, 3], color=style.RULE, strokeWidth=0.7).encode(
        **start, x2=alt.datum(1), y2=alt.datum(1)
    )
    lines = base.mark_line(strokeWidth=1.1).encode(
        x=x, y=y, color=alt.Color("arm:N", scale=colours, legend=style.legend(names))
    )
    size = min(_PANEL, (WIDEST - _NAMES) / len(attacks) - 12)
    left = alt.Header(labelAngle=0, labelAlign="left", labelLimit=_NAMES)
    drawn = (
        alt.layer(chance, lines, data=alt.InlineData(values=values))
        .properties(width=size, height=size)
        .facet(
            row=alt.Row("label:N", sort=[str(g) for g in unique(rows, "label")], title=None, header=left),
            column=alt.Column("attack:N", sort=[str(a) for a in attacks], title=None),
            spacing=10,
        )
    )
    several = len(list(attacked(result))) > 1
    return style.apply_style(drawn.properties(title=str(rows[0]["model"])) if several else drawn)
