"""Documents as files for machines: JSON, and one flat CSV table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable

from evenhand.judge.documents import without_nan
from evenhand.report.document import Document

_TABLES = (
    *("rates", "disparities", "comparisons", "averages", "collective", "shrunken"),
    *("vulnerability", "stability"),
)

#: Additional tables of generations and likelihoods, and the parts of nested ones.
_FURTHER = ("shares", "options", "inversions", "conclusions", "survival", "variance", "scorings")
#: First characters of formulas in spreadsheets; tabs and line breaks are stripped and may expose one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NESTED = {"quality": ("rates",), "token_bias": ("effects", "priors", "shifts", "rstd")}


def as_json(document: Document) -> str:
    """Write a document as JSON; null stands for NaN, and text is kept as it is (UTF-8)."""
    return json.dumps(without_nan(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(document: Document) -> str:
    """Write the tables of a document as one flat table; the column `table` names the table of a row.

    An empty field stands for null or for a column that the row's table does not have; lists are JSON. A name
    that a spreadsheet would evaluate as a formula gets a leading apostrophe; numbers are unchanged.
    """
    tables = {name: document[name] for name in _TABLES if name in document}
    tables |= {name: document[name] for name in _FURTHER if name in document}
    tables |= {
        f"{name}.{part}": document[name][part]
        for name, parts in _NESTED.items()
        if name in document
        for part in parts
    }
    keys = dict.fromkeys(key for rows in tables.values() for row in rows for key in row)
    lines = [["table", *keys]]
    lines += [[table, *(_field(row.get(k)) for k in keys)] for table, rows in tables.items() for row in rows]
    return "".join(map(csv_line, lines))


def csv_line(values: Iterable[object]) -> str:
    r"""Return a row of CSV that ends in \n; values with line breaks of any kind are quoted."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n") + "\n"


def without_formula(text: str) -> str:
    """Return a text that spreadsheets do not evaluate: a formula gets a leading apostrophe."""
    if not text.startswith(_FORMULA):
        return text
    # A number that begins with a sign is data, not a formula.
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _field(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    return without_formula(value) if isinstance(value, str) else value
