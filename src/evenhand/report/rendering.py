"""Building blocks of all pages: cells, tables, panels, and rendering to one HTML document that opens offline.

Every text of a file or a user reaches a page through the template's autoescaping; chart specs are
embedded as JSON whose `<`, `>`, `&` and `'` are written as escapes, so that no name can end a script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from evenhand.errors import CallError
from evenhand.store import cache as cached
from evenhand.tables.io.write import write_atomic

_USE = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: the content.
        sort: value to sort by; if empty, the text.
        css: classes.
        title: tooltip.
    """

    text: str
    sort: float | str = ""
    css: str = ""
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption; a row's first cell is its header."""

    caption: str
    head: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: heading.
        note: remark below the chart, such as on omitted rows; may be empty.
        description: text alternative.
        spec: Vega-Lite specification.
    """

    title: str
    note: str
    description: str
    spec: dict[str, Any]


def figure(value: float | None, text: str, *, css: str = "", title: str = "") -> Cell:
    """Return a cell with a number: shown as `text`, sorted by `value`."""
    return Cell(text, "" if value is None else value, f"figure {css}".strip(), title)


def build_table(caption: str, names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """Make a table; headings are aligned like the cells of the first row."""
    first = rows[0] if rows else [Cell("")] * len(names)
    css = ("figure" if "figure" in cell.css else "" for cell in first)
    return Table(caption, [Cell(name, css=c) for name, c in zip(names, css, strict=True)], rows)


def render(template: str, view: Mapping[str, Any]) -> str:
    """Render a template of this package as a complete HTML document without external references.

    Args:
        template: its file name.
        view: its variables.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    loader = PackageLoader("evenhand.report", "templates")
    jinja = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return jinja.get_template(template).render(view, vega=_vega())


@contextmanager
def fast_charts() -> Iterator[None]:
    """Disable altair's schema validation, which takes half of the time of a page."""
    from altair.utils import schemapi  # noqa: PLC0415

    with schemapi.debug_mode(False):
        yield


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that is safe inside a page."""
    from markupsafe import Markup  # noqa: PLC0415

    # Inside <script>, only these two sequences can end or nest a script.
    return Markup(_bundled().replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _bundled() -> str:
    """Return the script; bundling takes two seconds, so the result is cached per user if possible."""
    import vl_convert  # noqa: PLC0415

    path = cached.root() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, ValueError):
        digest, _, stored = path.read_bytes().decode().partition("\n")
        # The digest detects a file that was cut or edited; then the script is bundled again.
        if digest == hashlib.sha256(stored.encode()).hexdigest():
            return stored
    script: str = vl_convert.javascript_bundle(_USE)
    with suppress(OSError, CallError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, f"{hashlib.sha256(script.encode()).hexdigest()}\n{script}")
    return script
