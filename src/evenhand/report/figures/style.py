"""The look of figures on paper: colours that hold for the colour-blind, and shapes beside every colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evenhand.report.charts import ARM_SHAPES, NO_VERDICT, SHAPES
from evenhand.report.document import VERDICTS

INK, MUTED, RULE, GRID, BAND = "#1b1f24", "#5b6470", "#b9c0c9", "#eaedf1", "#e6eaf0"

#: Of arms, the reference first; dark and light alternate, so that they stay apart in grey too.
ARM_COLOURS = ("#1b1f24", "#d55e00", "#0072b2", "#009e73", "#aa4499", "#b08a00")

#: Of verdicts, in the order of `kinds`.
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
    """Give the scales of colour and shape of arms; from seven on, colours meet other shapes.

    Args:
        names: the arms.
        first: place of the first one; candidates without their reference begin at 1.
    """
    import altair as alt  # noqa: PLC0415

    many, places = len(ARM_COLOURS), range(first, first + len(names))
    colours = [ARM_COLOURS[i % many] for i in places]
    shapes = [ARM_SHAPES[(i + i // many) % len(ARM_SHAPES)] for i in places]
    return alt.Scale(domain=list(names), range=colours), alt.Scale(domain=list(names), range=shapes)


def verdict_scales() -> tuple[Any, Any]:
    """Give the scales of colour and shape of verdicts."""
    import altair as alt  # noqa: PLC0415

    kinds = [*VERDICTS, NO_VERDICT]
    colours = alt.Scale(domain=kinds, range=[VERDICT_COLOURS[k] for k in kinds])
    return colours, alt.Scale(domain=kinds, range=[SHAPES[k] for k in kinds])


def legend(names: Sequence[str]) -> Any:  # noqa: ANN401  (altair's)
    """Give a legend above the panels, as wide as a page; none for a single arm."""
    import altair as alt  # noqa: PLC0415

    if len(names) < 2:
        return None
    widest = 30 + 0.55 * FONT_SIZE * max(map(len, names))
    columns = max(min(int(500 // widest), 6), 1)
    return alt.Legend(orient="top", title=None, columns=columns, symbolOpacity=1, labelLimit=480)


def dressed(chart: Any) -> dict[str, Any]:  # noqa: ANN401  (any chart)
    """Give a chart the look of all figures, as a specification."""
    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": FONT_SIZE, "titleFontSize": FONT_SIZE}
    lines = {"domainColor": RULE, "tickColor": RULE, "gridColor": GRID, "tickSize": 3, "labelPadding": 2}
    spec: dict[str, Any] = (
        chart.properties(background="white", padding=6)
        .configure(font="Liberation Sans, Arial, Helvetica, sans-serif")
        .configure_axis(**text, **lines, titleFontWeight="normal", titlePadding=4, labelLimit=160)
        .configure_legend(labelColor=INK, labelFontSize=FONT_SIZE, symbolSize=45, columnPadding=10, offset=4)
        .configure_title(fontSize=FONT_SIZE + 1, color=INK, fontWeight="bold", anchor="start", offset=4)
        .configure_header(labelFontSize=FONT_SIZE, labelColor=INK, titleFontSize=FONT_SIZE)
        .configure_view(stroke=None)
        .configure_concat(spacing=14)
        .to_dict(validate=False)
    )
    return spec
