"""Align the answers of all runs by key: columns on which runs must agree, and the answers of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.errors import CallError, TableError, plural
from evenhand.tables.answers import references
from evenhand.tables.answers.vocabulary import respelt, word_of
from evenhand.tables.reader.fields import Field, value_sql
from evenhand.tables.reader.merge import Merged, RunRows, describe_differences, list_gaps, merge, present_sql
from evenhand.tables.reader.read import SelectedTable
from evenhand.tables.reader.runs import list_arm_runs, run_index_sql, run_texts_sql, unlike_runs
from evenhand.tables.reader.shared import SharedGroups, share_groups
from evenhand.tables.schema import ArmRun, Attribute, BoolArray, Columns, Input

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class AlignedTable:
    """Aligned answers of all arms and runs, one row per key.

    Attributes:
        arm_runs: the runs of the answers.
        columns: arrays by name: [n] of keys and shared columns, [runs, n] of answers.
        attributes: the groups.
        inputs: the tables that were read.
        problems: remarks on the data that do not prevent the audit.
        present: [runs, n] True if a run has the row; all True unless runs have rows of their own.
    """

    arm_runs: tuple[ArmRun, ...]
    columns: Mapping[str, Any]
    attributes: tuple[Attribute, ...]
    inputs: tuple[Input, ...]
    problems: tuple[str, ...]
    present: BoolArray


def align(
    db: DuckDBPyConnection,
    tables: Sequence[SelectedTable],
    columns: Columns,
    title: str,
    fields: Sequence[Field],
    unit: Sequence[str],
) -> AlignedTable:
    """Align the rows of validated tables, in the order of their keys.

    Args:
        db: the database.
        tables: the tables.
        columns: options of the call.
        title: noun for the rows in complaints.
        fields: the columns of their kind.
        unit: key columns that identify rows which are selected or left out together.

    Raises:
        CallError: the runs of arms cannot be paired by name.
        TableError: keys occur twice, or runs differ in their keys or in shared columns.
    """
    words = [f.name for f in fields if f.kind == "word" and all(f in table.fields for table in tables)]
    texts = {name: sorted({text for table in tables for text in table.groups[name].counts}) for name in words}
    spellings = {name: {text: word_of(name, text) or text for text in texts[name]} for name in words}
    # Optional columns count only if every table has them, so that the rows of the union have equal columns.
    remarks = _remarks_on_lacking(tables, fields)
    fields = [f for f in fields if f.kind != "word" and all(f in table.fields for table in tables)]
    groups, complaints = share_groups(tables, columns, spellings)
    remarks += [remark for name in words for remark in respelt(name, texts[name])]
    if complaints:
        raise TableError(complaints)
    arm_runs = list_arm_runs([table.runs for table in tables])
    if columns.resplit and (unlike := unlike_runs(arm_runs)):
        raise CallError(unlike)
    rows = _run_rows(db, tables, columns, fields, unit, groups, arm_runs)
    merged = merge(db, rows, resplit=columns.resplit)
    complaints = _complaints(db, rows, merged, columns, title, tables, groups)
    if complaints:
        raise TableError(complaints)
    order = ", ".join(f'"{name}"' for name in rows.key)
    k = range(len(arm_runs))
    present = ", ".join(f"{present_sql(i)} AS present{i}" for i in k)
    fetched: dict[str, Any] = db.execute(
        f"SELECT * EXCLUDE (runs), {present} FROM aligned ORDER BY {order}"
    ).fetchnumpy()
    if merged.lacking:
        remarks.append(merged.remark("rows"))
    by = tuple(name for name in groups.names if name in columns.by or name in words)
    named = Columns(by=by, memberships=columns.memberships, intersect=columns.intersect)
    return AlignedTable(
        arm_runs,
        {
            f.name: np.ma.stack([fetched[f"{f.name}{i}"] for i in k])
            if f.role == "answer"
            else fetched[f.name]
            for f in fields
        },
        groups.attributes(named, fetched),
        tuple(table.input for table in tables),
        tuple(remarks),
        np.stack([fetched[f"present{i}"] for i in k]).astype(np.bool_),
    )


def _remarks_on_lacking(tables: Sequence[SelectedTable], fields: Sequence[Field]) -> list[str]:
    """Remark on columns that only some tables have."""
    remarks = []
    for f in (f for f in fields if f.kind != "word"):
        some = [table.title for table in tables if f in table.fields]
        if 0 < len(some) < len(tables):
            remarks.append(f"Column '{f.name}' is in {', '.join(some)} only, so it is not used.")
    return remarks


def _run_rows(
    db: DuckDBPyConnection,
    tables: Sequence[SelectedTable],
    columns: Columns,
    fields: Sequence[Field],
    unit: Sequence[str],
    groups: SharedGroups,
    arm_runs: Sequence[ArmRun],
) -> RunRows:
    """Return the rows of all tables: index `k` of the run, fields by name, groups and flags as codes."""
    key = [f.name for f in fields if f.role == "key"]
    shared = {f.name: f"'{f.name}'" for f in fields if f.role == "shared"}
    answers = {
        f"{f.name}{k}": f'any_value("{f.name}") FILTER (WHERE k = {k})'
        for k in range(len(arm_runs))
        for f in fields
        if f.role == "answer"
    }
    named = ", ".join(f"'{name} ' || CAST(\"{name}\" AS VARCHAR)" for name in key)
    return RunRows(
        sql=" UNION ALL ".join(_coded(db, table, columns, fields, groups, arm_runs) for table in tables),
        arm_runs=arm_runs,
        key=key,
        key_sql=f"concat_ws(', ', {named})",
        shared=shared | {name: f"'{title}'" for name, title in groups.titles.items()},
        answers=answers,
        unit=[name for name in unit if name in key],
    )


def _coded(
    db: DuckDBPyConnection,
    selected: SelectedTable,
    columns: Columns,
    fields: Sequence[Field],
    groups: SharedGroups,
    arm_runs: Sequence[ArmRun],
) -> str:
    """Return SQL for the rows of one table."""
    table, joins = selected.table, list[str]()
    indices = [(run, arm_runs.index(run.name)) for run in selected.runs]
    chosen = [f"{run_index_sql(db, table, run_texts_sql(table, columns), indices, joins)} AS k"]
    for f in fields:
        column = table.columns[selected.fields[f]].of("t")
        if f.kind == "texts":
            lists = references.relation_of(table)
            joins.append(f"LEFT JOIN {lists} ON {lists}.raw = {references.raw_sql(column)}")
            value = references.texts_sql(column, lists)
        else:
            value = value_sql(column, f.kind)
            if f.role == "shared" and f.kind in {"text", "meaning"}:
                value = f"coalesce({value}, '')"  # min and max ignore NULL: it would agree with any value
        chosen.append(f'{value} AS "{f.name}"')
    chosen += groups.coded_sql(db, selected, joins)
    return f"SELECT {', '.join(chosen)} FROM {table.relation} AS t {' '.join(joins)}"


def _complaints(
    db: DuckDBPyConnection,
    rows: RunRows,
    merged: Merged,
    columns: Columns,
    title: str,
    tables: Sequence[SelectedTable],
    groups: SharedGroups,
) -> list[str]:
    """List complaints about rows that cannot be aligned."""
    complaints = []
    count, first = merged.repeated
    if count:
        hints = [f"--{o} {o}" for o in ("arm", "run") if getattr(columns, o) is None]
        advice = (
            f"distinguish rows of several arms or runs with {' '.join(hints)}" if hints else "give each once"
        )
        complaints.append(
            f"{tables[0].title if len(tables) == 1 else 'the given tables'}: {plural(count, 'row')} with a "
            f"key ({', '.join(rows.key)}) that occurs more than once in one run (first: {first}); {advice}."
        )
    complaints += describe_differences(db, rows, merged, "row", groups.text_of)
    if merged.lacking and (not columns.inner or not merged.left):
        listed = list_gaps(rows, merged)
        if columns.resplit:
            return [*complaints, f"Runs of one name have different {title} in different arms: {listed}."]
        advice = f"--inner keeps the {merged.left:,} rows that all have"
        advice = advice if merged.left else "no row is in all of them"
        complaints.append(f"The arms and runs have different {title}: {listed}. {advice}.")
    return complaints
