"""Charts of shares of answers by template: rows of answers.py in, Vega-Lite specifications out."""

from __future__ import annotations

from typing import Any

from evenhand.report.document import number, unique
from evenhand.report.figures import style
from evenhand.report.figures import wording as figure_wording
from evenhand.report.figures.charts import WIDEST
from evenhand.report.figures.data import Rows, split
from evenhand.report.figures.style import Spec

#: Pixels: height of a page, frame above and below the lines of a block, width of the line labels.
_TALLEST, _FRAME, _NAMES = 680, 62, 170


def pages(rows: Rows) -> list[Rows]:
    """Divide the rows that are drawn into pages of whole templates."""
    drawn = [r for r in rows if r["column"] is not None]
    result: list[Rows] = []
    left = 0.0
    for block in _blocks(drawn):
        height = _FRAME + _step(drawn) * len(unique(block, "line"))
        if not result or height > left:
            result.append([])
            left = _TALLEST
        result[-1] += block
        left -= height
    return result


def _blocks(rows: Rows) -> list[Rows]:
    return split(rows, "model", "template")


def _step(rows: Rows) -> float:
    """Return the height of a line in pixels: its arms are drawn below each other."""
    return 3.6 * len(unique(rows, "arm")) + 5


def by_template(rows: Rows) -> Spec:
    """P10, P11: a block per template, a line per variant or twin, a panel per option or outcome."""
    names = [str(a) for a in unique(rows, "arm")]
    several, step = len(unique(rows, "model")) > 1, _step(rows)
    blocks = []
    for block in _blocks(rows):
        lines, columns = [str(x) for x in unique(block, "line")], [str(x) for x in unique(block, "column")]
        width = min(150, (WIDEST - _NAMES) / len(columns) - 14)
        panels = [
            _panel([r for r in block if r["column"] == c], lines, names, named=i == 0).properties(
                width=width, height=step * len(lines), title=_head(c)
            )
            for i, c in enumerate(columns)
        ]
        title = figure_wording.panel_title(str(block[0]["model"]), block[0]["template"], several=several)
        blocks.append(style.concatenate(panels, columns=len(panels), spacing=12, title=title))
    return style.apply_style(style.concatenate(blocks))


def _head(text: str) -> Any:  # noqa: ANN401
    import altair as alt  # noqa: PLC0415

    return alt.TitleParams(text, fontWeight="normal", anchor="middle", limit=150)


def _panel(rows: Rows, lines: list[str], names: list[str], *, named: bool) -> Any:  # noqa: ANN401
    import altair as alt  # noqa: PLC0415

    values = []
    for row in rows:
        shown = {k: None if (v := number(row, k)) is None else 100 * v for k in ("value", "low", "high")}
        if shown["value"] is not None:
            values.append({"line": row["line"], "arm": str(row["arm"]), **shown})
    colours, shapes = style.arm_scales(names)
    mark = style.legend(names)
    side = alt.Axis(labels=named, ticks=False, domain=False, labelPadding=6, grid=False, labelLimit=_NAMES)
    y = alt.Y("line:N", sort=lines, title=None, axis=side, scale=alt.Scale(domain=lines))
    offset = alt.YOffset("arm:N", sort=names, scale=alt.Scale(domain=names, paddingOuter=0.5))
    ruled, full_scale = alt.Axis(values=[0, 50, 100], grid=True), alt.Scale(domain=[0, 100], nice=False)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=y, yOffset=offset, color=alt.Color("arm:N", scale=colours, legend=mark)
    )
    low = alt.X("low:Q", title=figure_wording.SHARE_AXIS, axis=ruled, scale=full_scale)
    bars = base.mark_rule(strokeWidth=1.2).encode(x=low, x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=22, opacity=1).encode(
        x=alt.X("value:Q", title=figure_wording.SHARE_AXIS, axis=ruled, scale=full_scale),
        shape=alt.Shape("arm:N", scale=shapes, legend=mark),
    )
    return alt.layer(bars, points)
