"""Parts that charts of pages share: units, tooltips, encodings of verdicts and arms, margin, style.

Colours are CSS variables of the page, so that one chart serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from evenhand.report import wording
from evenhand.report.document import VERDICTS, Row, number

NO_VERDICT = "no verdict"
SHAPES = {
    "harm": "triangle-down",
    "undecided": "diamond",
    "help": "triangle-up",
    "harmless": "circle",
    NO_VERDICT: "cross",
}
ARM_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-right")


def unit_factor(metric: object) -> float:
    """Return the factor from values of a metric to the unit shown: 100 for points."""
    return 100.0 if wording.in_points(str(metric)) else 1.0


def in_unit(row: Row, metric: object, *keys: str) -> dict[str, float | None]:
    """Return fields of a row in the unit in which a metric is shown."""
    factor = unit_factor(metric)
    return {k: None if (value := number(row, k)) is None else factor * value for k in keys}


def tooltips(**titles: str) -> list[Any]:
    """Return tooltips of fields, each with its title."""
    import altair as alt  # noqa: PLC0415

    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def verdict_encodings() -> tuple[Any, Any]:
    """Return the colour and the shape of verdicts."""
    import altair as alt  # noqa: PLC0415

    kinds = [*VERDICTS, NO_VERDICT]
    colours, shapes = [css(k) for k in kinds], [SHAPES[k] for k in kinds]
    return (
        alt.Color("verdict:N", legend=None, scale=alt.Scale(domain=kinds, range=colours)),
        alt.Shape("verdict:N", legend=None, scale=alt.Scale(domain=kinds, range=shapes)),
    )


def arm_encodings(names: Sequence[str], legend: Any) -> tuple[Any, Any]:  # noqa: ANN401  (altair's)
    """Return the colour and the shape of arms; from the seventh on, they repeat."""
    import altair as alt  # noqa: PLC0415

    colours = [f"var(--arm{i % 6 + 1})" for i in range(len(names))]
    shapes = [ARM_SHAPES[i % len(ARM_SHAPES)] for i in range(len(names))]
    return (
        alt.Color("arm:N", legend=legend, scale=alt.Scale(domain=list(names), range=colours)),
        alt.Shape("arm:N", legend=legend, scale=alt.Scale(domain=list(names), range=shapes)),
    )


def margin_and_zero(row: Row, channel: Literal["x", "y"], *, clip: bool, **axis: Any) -> list[Any]:  # noqa: ANN401
    """Draw the margin of a comparison, where it has one, and the line of no difference.

    Args:
        row: the comparison.
        channel: the channel of the differences.
        clip: cut the margin off at the edge.
        axis: scale, title and axis of the channel.
    """
    import altair as alt  # noqa: PLC0415

    encode, other = (alt.X, alt.X2) if channel == "x" else (alt.Y, alt.Y2)
    margin, layers = in_unit(row, row["metric"], "margin")["margin"], []
    if margin is not None:
        chart = alt.Chart(alt.InlineData(values=[{"from": -margin, "to": margin}]))
        band = chart.mark_rect(color="var(--band)", opacity=1, clip=clip or alt.Undefined)
        ends = {channel: encode("from:Q", **axis), f"{channel}2": other("to:Q")}
        layers.append(band.encode(**ends))
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color="currentColor", opacity=0.6)
    return [*layers, zero.encode(**{channel: encode("zero:Q", **axis)})]


def css(kind: str) -> str:
    """Name the colour of a verdict, a variable of the page."""
    return f"var(--{kind.replace(' ', '-')})"


def apply_style(chart: Any, *, height: Any) -> dict[str, Any]:  # noqa: ANN401  (any chart; a number or a step)
    """Return the specification of a chart with the style and the width of the page.

    The style is set in the specification: each `configure` of altair would copy the chart with its data.
    """
    quiet = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "titleFontSize": 12,
    }
    lines = {
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "gridColor": "var(--grid)",
        "labelFontSize": 12,
    }
    sides = {"labelLimit": 230, "grid": False, "ticks": False, "domain": False, "labelPadding": 8}
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec.pop("$schema", None)
    return spec | {
        "width": "container",
        "height": height if isinstance(height, int) else height.to_dict(),
        "background": "transparent",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            "view": {**spec["config"]["view"], "stroke": None},
            "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "axis": quiet | lines,
            "axisY": sides,
            "legend": {"labelColor": "currentColor", "labelFontSize": 12, "symbolSize": 70},
        },
    }
