"""Read tables of language models' answers: validated, and aligned over arms and runs.

Generations and likelihoods differ in their columns (a `TableForm`) only. They share the steps: locate, open,
validate, and align rows by key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenhand.errors import CallError, TableError
from evenhand.tables.answers import references
from evenhand.tables.answers.align import AlignedTable, align
from evenhand.tables.answers.vocabulary import read_words
from evenhand.tables.groups import refuse_impossible
from evenhand.tables.io.database import Table, session
from evenhand.tables.io.formats import validate_each
from evenhand.tables.io.sources import resolve_sources
from evenhand.tables.reader.checks import Reader, Rule, rules_of
from evenhand.tables.reader.fields import RUN_FIELDS, Field, group_fields, value_sql
from evenhand.tables.reader.read import SelectedTable, select_rows
from evenhand.tables.reader.runs import run_texts_sql, runs_of_table
from evenhand.tables.schema import Columns, Source

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class TableForm:
    """The schema of one kind of table.

    Attributes:
        title: noun for its rows, such as `generations`.
        fields: its columns.
        unit: the first fields of the key: rows that share them are selected or left out together.
        tests: (field, SQL condition on the numbers `{x}` of a column that no row may meet, complaint).
        resplit: True if runs may have rows of their own.
    """

    title: str
    fields: tuple[Field, ...]
    unit: tuple[str, ...]
    tests: tuple[tuple[str, str, str], ...] = ()
    resplit: bool = False


def read_answers(source: Source, columns: Columns, form: TableForm) -> AlignedTable:
    """Read, validate and align the answers of all arms and runs.

    Args:
        source: a path or glob, a table in memory, a list of those, or a mapping of arm names to those.
        columns: names of the columns.
        form: the schema of the tables.

    Raises:
        CallError: options contradict each other or do not fit the tables.
        TableError: tables are wrong; carries every complaint about every table.
    """
    refuse_impossible(columns)
    _refuse_unfit(columns, form)
    sources, complaints = resolve_sources(source, columns)
    with session() as db:
        tables, more = validate_each(db, sources, lambda table: _validate(db, table, columns, form))
        complaints += more
        if complaints:
            raise TableError(complaints)
        return align(db, tables, columns, form.title, form.fields, form.unit)


def _refuse_unfit(columns: Columns, form: TableForm) -> None:
    """Raise for options that do not apply to such tables."""
    plain = Columns()
    unfit = {"weight": "--weight", "score": "--score", "positive": "--positive"}
    unfit |= {"label": "--label", "prediction": "--prediction"}
    options = [o for name, o in unfit.items() if getattr(columns, name) != getattr(plain, name)]
    if options:
        raise CallError([f"{option}: {form.title} have no such column; omit it." for option in options])
    if columns.resplit and not form.resplit:
        raise CallError(f"--resplit: {form.title} are compared on rows that every run has; omit it.")


def _validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, form: TableForm
) -> SelectedTable | list[str]:
    """Validate one table by itself."""
    # A group with a vocabulary is an attribute of its own, even if the call names its column.
    words = {f.name for f in form.fields if f.kind == "word" and f.name in table.columns}
    groups = (f for f in group_fields(columns) if f.name not in words)
    selected = select_rows(db, table, (*form.fields, *groups, *RUN_FIELDS), columns, form.title)
    if isinstance(selected, list):
        return selected
    table = selected.table
    reader = Reader(db, table, table.columns[columns.id].name_sql)
    for f, name in selected.fields.items():
        if f.kind == "texts":
            reader.complaints.extend(references.read_lists(db, table, name, reader.example))
    rules = rules_of(table, selected.fields)
    numbers = {f.name: value_sql(table.columns[name], "number") for f, name in selected.fields.items()}
    rules += [
        Rule(name, f"({test.format(x=numbers[name])})", message)
        for name, test, message in form.tests
        if name in numbers
    ]
    reader.check(rules)
    distinct = {name: read_words(reader, name) for f, name in selected.fields.items() if f.kind == "word"}
    distinct |= reader.read_all(selected.fields, "group")
    reader.read_all(selected.fields, "run")
    if reader.complaints:
        return reader.complaints
    return replace(selected, groups=distinct, runs=runs_of_table(db, table, run_texts_sql(table, columns)))
