"""Determine the columns and rows of a table that are needed, and check that it has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evenhand.errors import nearest
from evenhand.tables.io.database import Table, literal
from evenhand.tables.predictions.scores import match_columns, score_columns
from evenhand.tables.schema import Columns
from evenhand.tables.values import bare_sql, is_list, is_nested, name_sql, shape_of, text_sql, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SPLIT = "split"


def needed_columns(
    table: Table, columns: Columns, *, several: bool, scored: bool = True
) -> tuple[list[str], list[str]]:
    """List the needed columns, and complain of missing and nested ones.

    Args:
        table: an opened table.
        columns: how its columns are to be read.
        several: True if there are other tables, so that rows are paired by id.
        scored: True if scores are read.
    """
    known = list(table.columns)
    scores = score_columns(table, columns) if scored else ()
    complaints: dict[str, None] = {}
    single = [name for name in (columns.id, columns.prediction) if name in table.columns]
    for option, name in _required(table, columns, several=several):
        single.append(name)
        if name in table.flaws:
            complaints[f"column '{name}' ({option}) {table.flaws[name]}"] = None
        elif name not in table.columns:
            also = " (and no scores)" if option == "--prediction" and not scores else ""
            why = " (it pairs the rows of arms and runs)" if option == "--id" else ""
            complaints[f"column '{name}' ({option}) not found{also}{why}; {nearest(name, known)}"] = None
    for pattern in columns.memberships:
        names = match_columns(pattern, known)
        single += names
        if not names:
            complaints[f"--memberships '{pattern}' matches no column; {nearest(pattern, known)}"] = None
    if columns.score is not None and not score_columns(table, columns):
        complaints[f"column '{columns.score}' (--score) not found; {nearest(columns.score, known)}"] = None
    complaints |= dict.fromkeys(_nested(table, single, scores))
    return [n for n in dict.fromkeys((*single, *scores)) if n in table.columns], list(complaints)


def _required(table: Table, columns: Columns, *, several: bool) -> list[tuple[str, str]]:
    """List (option, column) of every required column."""
    required: list[tuple[str, str | None]] = [("--label", columns.label)]
    required += [("--by", name) for name in columns.by]
    required += [("--intersect", name) for names in columns.intersect for name in names]
    required += [("--weight", columns.weight), ("--cluster", columns.cluster)]
    required += [("--arm", columns.arm), ("--run", columns.run)]
    if columns.prediction != "prediction" or not score_columns(table, columns):
        required.append(("--prediction", columns.prediction))
    if columns.id != "example_id" or several or columns.arm is not None or columns.run is not None:
        required.append(("--id", columns.id))
    return [(option, name) for option, name in required if name is not None]


def _nested(table: Table, single: Sequence[str], scores: Sequence[str]) -> list[str]:
    """Complain of columns whose values are lists or records where one value is needed."""
    complaints = []
    for name in dict.fromkeys((*single, *scores)):
        kind = table.types.get(name, "")
        if not is_nested(kind) or (name not in single and len(scores) == 1 and is_list(kind)):
            continue
        allowed = "give one value per row" if name in single else "give a number, or a list of numbers"
        complaints.append(f"column '{name}' is nested (it holds {shape_of(kind)}); {allowed}.")
    return complaints


def filter_options(columns: Columns) -> str:
    """Format the filters of a call as on the command line."""
    shown_filters = [f"--where {name}={value}" for name, value in columns.where]
    if columns.split is not None:
        shown_filters.append(f"--split {columns.split}")
    return " ".join(shown_filters) or f"keeping {SPLIT} 'test'"


def selection_sql(
    db: DuckDBPyConnection, table: Table, columns: Columns, *, must_match: bool = True
) -> str | list[str]:
    """Return the SQL condition of the selected rows, or complaints.

    Complaints are about columns that do not exist and, with `must_match`, values that no row has.
    """
    filters = [("--where", name, value) for name, value in columns.where]
    if columns.split is not None:
        filters.append(("--split", SPLIT, columns.split))
    elif SPLIT in table.columns and SPLIT not in [name for name, _ in columns.where]:
        filters.append(("without --split", SPLIT, "test"))
    complaints, parts = [], []
    for option, name, value in filters:
        if name not in table.columns:
            complaints.append(f"column '{name}' ({option}) not found; {nearest(name, list(table.columns))}")
            continue
        sql, kind = table.columns[name], table.types[name]
        if is_nested(kind):
            complaints.append(
                f"column '{name}' ({option}) is nested (it holds {shape_of(kind)}); give one value per row."
            )
            continue
        test = _equals(sql, kind, value)
        if must_match and (len(filters) == 1 or option != "--where"):
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
    part = text_sql(table.columns[SPLIT], table.types[SPLIT])
    keys = [name_sql(table.columns[name], table.types[name]) for name in key_columns]
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


def _equals(sql: str, kind: str, value: str) -> str:
    """Return SQL for the test that a column equals a value, which the user gives as text."""
    tidied = tidy(value)
    text = bare_sql(f"({text_sql(sql, kind)})")
    if value.strip().lower() in {"true", "false"}:
        return f"lower({text}) = {literal(value.strip().lower())}"
    if kind == "BOOLEAN":
        tidied = {"1": "true", "0": "false"}.get(value, value).lower()
    return f"{text} = {literal(value)} OR {text} = {literal(tidied or value)}"


def _complain_without_match(
    db: DuckDBPyConnection, table: Table, criterion: tuple[str, str, str], test: str
) -> list[str]:
    """Complain if no row passes a filter, and suggest an existing value."""
    option, name, value = criterion
    if db.execute(f"SELECT 1 FROM {table.relation} WHERE {test} LIMIT 1").fetchall():
        return []
    text = text_sql(table.columns[name], table.types[name])
    rows = db.execute(f"SELECT DISTINCT {text} AS v FROM {table.relation} ORDER BY v LIMIT 1000").fetchall()
    values = [str(v) for (v,) in rows if v is not None]
    if not rows:
        return ["has no rows."]
    what = "the rows that are judged by default" if option == "without --split" else option
    return [f"column '{name}' has no row '{value}' ({what}); {nearest(value, values)}"]
