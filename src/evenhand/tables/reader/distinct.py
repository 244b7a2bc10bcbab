"""Distinct values of columns, and columns as codes into lists of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table, single_row
from evenhand.tables.values import Unreadable, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Distinct:
    """The distinct values of one column.

    Attributes:
        relation: temporary table of (raw, text): each value and its text, without missing ones.
        counts: number of rows by text, as normalized by `tidy`.
        missing: number of rows without a value.
    """

    relation: str
    counts: Mapping[str, int]
    missing: int


def distinct(db: DuckDBPyConnection, table: Table, column: str, limit: int) -> Distinct:
    """Read the distinct values of a column.

    Raises:
        Unreadable: the column has more than `limit`.
    """
    sql = table.columns[column].sql
    text = replace(table.columns[column], identifier="raw").text_sql
    # At most limit + 1 distinct values leave the database, however many rows the table has.
    relation = f"d{table.number}_{sql}"
    db.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {relation} AS SELECT raw, {text} AS text, n "
        f"FROM (SELECT {sql} AS raw, count(*) AS n FROM {table.relation} GROUP BY {sql}) LIMIT {limit + 1}"
    )
    counts: dict[str, int] = {}
    missing = 0
    rows = db.execute(f"SELECT text, n FROM {relation} ORDER BY text").fetchall()
    if len(rows) > limit:
        raise Unreadable(f"more than {limit} different values")
    for value, n in rows:
        name = tidy(value)
        if name is None:
            missing += n
        else:
            counts[name] = counts.get(name, 0) + n
    return Distinct(relation, counts, missing)


def code(db: DuckDBPyConnection, values: Distinct, codes: Mapping[str, int], relation: str) -> str:
    """Create the temporary table `relation` of (raw, code), and return its name."""
    rows = db.execute(f"SELECT DISTINCT text FROM {values.relation} WHERE text IS NOT NULL").fetchall()
    known = [(text, codes[name]) for (text,) in rows if (name := tidy(text)) is not None and name in codes]
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT raw, code FROM {values.relation} JOIN "
        "(SELECT unnest(?::VARCHAR[]) AS text, unnest(?::SMALLINT[]) AS code) USING (text)",
        [[text for text, _ in known], [number for _, number in known]],
    )
    return relation


def parse_numbers(db: DuckDBPyConnection, table: Table, names: Sequence[str]) -> Table:
    """Convert text columns of a staged table to numbers where every value is one.

    Later steps read them several times, and parsing text is the slowest part. A column with a value that is
    not a number remains text, so that the complaint can quote it.
    """
    if not table.staged:
        return table
    columns = dict(table.columns)
    for name in names:
        column = columns[name]
        if column.type != "VARCHAR":
            continue
        for number in (f"TRY_CAST({column.sql} AS DOUBLE)", column.number_sql):
            odd = f"{number} IS NULL OR NOT isfinite({number})"
            if not single_row(db, f"SELECT count(*) FILTER ({odd}) FROM {table.relation}")[0]:
                db.execute(f"ALTER TABLE {table.relation} ALTER {column.sql} TYPE DOUBLE USING {number}")
                columns[name] = replace(column, type="DOUBLE")
                break
    return replace(table, columns=columns)
