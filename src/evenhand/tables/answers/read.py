"""Read tables of language models' answers: validated, and aligned over arms and runs.

Generations and likelihoods differ in their columns (a `TableForm`) only. They share the steps: locate, open,
validate, and align rows by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evenhand.errors import CallError, TableError, nearest
from evenhand.tables.answers import references
from evenhand.tables.answers.align import AlignedTable, RunTable, align
from evenhand.tables.answers.vocabulary import read_words, respelt, word_of
from evenhand.tables.groups import build_attributes, oversized_intersections, refuse_impossible
from evenhand.tables.io.database import Table, session, single_row
from evenhand.tables.io.formats import stage, validate_each
from evenhand.tables.io.quoted import quoted
from evenhand.tables.io.sources import resolve_sources
from evenhand.tables.predictions.align import run_index_sql
from evenhand.tables.predictions.columns import filter_options, selection_sql
from evenhand.tables.predictions.plan import list_arm_runs, unlike_runs
from evenhand.tables.predictions.read import input_of
from evenhand.tables.predictions.scores import match_columns
from evenhand.tables.predictions.validate import (
    MAX_GROUPS,
    Reader,
    arms_and_runs,
    check_flags,
    check_names,
    group_columns,
)
from evenhand.tables.schema import Attribute, BoolArray, Columns, IntArray, Source
from evenhand.tables.values import (
    Distinct,
    code,
    flag_sql,
    in_order,
    is_list,
    is_nested,
    name_sql,
    number_sql,
    offending,
    shape_of,
    text_sql,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["name", "text", "words", "meaning", "texts", "number", "flag"]

#: Complaints about invalid values, by kind of field.
_COMPLAINTS = {
    "words": "is empty in {count:,} rows{first}; an option without text has no likelihood.",
    "meaning": "is empty in {count:,} rows{first}; every option needs a meaning.",
    "number": "is missing or not a finite number in {count:,} rows{first}: {values}.",
    "flag": "is neither 0 nor 1 in {count:,} rows{first}: {values}.",
}


@dataclass(frozen=True)
class Field:
    """A column of a form.

    Attributes:
        name: the column.
        kind: a name that every row has, a text that may be empty, words that may not, a meaning (a name that
            may be empty if the column is optional), a list of texts, a number, or a flag of 0 and 1.
        role: part of the key, shared (the same for a key in every arm and run), or an answer.
        needed: True if a table must have it; else it is used only if every table has it.
        alias: the option that names the column (id, cluster), if one does.
    """

    name: str
    kind: Kind
    role: Literal["key", "shared", "answer"]
    needed: bool = True
    alias: str = ""


@dataclass(frozen=True)
class TableForm:
    """The schema of one kind of table.

    Attributes:
        title: noun for its rows, such as `generations`.
        fields: its columns.
        unit: the first fields of the key: rows that share them are selected or left out together.
        groups: partition columns with a fixed vocabulary, which are attributes if a table has them.
        tests: (field, SQL condition on the numbers `{x}` of a column that no row may meet, complaint).
        resplit: True if runs may have rows of their own.
    """

    title: str
    fields: tuple[Field, ...]
    unit: tuple[str, ...]
    groups: tuple[str, ...] = ()
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
        parts, more = validate_each(db, sources, lambda table: _validate(db, table, columns, form))
        complaints += more
        if complaints:
            raise TableError(complaints)
        return _align_tables(db, parts, columns, form)


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


def _column_of(field: Field, columns: Columns) -> str | None:
    """Return the name of a field's column, from the option that names it, if any."""
    if field.alias:
        name: str | None = getattr(columns, field.alias)
        return name
    return field.name


def _validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, form: TableForm
) -> RunTable | list[str]:
    """Validate one table by itself."""
    known = list(table.columns)
    field_columns = {
        f.name: n for f in form.fields if (n := _column_of(f, columns)) is not None and n in table.columns
    }
    by = tuple(dict.fromkeys((*(g for g in form.groups if g in known), *group_columns(columns))))
    complaints = [
        table.say(f"column '{_column_of(f, columns)}' not found, but {form.title} need it; "
                  f"{nearest(str(_column_of(f, columns)), known)}")
        for f in form.fields
        if f.needed and f.name not in field_columns
    ]  # fmt: skip
    required = [("--by", n) for n in by] + [("--arm", columns.arm), ("--run", columns.run)]
    if columns.cluster is not None:
        required.append(("--cluster", columns.cluster))
    complaints += [
        table.say(f"column '{name}' ({option}) not found; {nearest(name, known)}")
        for option, name in required
        if name is not None and name not in table.columns
    ]
    members = {pattern: match_columns(pattern, known) for pattern in columns.memberships}
    complaints += [
        table.say(f"--memberships '{pattern}' matches no column; {nearest(pattern, known)}")
        for pattern, names in members.items()
        if not names
    ]
    lists = {f.name for f in form.fields if f.kind == "texts"}
    complaints += [
        table.say(
            f"column '{name}' is nested (it holds {shape_of(table.types[name])}); give "
            f"{'a list of texts' if name in lists else 'one value'} per row."
        )
        for name in dict.fromkeys((*field_columns.values(), *by))
        if is_nested(table.types.get(name, "")) and not (name in lists and is_list(table.types[name]))
    ]
    selection = selection_sql(db, table, columns)
    if complaints or isinstance(selection, list):
        return [*complaints, *([table.say(c) for c in selection] if isinstance(selection, list) else [])]
    flags = [n for names in members.values() for n in names]
    needed = [*field_columns.values(), *by, *flags, *(n for n in (columns.arm, columns.run) if n is not None)]
    table = stage(db, table, list(dict.fromkeys(needed)), selection)
    rows = int(single_row(db, f"SELECT count(*) FROM {table.relation}")[0])
    if not rows:
        return [
            table.say(
                "has no rows."
                if selection == "true"
                else f"no rows are left after {filter_options(columns)}."
            )
        ]
    return _values(db, RunTable(table, rows, field_columns, {}, members, ()), by, columns, form)


def _values(
    db: DuckDBPyConnection, part: RunTable, by: Sequence[str], columns: Columns, form: TableForm
) -> RunTable | list[str]:
    """Validate the values of a staged table."""
    table, field_columns = part.table, part.field_columns
    example = name_sql(table.columns[columns.id], table.types[columns.id])
    reader = Reader(db, table, example, [])
    tests: list[tuple[str, str, str]] = []
    for f in (f for f in form.fields if f.name in field_columns):
        column, kind = table.columns[field_columns[f.name]], table.types[field_columns[f.name]]
        if f.kind == "name":
            check_names(reader, f"--{f.alias}" if f.alias else form.title, field_columns[f.name])
        elif f.kind == "texts":
            reader.complaints.extend(references.read_lists(db, table, field_columns[f.name], example))
        elif f.kind in _COMPLAINTS and (f.needed or f.kind != "meaning"):
            value = _field_sql(column, kind, f.kind)
            bad = {
                "words": f"({column} IS NULL OR CAST({column} AS VARCHAR) = '')",
                "meaning": f"({value} IS NULL)",
                "number": f"({value} IS NULL OR NOT isfinite({value}))",
                "flag": f"({value} IS NULL)",
            }[f.kind]
            tests.append((field_columns[f.name], bad, _COMPLAINTS[f.kind]))
    for name, test, message in form.tests:
        if name in field_columns:
            column = field_columns[name]
            number = _field_sql(table.columns[column], table.types[column], "number")
            tests.append((column, f"({test.format(x=number)})", message))
    counts = offending(db, table, [test for _, test, _ in tests], example)
    reader.complaints.extend(
        table.say(
            f"column '{name}' {message.format(count=n, first=first, values=quoted(db, table, name, test))}"
        )
        for (name, test, message), (n, first) in zip(tests, counts, strict=True)
        if n
    )
    groups = {
        name: read_words(reader, name, MAX_GROUPS)
        if name in form.groups
        else reader.read("--by", name, MAX_GROUPS)
        for name in by
    }
    check_flags(reader, list(dict.fromkeys(n for names in part.members.values() for n in names)))
    pairs = arms_and_runs(reader, columns)
    if reader.complaints:
        return reader.complaints
    return RunTable(table, part.rows, field_columns, groups, part.members, tuple(pairs))


def _align_tables(
    db: DuckDBPyConnection, parts: Sequence[RunTable], columns: Columns, form: TableForm
) -> AlignedTable:
    """Resolve the common schema of the tables, and align their rows."""
    remarks, complaints = [], []
    everywhere = {f.name for f in form.fields if all(f.name in p.field_columns for p in parts)}
    for f in form.fields:
        some = [p.table.source.title for p in parts if f.name in p.field_columns]
        if some and f.name not in everywhere:
            remarks.append(f"Column '{f.name}' is in {', '.join(some)} only, so it is not used.")
    names = [n for n in parts[0].groups if all(n in p.groups for p in parts)]
    groups = {n: in_order(_group_of(form, n, v) for p in parts for v in p.groups[n].counts) for n in names}
    for name in (n for n in form.groups if n in groups):
        remarks += respelt(name, sorted({v for p in parts for v in p.groups[name].counts}))
    complaints += oversized_intersections(columns, groups)
    flags = _flags(parts[0])
    for part in parts[1:]:
        odd = ", ".join(sorted(set(_flags(part)) ^ set(flags)))
        if odd:
            first = parts[0].table.source.title
            complaints.append(part.table.say(f"--memberships matches other columns than in {first}: {odd}."))
    if complaints:
        raise TableError(complaints)
    places = list_arm_runs([[(arm, run) for _, _, arm, run in p.pairs] for p in parts])
    if columns.resplit and (unlike := unlike_runs(places)):
        raise CallError(unlike)
    fields = [f for f in form.fields if f.name in everywhere]
    # Optional fields count only if every table has them, so that the rows of the union have equal columns.
    union = " UNION ALL ".join(_coded(db, p, form, fields, groups, flags, places, columns) for p in parts)
    shared = [f.name for f in fields if f.role == "shared"]
    shared += [f"g{i}" for i in range(len(groups))] + [f"f{i}" for i in range(len(flags))]
    titles = (
        dict(zip(shared[-len(groups) - len(flags) :], [*groups, *flags], strict=True))
        if groups or flags
        else {}
    )
    fetched, present, more = align(
        db, union, places, columns, form.title,
        key=[f.name for f in fields if f.role == "key"], unit=[n for n in form.unit if n in everywhere],
        shared={n: titles.get(n, n) for n in shared}, answers=[f.name for f in fields if f.role == "answer"],
        titles=[p.table.source.title for p in parts],
        groups={f"g{i}": names for i, names in enumerate(groups.values())},
    )  # fmt: skip
    by = tuple(n for n in groups if n in columns.by or n in form.groups)
    attribute_columns = Columns(by=by, memberships=columns.memberships, intersect=columns.intersect)
    return AlignedTable(
        places=tuple(places),
        columns=fetched,
        attributes=_attributes(attribute_columns, groups, parts[0].members, flags, fetched),
        inputs=tuple(input_of(p.table.source, [arm for _, _, arm, _ in p.pairs], p.rows) for p in parts),
        problems=(*remarks, *more),
        present=present,
    )


def _group_of(form: TableForm, name: str, text: str) -> str:
    """Return the group of a value, in the words of its vocabulary."""
    return (word_of(name, text) if name in form.groups else None) or text


def _flags(part: RunTable) -> list[str]:
    return list(dict.fromkeys(n for names in part.members.values() for n in names))


def _attributes(
    columns: Columns,
    groups: Mapping[str, Sequence[str]],
    members: Mapping[str, tuple[str, ...]],
    flags: Sequence[str],
    fetched: Mapping[str, Any],
) -> tuple[Attribute, ...]:
    codes: dict[str, tuple[Sequence[str], IntArray]] = {
        name: (names, np.asarray(fetched[f"g{i}"]).astype(np.int64))
        for i, (name, names) in enumerate(groups.items())
    }
    flagged: dict[str, tuple[Sequence[str], BoolArray]] = {
        pattern: (names, np.asarray([fetched[f"f{flags.index(n)}"] == 1 for n in names], dtype=np.bool_))
        for pattern, names in members.items()
    }
    return build_attributes(columns, codes, flagged)


def _coded(
    db: DuckDBPyConnection,
    part: RunTable,
    form: TableForm,
    fields: Sequence[Field],
    groups: Mapping[str, Sequence[str]],
    flags: Sequence[str],
    places: Sequence[tuple[str, str]],
    columns: Columns,
) -> str:
    """Return SQL for one table: index `k` of (arm, run), fields by name, groups and flags as codes."""
    table, joins = part.table, list[str]()
    chosen = [f"{run_index_sql(db, table, part.pairs, places, columns, joins)} AS k"]
    for f in fields:
        column, kind = (
            f"t.{table.columns[part.field_columns[f.name]]}",
            table.types[part.field_columns[f.name]],
        )
        if f.kind == "texts":
            lists = references.relation_of(table)
            joins.append(f"LEFT JOIN {lists} ON {lists}.raw = {references.raw_sql(column, kind)}")
            value = references.texts_sql(column, kind, lists)
        else:
            value = _field_sql(column, kind, f.kind)
            if f.role == "shared" and f.kind in {"text", "meaning"}:
                value = f"coalesce({value}, '')"  # min and max ignore NULL: it would agree with any value
        chosen.append(f'{value} AS "{f.name}"')
    for i, (name, names) in enumerate(groups.items()):
        values: Distinct = part.groups[name]
        codes = {text: names.index(_group_of(form, name, text)) for text in values.counts}
        relation = code(db, values, codes, f"m{table.number}_g{i}")
        joins.append(f"LEFT JOIN {relation} ON t.{table.columns[name]} = {relation}.raw")
        chosen.append(f"{relation}.code AS g{i}")
    for i, name in enumerate(flags):
        chosen.append(f"CAST({flag_sql(f't.{table.columns[name]}', table.types[name])} AS TINYINT) AS f{i}")
    return f"SELECT {', '.join(chosen)} FROM {table.relation} AS t {' '.join(joins)}"


def _field_sql(column: str, kind: str, field_kind: Kind) -> str:
    """Return SQL for a value of a field, by its kind."""
    if field_kind == "name":
        return name_sql(column, kind)
    if field_kind == "meaning":
        return f"nullif({_tidied(name_sql(column, kind))}, '')"
    if field_kind == "number":
        return "NULL::DOUBLE" if kind == "BOOLEAN" else number_sql(column, kind)  # true is not a number
    if field_kind == "flag":
        return flag_sql(column, kind)
    return text_sql(column, kind)


def _tidied(sql: str) -> str:
    """Return SQL for a name with true and false in lower case, as in every format."""
    return f"CASE WHEN lower({sql}) IN ('true', 'false') THEN lower({sql}) ELSE {sql} END"
