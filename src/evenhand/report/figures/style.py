"""Style of printed figures: colours for the colour-blind, each with its own shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evenhand.report.document import VERDICTS
from evenhand.report.encodings import ARM_SHAPES, NO_VERDICT, SHAPES

Spec = dict[str, Any]

INK, MUTED, RULE, GRID, BAND = "#1b1f24", "#5b6470", "#b9c0c9", "#eaedf1", "#e6eaf0"

#: Colours of arms, the reference first; dark and light alternate, so that they differ in grey too.
ARM_COLOURS = ("#1b1f24", "#d55e00", "#0072b2", "#009e73", "#aa4499", "#b08a00")

#: Colours of verdicts.
VERDICT_COLOURS = {
    "harm": "#c2410c",
    "undecided": "#6b7280",
    "help": "#1d62b5",
    "harmless": "#0f7f66",
    NO_VERDICT: "#9aa2ad",
}

#: Vega-Lite's sizes are pixels; 504 of them are the seven inches of a page's width.
FONT_SIZE = 9


def arm_scales(names: Sequence[str], *, first: int = 0) -> tuple[Any, Any]:
    """Return the scales of colour and shape of arms; from the seventh on, colours repeat with other shapes.

    Args:
        names: the arms.
        first: index of the first one; candidates without their reference begin at 1.
    """
    import altair as alt  # noqa: PLC0415

    many, positions = len(ARM_COLOURS), range(first, first + len(names))
    colours = [ARM_COLOURS[i % many] for i in positions]
    shapes = [ARM_SHAPES[(i + i // many) % len(ARM_SHAPES)] for i in positions]
    return alt.Scale(domain=list(names), range=colours), alt.Scale(domain=list(names), range=shapes)


def verdict_scales() -> tuple[Any, Any]:
    """Return the scales of colour and shape of verdicts."""
    import altair as alt  # noqa: PLC0415

    kinds = [*VERDICTS, NO_VERDICT]
    colours = alt.Scale(domain=kinds, range=[VERDICT_COLOURS[k] for k in kinds])
    return colours, alt.Scale(domain=kinds, range=[SHAPES[k] for k in kinds])


def legend(names: Sequence[str]) -> Any:  # noqa: ANN401  (altair's)
    """Return a legend above the panels, as wide as a page; none for a single arm."""
    import altair as alt  # noqa: PLC0415

    if len(names) < 2:
        return None
    widest = 30 + 0.55 * FONT_SIZE * max(map(len, names))
    columns = max(min(int(500 // widest), 6), 1)
    return alt.Legend(orient="top", title=None, columns=columns, symbolOpacity=1, labelLimit=480)


def concatenate(panels: Iterable[Any], *, columns: int = 1, **fields: Any) -> Spec:  # noqa: ANN401
    """Return the specification of charts arranged in lines of `columns` charts.

    The functions of altair copy all charts deeply each time some are combined, which took two thirds of the
    time of figures with many panels.

    Args:
        panels: charts, or specifications.
        columns: of a line.
        fields: of the whole, such as its title.
    """
    return {"concat": [_plain(p) for p in panels], "columns": columns, **fields}


def _plain(chart: Any) -> Spec:  # noqa: ANN401  (any chart)
    import altair as alt  # noqa: PLC0415

    if isinstance(chart, dict):
        return chart
    with alt.data_transformers.enable(consolidate_datasets=False):  # data stay inline
        spec: Spec = chart.to_dict(validate=False, context={"top_level": False})
    return spec


def apply_style(chart: Any) -> Spec:  # noqa: ANN401  (any chart)
    """Return the specification of a chart, or a specification, with the style of all figures."""
    import altair as alt  # noqa: PLC0415

    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": FONT_SIZE, "titleFontSize": FONT_SIZE}
    lines = {"domainColor": RULE, "tickColor": RULE, "gridColor": GRID, "tickSize": 3, "labelPadding": 2}
    legend = {
        "labelColor": INK,
        "labelFontSize": FONT_SIZE,
        "symbolSize": 45,
        "columnPadding": 10,
        "offset": 4,
    }
    title = {"fontSize": FONT_SIZE + 1, "color": INK, "fontWeight": "bold", "anchor": "start", "offset": 4}
    config = {
        "font": "Liberation Sans, Arial, Helvetica, sans-serif",
        "axis": {**text, **lines, "titleFontWeight": "normal", "titlePadding": 4, "labelLimit": 160},
        "legend": legend,
        "title": title,
        "header": {"labelFontSize": FONT_SIZE, "labelColor": INK, "titleFontSize": FONT_SIZE},
        "view": {"stroke": None},
        "concat": {"spacing": 14},
    }
    look = {"$schema": alt.SCHEMA_URL, "background": "white", "padding": 6, "config": config}
    return look | _plain(chart)
