"""Quote the values of a user's table that break a rule, for complaints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.errors import plural
from evenhand.tables.io.database import Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MAX_VALUES, _MAX_LENGTH = 3, 80


def shorten(text: str, longest: int = _MAX_LENGTH) -> str:
    """Cut a text that is too long for a sentence."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def quoted(db: DuckDBPyConnection, table: Table, name: str, test: str) -> str:
    """Quote the values of a column in the rows that meet a condition, the most frequent ones first.

    Args:
        db: the database.
        table: a staged table.
        name: the column.
        test: a condition in SQL, as `offending` takes it.

    Returns:
        For example `'inf', 'n/a' and 4 other values`; a missing value is `nothing`.
    """
    text = f"CAST({table.columns[name].sql} AS VARCHAR)"
    rows = db.execute(
        f"SELECT v, count(*) OVER () FROM (SELECT {text} AS v, count(*) AS n FROM {table.relation} "
        f"WHERE {test} GROUP BY v) ORDER BY n DESC, v LIMIT {_MAX_VALUES}"
    ).fetchall()
    listed = ", ".join("nothing" if v is None else f"'{shorten(str(v))}'" for v, _ in rows)
    others = int(rows[0][1]) - len(rows) if rows else 0
    return f"{listed} and {plural(others, 'other value')}" if others else listed
