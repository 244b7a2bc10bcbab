"""Select rows of a table by filters of a call and by its column of splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand.errors import nearest
from evenhand.tables.io.database import Table
from evenhand.tables.schema import Columns
from evenhand.tables.values import Column, bare_sql, literal, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SPLIT = "split"


def filter_options(columns: Columns) -> str:
    """Format the filters of a call as on the command line."""
    shown_filters = [f"--where {name}={value}" for name, value in columns.where]
    if columns.split is not None:
        shown_filters.append(f"--split {columns.split}")
    return " ".join(shown_filters) or f"keeping {SPLIT} 'test'"


def selection_sql(
    db: DuckDBPyConnection, table: Table, columns: Columns, *, one_of_many: bool = False
) -> str | list[str]:
    """Return the SQL condition of the selected rows, or complaints.

    Complaints are about columns that do not exist, and about values that no row has unless the table is
    `one_of_many`, of which filters may leave out some; such tables have no split that is selected by default.
    """
    filters = [("--where", name, value) for name, value in columns.where]
    if columns.split is not None:
        filters.append(("--split", SPLIT, columns.split))
    elif not one_of_many and SPLIT in table.columns and SPLIT not in [name for name, _ in columns.where]:
        filters.append(("without --split", SPLIT, "test"))
    complaints, parts = [], []
    for option, name, value in filters:
        if name not in table.columns:
            complaints.append(f"column '{name}' ({option}) not found; {nearest(name, list(table.columns))}")
            continue
        column = table.columns[name]
        if column.is_nested:
            complaints.append(
                f"column '{name}' ({option}) is nested (it holds {column.shape}); give one value per row."
            )
            continue
        test = _equals(column, value)
        if not one_of_many and (len(filters) == 1 or option != "--where"):
            complaints += _complain_without_match(db, table, (option, name, value), test)
        parts.append(f"({test})")
    return complaints or " AND ".join(parts) or "true"


def remarks_on_other_splits(
    db: DuckDBPyConnection, table: Table, columns: Columns, selection: str
) -> list[str]:
    """Remark on selected rows whose examples also occur under another value of the split column.

    Args:
        db: the database.
        table: an opened table, with all its rows.
        columns: how its columns are to be read.
        selection: the SQL condition of the selected rows.
    """
    key_columns = [name for name in (columns.id, columns.arm, columns.run) if name is not None]
    if SPLIT not in table.columns or any(name not in table.columns for name in key_columns):
        return []
    part = table.columns[SPLIT].text_sql
    keys = [table.columns[name].name_sql for name in key_columns]
    named = ", ".join(f"{sql} AS k{i}" for i, sql in enumerate(keys))
    selected_parts = f"SELECT DISTINCT {part} AS part FROM {table.relation} WHERE {selection}"
    apart = f"{part} NOT IN ({selected_parts})"
    if not db.execute(f"SELECT 1 FROM {table.relation} WHERE {apart} LIMIT 1").fetchall():
        return []
    duplicates = db.execute(
        f"SELECT part, count(*), min(k0) FROM (SELECT DISTINCT {named}, {part} AS part FROM {table.relation} "
        f"WHERE {apart}) SEMI JOIN (SELECT {named} FROM {table.relation} WHERE {selection}) "
        f"USING ({', '.join(f'k{i}' for i in range(len(keys)))}) GROUP BY part ORDER BY part"
    ).fetchall()
    if not duplicates:
        return []
    listed = "; ".join(f"{n:,} under '{part}' (first: '{first}')" for part, n, first in duplicates)
    return [
        f"judged examples also occur under other values of column '{SPLIT}': {listed}. A model that was "
        "trained or selected on them is judged on data that it has seen."
    ]


def _equals(column: Column, value: str) -> str:
    """Return SQL for the test that a column equals a value, which the user gives as text."""
    tidied = tidy(value)
    text = bare_sql(f"({column.text_sql})")
    if value.strip().lower() in {"true", "false"}:
        return f"lower({text}) = {literal(value.strip().lower())}"
    if column.type == "BOOLEAN":
        tidied = {"1": "true", "0": "false"}.get(value, value).lower()
    return f"{text} = {literal(value)} OR {text} = {literal(tidied or value)}"


def _complain_without_match(
    db: DuckDBPyConnection, table: Table, criterion: tuple[str, str, str], test: str
) -> list[str]:
    """Complain if no row passes a filter, and suggest an existing value."""
    option, name, value = criterion
    if db.execute(f"SELECT 1 FROM {table.relation} WHERE {test} LIMIT 1").fetchall():
        return []
    text = table.columns[name].text_sql
    rows = db.execute(f"SELECT DISTINCT {text} AS v FROM {table.relation} ORDER BY v LIMIT 1000").fetchall()
    values = [str(v) for (v,) in rows if v is not None]
    if not rows:
        return ["has no rows."]
    what = "the rows that are judged by default" if option == "without --split" else option
    return [f"column '{name}' has no row '{value}' ({what}); {nearest(value, values)}"]
