"""Align rows of several tables by key: columns on which arms and runs must agree, and the answers of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import TableError
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.io.quoted import shorten
from evenhand.tables.schema import Attribute, BoolArray, Columns, Input
from evenhand.tables.values import Distinct

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class RunTable:
    """One table that has passed the checks that do not need another table.

    Attributes:
        table: the needed columns of the selected rows.
        rows: number of selected rows.
        field_columns: the column of each field that it has.
        groups: values of each partition column.
        members: columns of each membership pattern.
        pairs: its arms and runs: (raw arm, raw run, arm, run), raw texts None without such a column.
    """

    table: Table
    rows: int
    field_columns: Mapping[str, str]
    groups: Mapping[str, Distinct]
    members: Mapping[str, tuple[str, ...]]
    pairs: tuple[tuple[str | None, str | None, str, str], ...]


@dataclass(frozen=True)
class AlignedTable:
    """Aligned answers of all arms and runs, one row per key.

    Attributes:
        places: the (arm, run) of each row of the answers.
        columns: arrays by name: [n] of keys and shared columns, [places, n] of answers.
        attributes: the groups.
        inputs: the tables that were read.
        problems: remarks on the data that do not prevent the audit.
        present: [places, n] True if a run has the row; all True unless runs have rows of their own.
    """

    places: tuple[tuple[str, str], ...]
    columns: Mapping[str, Any]
    attributes: tuple[Attribute, ...]
    inputs: tuple[Input, ...]
    problems: tuple[str, ...]
    present: BoolArray


def align(  # noqa: PLR0913  (one argument per property of the rows)
    db: DuckDBPyConnection,
    union: str,
    places: Sequence[tuple[str, str]],
    columns: Columns,
    title: str,
    *,
    key: Sequence[str],
    unit: Sequence[str],
    shared: Mapping[str, str],
    answers: Sequence[str],
    titles: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Any], BoolArray, list[str]]:
    """Read the aligned rows in the order of their keys.

    Args:
        db: the database.
        union: SQL for the rows of all tables, with the index `k` of their (arm, run) in `places`.
        places: the arms and runs.
        columns: options of the call: `inner`, `resplit`, and column names for advice.
        title: noun for the rows in complaints.
        key: columns that identify a row.
        unit: key columns that identify rows which are selected or left out together.
        shared: columns on which arms and runs must agree, with their names in complaints.
        answers: columns in which they may differ.
        titles: names of the tables.
        groups: names of the groups, for shared columns of codes.

    Returns:
        Columns by name, [places, n] True if a run has the row, and remarks.

    Raises:
        TableError: keys occur twice, or arms and runs differ in their keys or in shared columns.
    """
    quoted = [f'"{k}"' for k in key]
    fields = [*quoted, "count(*) AS n_rows", "count(DISTINCT k) AS n_places"]
    # min and max of a shared column within a key differ exactly where tables disagree on it.
    for name in shared:
        fields += [
            f'min("{name}") AS "{name}"',
            f'min("{name}") IS DISTINCT FROM max("{name}") AS "differs_{name}"',
        ]
    for k in range(len(places)):
        fields.append(f"bool_or(k = {k}) AS present{k}")
        fields += [f'any_value("{a}") FILTER (WHERE k = {k}) AS "{a}{k}"' for a in answers]
    db.execute(
        f"CREATE TEMP TABLE merged AS SELECT {', '.join(fields)} FROM ({union}) GROUP BY {', '.join(quoted)}"
    )
    first = f"min({_key_sql(key)})"
    complaints = []
    twice, example = _count_rows(db, "n_rows > n_places", first)
    if twice:
        complaints.append(_describe_repeated(twice, example, key, columns, titles))
    for name, label in shared.items():
        differing, example = _count_rows(db, f'"differs_{name}"', first)
        if differing:
            values = _quote_difference(db, union, key, name, example, places, groups.get(name))
            complaints.append(
                f"The arms and runs differ in '{label}' for {differing:,} rows (first: {example}: {values}); "
                "every table must have the same value for a row."
            )
    part = ", ".join(f'"{w}"' for w in unit)
    # A unit (an example with all its options, say) is complete only if all of its rows are.
    gaps = _missing_sql(places, resplit=columns.resplit)
    db.execute(
        "CREATE TEMP VIEW flagged AS SELECT *, "
        f"NOT bool_or({' OR '.join(gaps)}) OVER (PARTITION BY {part}) AS is_complete FROM merged"
    )
    lacking, _ = _count_rows(db, " OR ".join(gaps), first)
    left = int(single_row(db, "SELECT count(*) FILTER (is_complete) FROM flagged")[0])
    if lacking and (not columns.inner or not left):
        complaints.append(
            _describe_missing(db, places, gaps, title, first, None if columns.resplit else left)
        )
    if complaints:
        raise TableError(complaints)
    total = int(single_row(db, "SELECT count(*) FROM merged")[0])
    order = ", ".join(quoted)
    fetched: dict[str, Any] = db.execute(
        f"SELECT * FROM flagged WHERE is_complete ORDER BY {order}"
    ).fetchnumpy()
    aligned = {name: fetched[name] for name in (*key, *shared)}
    aligned |= {a: np.ma.stack([fetched[f"{a}{k}"] for k in range(len(places))]) for a in answers}
    remark = f"{total - left:,} of {total:,} rows are not in every arm and run and were left out (--inner)."
    present = np.stack([np.ma.filled(fetched[f"present{k}"], False) for k in range(len(places))]).astype(
        np.bool_
    )
    return aligned, present, [remark] if lacking else []


def _missing_sql(places: Sequence[tuple[str, str]], *, resplit: bool) -> list[str]:
    """Return SQL for the test that a run lacks a row that it should have, for each (arm, run).

    With `resplit`, a row of one arm's run should be in the runs of the same name of all arms.
    """
    empty = [f"NOT present{k}" for k in range(len(places))]
    if not resplit:
        return empty
    mates = [[f"present{j}" for j, (_, other) in enumerate(places) if other == run] for _, run in places]
    return [f"({here} AND ({' OR '.join(some)}))" for here, some in zip(empty, mates, strict=True)]


def _quote_difference(
    db: DuckDBPyConnection,
    union: str,
    key: Sequence[str],
    name: str,
    example: str,
    places: Sequence[tuple[str, str]],
    groups: Sequence[str] | None,
) -> str:
    """Quote two values that differ in a row: `'a' in 'full' run '0', 'b' in 'lora' run '0'`."""
    rows = db.execute(
        f'SELECT k, CAST("{name}" AS VARCHAR) AS v FROM ({union}) WHERE {_key_sql(key)} = ? ORDER BY k, v',
        [example],
    ).fetchall()
    first = rows[0]
    other = next((row for row in rows if row[1] != first[1]), first)
    clauses = []
    for k, value in (first, other):
        text = groups[int(value)] if groups is not None and value is not None else value
        arm, run = places[k]
        clauses.append(f"{'nothing' if not text else repr(shorten(str(text)))} in '{arm}' run '{run}'")
    return ", ".join(clauses)


def _key_sql(key: Sequence[str]) -> str:
    """Return SQL that formats a key for a sentence."""
    parts = ", ".join(f"'{name} ' || CAST(\"{name}\" AS VARCHAR)" for name in key)
    return f"concat_ws(', ', {parts})"


def _count_rows(db: DuckDBPyConnection, test: str, first: str) -> tuple[int, str]:
    """Count the rows that meet a condition, and format the key of the first one."""
    number, example = single_row(db, f"SELECT count(*), {first} FROM merged WHERE {test}")
    return int(number), str(example)


def _describe_repeated(
    count: int, example: str, key: Sequence[str], columns: Columns, titles: Sequence[str]
) -> str:
    """Complain of keys that occur twice in a run."""
    hints = [f"--{o} {o}" for o, named in (("arm", columns.arm), ("run", columns.run)) if named is None]
    advice = f"distinguish rows of several arms or runs with {' '.join(hints)}" if hints else "give each once"
    title = titles[0] if len(titles) == 1 else "the given tables"
    return (
        f"{title}: {count:,} rows have a key ({', '.join(key)}) that occurs more than once in one run "
        f"(first: {example}); {advice}."
    )


def _describe_missing(
    db: DuckDBPyConnection,
    places: Sequence[tuple[str, str]],
    gaps: Sequence[str],
    title: str,
    first: str,
    left: int | None,
) -> str:
    """Complain of arms and runs that lack rows.

    Args:
        db: the database, with the table `merged`.
        places: the arms and runs.
        gaps: SQL for a row that the run lacks, for each of them.
        title: noun for the rows.
        first: SQL for the key of the first row.
        left: number of rows that all runs have; None if runs have rows of their own.
    """
    lacks = []
    several = len({arm for arm, _ in places}) < len(places)
    for gap, (arm, run) in zip(gaps, places, strict=True):
        count, example = _count_rows(db, gap, first)
        if count:
            lacks.append(f"'{arm}'{f' run {run!r}' if several else ''} lacks {count:,} (first: {example})")
    listed = "; ".join(lacks[:10]) + (f"; and {len(lacks) - 10} more" if len(lacks) > 10 else "")
    if left is None:
        return f"Runs of one name have different {title} in different arms: {listed}."
    advice = f"--inner keeps the {left:,} rows that all have" if left else "no row is in all of them"
    return f"The arms and runs have different {title}: {listed}. {advice}."
