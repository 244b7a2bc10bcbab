"""What a value of a column means: the same text, number, flag or name in every format.

CSV has text only, parquet has types; `1`, `1.0` and an integer 1 are one value in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.tables.database import Table, Unreadable, single_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_MISSING = frozenset({"", "nan", "NaN", "<NA>"})
_MISSING_SQL = "('', 'nan', 'NaN', '<NA>')"
_FLOATS = ("FLOAT", "DOUBLE", "DECIMAL", "HALF")
_NESTED = re.compile(r"STRUCT|MAP|UNION|\[|LIST|VARIANT")
_INTEGERS = frozenset(["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"])


@dataclass(frozen=True)
class Distinct:
    """The different values of one column.

    Attributes:
        relation: temporary table of (raw, text): each value and its text, without missing ones.
        counts: rows by text, as `tidy` leaves it.
        missing: number of rows without a value.
    """

    relation: str
    counts: Mapping[str, int]
    missing: int


def is_nested(kind: str) -> bool:
    """Whether a SQL type holds more than one value."""
    return _NESTED.search(kind) is not None


def is_list(kind: str) -> bool:
    """Whether a SQL type is a list of single values."""
    return kind.endswith("]") and kind.count("[") == 1 and not kind.startswith(("STRUCT", "MAP", "UNION"))


def is_integer(kind: str) -> bool:
    """Whether a SQL type holds integers of at most 64 bits."""
    return kind in _INTEGERS


def tidy(text: str | None) -> str | None:
    """The text that stands for a value in every format; None when the value is missing.

    Integers lose their `.0`, and Python's `True` becomes `true`; all other text stays as it is.
    """
    if text is None or text in _MISSING:
        return None
    if text in {"True", "False"}:
        return text.lower()
    whole = _WHOLE.fullmatch(text)
    return text if whole is None else ("0" if whole[1] == "-0" else whole[1])


def text_sql(sql: str, kind: str) -> str:
    """SQL for the text of a value."""
    if kind.startswith(_FLOATS):
        number = f"CAST({sql} AS DOUBLE)"
        return (
            f"CASE WHEN isnan({number}) THEN NULL WHEN abs({number}) < 1e15 AND {number} = trunc({number}) "
            f"THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE CAST({sql} AS VARCHAR) END"
        )
    return f"CAST({sql} AS VARCHAR)"


def name_sql(sql: str, kind: str) -> str:
    """SQL for the text of a name of a row (an id, a cluster); NULL when it is missing."""
    if kind != "VARCHAR":
        return text_sql(sql, kind)
    return (
        f"CASE WHEN {sql} IN {_MISSING_SQL} THEN NULL "
        f"WHEN suffix({sql}, '.0') AND regexp_full_match({sql}, '-?(0|[1-9][0-9]*)\\.0') "
        f"THEN left({sql}, length({sql}) - 2) ELSE {sql} END"
    )


def missing_sql(sql: str, kind: str) -> str:
    """SQL for whether there is no value."""
    if kind.startswith(_FLOATS):
        return f"({sql} IS NULL OR isnan(CAST({sql} AS DOUBLE)))"
    return f"({sql} IS NULL OR CAST({sql} AS VARCHAR) IN {_MISSING_SQL})"


def example_sql(table: Table, column: str) -> str:
    """SQL for the name of a row's example; NULL when the table has no such column."""
    return name_sql(table.columns[column], table.types[column]) if column in table.columns else "NULL"


def offending(
    db: DuckDBPyConnection, table: Table, tests: Sequence[str], example: str
) -> list[tuple[int, str]]:
    """For every test, how many rows it is true of, and the first of them for a sentence.

    Args:
        db: the database.
        table: a staged table.
        tests: conditions in SQL.
        example: SQL for the name of an example, or NULL.
    """
    if not tests:
        return []
    parts = ", ".join(f"count(*) FILTER ({test})" for test in tests)
    counts = single_row(db, f"SELECT {parts} FROM {table.relation}")
    found = []
    for test, count in zip(tests, counts, strict=True):
        first = ""
        if count and example != "NULL":
            (name,) = single_row(db, f"SELECT min({example}) FROM {table.relation} WHERE {test}")
            first = f" (first: example '{name}')" if name is not None else ""
        found.append((int(count), first))
    return found


def number_sql(sql: str, kind: str) -> str:
    """SQL for a number; NULL where there is none."""
    if kind == "VARCHAR":
        return f"TRY_CAST(trim({sql}) AS DOUBLE)"
    return f"TRY_CAST({sql} AS DOUBLE)"


def flag_sql(sql: str, kind: str) -> str:
    """SQL for 0 or 1; NULL where the value is neither."""
    text = f"lower(trim({text_sql(sql, kind)}))"
    return f"CASE WHEN {text} IN ('1', 'true', '1.0') THEN 1 WHEN {text} IN ('0', 'false', '0.0') THEN 0 END"


def distinct(db: DuckDBPyConnection, table: Table, column: str, limit: int) -> Distinct:
    """Read the different values of a column.

    Raises:
        Unreadable: there are more than `limit`.
    """
    sql, kind = table.columns[column], table.types[column]
    relation = f"d{table.number}_{sql}"
    db.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {relation} AS SELECT raw, {text_sql('raw', kind)} AS text, n "
        f"FROM (SELECT {sql} AS raw, count(*) AS n FROM {table.relation} GROUP BY {sql}) LIMIT {limit + 1}"
    )
    counts: dict[str, int] = {}
    missing = 0
    rows = db.execute(f"SELECT text, n FROM {relation} ORDER BY text").fetchall()
    if len(rows) > limit:
        raise Unreadable(f"more than {limit} different values")
    for text, n in rows:
        name = tidy(text)
        if name is None:
            missing += n
        else:
            counts[name] = counts.get(name, 0) + n
    return Distinct(relation, counts, missing)


def code(db: DuckDBPyConnection, values: Distinct, codes: Mapping[str, int], relation: str) -> str:
    """Make the temporary table `relation` of (raw, code) and return its name."""
    rows = db.execute(f"SELECT DISTINCT text FROM {values.relation} WHERE text IS NOT NULL").fetchall()
    known = [(text, codes[name]) for (text,) in rows if (name := tidy(text)) is not None and name in codes]
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT raw, code FROM {values.relation} JOIN "
        "(SELECT unnest(?::VARCHAR[]) AS text, unnest(?::SMALLINT[]) AS code) USING (text)",
        [[text for text, _ in known], [number for _, number in known]],
    )
    return relation


def in_order(names: Iterable[str]) -> list[str]:
    """Different names, as numbers when all are numbers, else as text."""
    found = sorted(set(names))
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def shown(values: Iterable[str], most: int = 10) -> str:
    """A list for a sentence."""
    listed = list(values)
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(f"'{v}'" for v in listed[:most]) + more
