"""References of generated texts: a list of texts, or a text that holds one, as exports write it.

Supported are JSON, Python and numpy lists, tuples, and R's `c(...)`, all with quotes around each text. A text
that merely begins with a bracket is one reference. A text that looks like a list but cannot be parsed is
refused, since otherwise its brackets and quotes would be compared with the completion.
"""

from __future__ import annotations

import ast
import json
import re
from math import isnan
from typing import TYPE_CHECKING

from evenhand.errors import plural
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.io.quoted import shorten
from evenhand.tables.values import Column, literal, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FORM = """give a list, or in text a JSON list: '["She left.", "He left."]'"""

_QUOTED = r"""[uU]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_ITEM = rf"(?:(?:np\.|numpy\.)?str_\(\s*{_QUOTED}\s*\)|{_QUOTED}|None|null|NULL|NA|nan|NaN)"
_COMMAS = re.compile(rf"\s*(?:{_ITEM}(?:\s*,\s*{_ITEM})*)?\s*,?\s*", re.DOTALL)
_BLANKS = re.compile(rf"\s*(?:{_ITEM}(?:\s+{_ITEM})*)?\s*", re.DOTALL)
_INNER = re.compile(_QUOTED, re.DOTALL)
_EACH = re.compile(_ITEM, re.DOTALL)
_WRAPPED = re.compile(
    r"\s*(?:np\.|numpy\.)?(?P<name>array|list|c|tuple)?(?P<open>[\[(])(?P<inside>.*)(?P<close>[\])])\s*",
    re.DOTALL,
)
_DTYPE = re.compile(r",\s*dtype=[^,\]]*$")
#: The beginning of a list of texts in quotes, or of a record.
_LISTLIKE = re.compile(
    r"\s*(?:\(?\[+\s*(?:['\"{]|(?:np\.|numpy\.)?str_\()|(?:(?:np\.|numpy\.)?array|list|c|tuple)\([\[(]?\s*['\"]|\{\s*['\"]"
    r"|\(\s*'[^']*'\s*,.*\)\s*$)",
    re.DOTALL,
)
#: Lists as Spark, pandas and Postgres print them, and numbers in brackets.
_PRINTED = re.compile(
    r"\s*(?:(?:WrappedArray|ArraySeq|ArrayBuffer|Vector|Series|Index|Seq|List|Array|Set|set|frozenset|deque)"
    r"\(.*\)|\{.*\}|\[[\s\d.,+-]*\d[\s\d.,+-]*\])\s*",
    re.DOTALL,
)
_BARE_LIST = re.compile(r"\s*\[[^\[\]]*,[^\[\]]*\]\s*", re.DOTALL)
#: Words that exports write for a missing value.
_MISSING = frozenset({"None", "null", "NULL", "Null", "NaN", "nan"})


def parse(text: str) -> tuple[str, ...] | None:
    """Parse the references in a text, without missing and blank ones; None for a list that cannot be read."""
    if not text.strip() or tidy(text) is None or text in _MISSING:
        return ()
    if text.lstrip().startswith('"['):
        text = _unquoted(text)
    items = _json(text)
    if items is None:
        items = _literals(text)
    if items is None:
        if _LISTLIKE.match(text) or _BARE_LIST.fullmatch(text) or _PRINTED.fullmatch(text):
            return None
        return (text,)
    if len(items) == 1 and items[0] is not None and items[0].lstrip().startswith("["):
        return parse(items[0])  # a list that was written as text twice
    return tuple(t for t in items if t is not None and t.strip())


def _unquoted(text: str) -> str:
    """Decode a JSON string; return other texts unchanged."""
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return read if isinstance(read, str) else text


def _json(text: str) -> list[str | None] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        read = json.loads(text)
    except ValueError:
        return None
    if len(read) == 1 and isinstance(read[0], list):
        read = read[0]
    if not all(isinstance(t, str) or t is None or (isinstance(t, float) and isnan(t)) for t in read):
        return None
    return [t if isinstance(t, str) else None for t in read]


def _literals(text: str) -> list[str | None] | None:
    """Parse quoted texts between brackets; None for anything else."""
    match = _WRAPPED.fullmatch(text)
    if match is None or {"[": "]", "(": ")"}[match["open"]] != match["close"]:
        return None
    inside = _DTYPE.sub("", match["inside"]) if match["name"] == "array" else match["inside"]
    if inside.lstrip().startswith(("[", "(")) and inside.rstrip().rstrip(",").endswith(("]", ")")):
        return _literals(inside.strip().rstrip(","))
    if not (_COMMAS.fullmatch(inside) or _BLANKS.fullmatch(inside)):
        return None
    if match["open"] == "(" and match["name"] is None and "," not in inside:
        return None  # a text in brackets and quotes
    items = _EACH.findall(inside)
    if match["open"] == "[" and not items and inside.strip():
        return None
    try:
        return [ast.literal_eval(part[0]) if (part := _INNER.search(item)) else None for item in items]
    except (SyntaxError, ValueError):
        return None


def read_lists(db: DuckDBPyConnection, table: Table, name: str, example: str) -> list[str]:
    """Create the temporary table of each text that may hold references (`raw`) and its list (`texts`).

    Args:
        db: the database.
        table: a staged table.
        name: the column.
        example: SQL for the name of an example.

    Returns:
        Complaints about texts that cannot be read.
    """
    raw = raw_sql(table.columns[name])
    rows = db.execute(f"SELECT DISTINCT {raw} AS v FROM {table.relation} WHERE v IS NOT NULL").fetchall()
    read = {str(v): parse(str(v)) for (v,) in rows}
    wrong = [text for text, texts in read.items() if texts is None]
    if wrong:
        first, text, count = single_row(
            db,
            f"SELECT min(e), arg_min(v, e), count(*) FROM (SELECT {example} AS e, {raw} AS v FROM "
            f"{table.relation}) JOIN (SELECT unnest({_array(wrong)}) AS v) USING (v)",
        )
        return [
            table.complaint(
                f"column '{name}' looks like a list of texts but cannot be read as one in "
                f"{plural(count, 'row')} (first: example '{first}': {shorten(str(text))}); {FORM}."
            )
        ]
    known = {text: list(texts) for text, texts in read.items() if texts is not None}
    db.execute(
        f"CREATE TEMP TABLE {relation_of(table)} AS "
        "SELECT unnest(?::VARCHAR[]) AS raw, unnest(?::VARCHAR[][]) AS texts",
        [list(known), list(known.values())],
    )
    return []


def relation_of(table: Table) -> str:
    """Return the name of the temporary table that `read_lists` creates."""
    return f"texts{table.number}"


def _array(texts: list[str]) -> str:
    return f"[{', '.join(literal(text) for text in texts)}]"


def raw_sql(column: Column) -> str:
    """Return SQL for the text that may hold a list; NULL if the value already is a list of several texts."""
    if not column.is_list:
        return f"CAST({column.sql} AS VARCHAR)"
    element = f"CAST({column.sql}[1] AS VARCHAR)"
    return f"CASE WHEN len({column.sql}) = 1 AND starts_with(ltrim({element}), '[') THEN {element} END"


def texts_sql(column: Column, relation: str) -> str:
    """Return SQL for a row's references without blank ones; `relation` is joined by `raw_sql`."""
    if not column.is_list:
        return f"coalesce({relation}.texts, []::VARCHAR[])"
    elements = f"coalesce(CAST({column.sql} AS VARCHAR[]), []::VARCHAR[])"
    filled = f"[x FOR x IN {elements} IF x IS NOT NULL AND trim(x) <> '']"
    return f"coalesce({relation}.texts, {filled})"
