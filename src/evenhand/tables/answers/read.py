"""Tables of what language models answered: checked and paired over arms and runs, whatever their columns are.

Generations and likelihoods differ in their columns (a `TableForm`), not in how they are found, opened,
checked and brought together: rows of one key meet in one row.
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
from evenhand.tables.groups import attributes, crossings, refuse_impossible
from evenhand.tables.io.database import Table, session, single_row
from evenhand.tables.io.formats import examine_each, stage
from evenhand.tables.io.quoted import quoted
from evenhand.tables.io.sources import resolve
from evenhand.tables.predictions.align import place_sql
from evenhand.tables.predictions.columns import condition, filters
from evenhand.tables.predictions.plan import places_of, unlike_runs
from evenhand.tables.predictions.read import input_of
from evenhand.tables.predictions.scores import matched
from evenhand.tables.predictions.validate import (
    MOST_GROUPS,
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

#: What a column's values have to be, in complaints.
_BECAUSE = {
    "words": "is empty in {count:,} rows{first}; an option without text has no likelihood.",
    "meaning": "is empty in {count:,} rows{first}; every option needs a meaning.",
    "number": "is missing or no finite number in {count:,} rows{first}: {values}.",
    "flag": "is neither 0 nor 1 in {count:,} rows{first}: {values}.",
}


@dataclass(frozen=True)
class Field:
    """A column of a form.

    Attributes:
        name: the column.
        kind: a name that every row has, a text that may be empty, words that may not, a meaning (a name that
            may be empty where the column may lack), a list of texts, a number, or 0 and 1.
        role: whether it is part of the key, is the same for a key in every arm and run, or is an answer.
        needed: whether a table must have it; else it counts when every table has it.
        alias: where the call names the column (the id, the cluster), the option that does.
    """

    name: str
    kind: Kind
    role: Literal["key", "shared", "answer"]
    needed: bool = True
    alias: str = ""


@dataclass(frozen=True)
class TableForm:
    """A kind of table.

    Attributes:
        title: what its rows are, as `generations`.
        fields: its columns.
        whole: the first fields of the key: rows that share them are kept or left out together.
        groups: partition columns that are attributes whenever they are there, with a vocabulary each.
        tests: fields, conditions in SQL on the numbers of a column (`{x}`) that no row may meet, and the
            complaint.
        resplit: whether runs may have rows of their own.
    """

    title: str
    fields: tuple[Field, ...]
    whole: tuple[str, ...]
    groups: tuple[str, ...] = ()
    tests: tuple[tuple[str, str, str], ...] = ()
    resplit: bool = False


def read_answers(source: Source, columns: Columns, form: TableForm) -> AlignedTable:
    """Read, check and pair the answers of all arms and runs.

    Args:
        source: a path or glob, a table in memory, a list of those, or a mapping of arm names to those.
        columns: how the columns are called.
        form: what columns there are.

    Raises:
        CallError: the call cannot be meant.
        TableError: tables are wrong; carries every complaint about every table.
    """
    refuse_impossible(columns)
    _refuse_unfit(columns, form)
    given, complaints = resolve(source, columns)
    with session() as db:
        parts, more = examine_each(db, given, lambda table: _examine(db, table, columns, form))
        complaints += more
        if complaints:
            raise TableError(complaints)
        return _paired(db, parts, columns, form)


def _refuse_unfit(columns: Columns, form: TableForm) -> None:
    """Complain of options that mean nothing for such a table."""
    plain = Columns()
    unfit = {"weight": "--weight", "score": "--score", "positive": "--positive"}
    unfit |= {"label": "--label", "prediction": "--prediction"}
    given = [o for name, o in unfit.items() if getattr(columns, name) != getattr(plain, name)]
    if given:
        raise CallError([f"{option}: {form.title} have no such column; leave it out." for option in given])
    if columns.resplit and not form.resplit:
        raise CallError(f"--resplit: {form.title} are compared on rows that every run has; leave it out.")


def _named(field: Field, columns: Columns) -> str | None:
    """What a field's column is called: as the call says, where it may."""
    if field.alias:
        name: str | None = getattr(columns, field.alias)
        return name
    return field.name


def _examine(db: DuckDBPyConnection, table: Table, columns: Columns, form: TableForm) -> RunTable | list[str]:
    """Check one table by itself."""
    known = list(table.columns)
    there = {f.name: n for f in form.fields if (n := _named(f, columns)) is not None and n in table.columns}
    by = tuple(dict.fromkeys((*(g for g in form.groups if g in known), *group_columns(columns))))
    complaints = [
        table.say(f"column '{_named(f, columns)}' is not there, which {form.title} need; "
                  f"{nearest(str(_named(f, columns)), known)}")
        for f in form.fields
        if f.needed and f.name not in there
    ]  # fmt: skip
    asked = [("--by", n) for n in by] + [("--arm", columns.arm), ("--run", columns.run)]
    if columns.cluster is not None:
        asked.append(("--cluster", columns.cluster))
    complaints += [
        table.say(f"column '{name}' ({option}) is not there; {nearest(name, known)}")
        for option, name in asked
        if name is not None and name not in table.columns
    ]
    members = {pattern: matched(pattern, known) for pattern in columns.memberships}
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
        for name in dict.fromkeys((*there.values(), *by))
        if is_nested(table.types.get(name, "")) and not (name in lists and is_list(table.types[name]))
    ]
    wanted = condition(db, table, columns)
    if complaints or isinstance(wanted, list):
        return [*complaints, *([table.say(c) for c in wanted] if isinstance(wanted, list) else [])]
    flags = [n for names in members.values() for n in names]
    needed = [*there.values(), *by, *flags, *(n for n in (columns.arm, columns.run) if n is not None)]
    table = stage(db, table, list(dict.fromkeys(needed)), wanted)
    rows = int(single_row(db, f"SELECT count(*) FROM {table.relation}")[0])
    if not rows:
        return [
            table.say("has no rows." if wanted == "true" else f"no rows are left after {filters(columns)}.")
        ]
    return _values(db, RunTable(table, rows, there, {}, members, ()), by, columns, form)


def _values(
    db: DuckDBPyConnection, part: RunTable, by: Sequence[str], columns: Columns, form: TableForm
) -> RunTable | list[str]:
    """Check the values of a staged table."""
    table, there = part.table, part.there
    example = name_sql(table.columns[columns.id], table.types[columns.id])
    reader = Reader(db, table, example, [])
    tests: list[tuple[str, str, str]] = []
    for f in (f for f in form.fields if f.name in there):
        column, kind = table.columns[there[f.name]], table.types[there[f.name]]
        if f.kind == "name":
            check_names(reader, f"--{f.alias}" if f.alias else form.title, there[f.name])
        elif f.kind == "texts":
            reader.complaints.extend(references.read_lists(db, table, there[f.name], example))
        elif f.kind in _BECAUSE and (f.needed or f.kind != "meaning"):
            value = _field_sql(column, kind, f.kind)
            bad = {
                "words": f"({column} IS NULL OR CAST({column} AS VARCHAR) = '')",
                "meaning": f"({value} IS NULL)",
                "number": f"({value} IS NULL OR NOT isfinite({value}))",
                "flag": f"({value} IS NULL)",
            }[f.kind]
            tests.append((there[f.name], bad, _BECAUSE[f.kind]))
    for name, test, said in form.tests:
        if name in there:
            column = there[name]
            number = _field_sql(table.columns[column], table.types[column], "number")
            tests.append((column, f"({test.format(x=number)})", said))
    found = offending(db, table, [test for _, test, _ in tests], example)
    reader.complaints.extend(
        table.say(
            f"column '{name}' {said.format(count=count, first=first, values=quoted(db, table, name, test))}"
        )
        for (name, test, said), (count, first) in zip(tests, found, strict=True)
        if count
    )
    groups = {
        name: read_words(reader, name, MOST_GROUPS)
        if name in form.groups
        else reader.read("--by", name, MOST_GROUPS)
        for name in by
    }
    check_flags(reader, list(dict.fromkeys(n for names in part.members.values() for n in names)))
    pairs = arms_and_runs(reader, columns)
    if reader.complaints:
        return reader.complaints
    return RunTable(table, part.rows, there, groups, part.members, tuple(pairs))


def _paired(
    db: DuckDBPyConnection, parts: Sequence[RunTable], columns: Columns, form: TableForm
) -> AlignedTable:
    """Bring the tables together."""
    remarks, complaints = [], []
    everywhere = {f.name for f in form.fields if all(f.name in p.there for p in parts)}
    for f in form.fields:
        some = [p.table.given.title for p in parts if f.name in p.there]
        if some and f.name not in everywhere:
            remarks.append(f"Column '{f.name}' is in {', '.join(some)} only, so it is not used.")
    names = [n for n in parts[0].groups if all(n in p.groups for p in parts)]
    groups = {n: in_order(_word(form, n, v) for p in parts for v in p.groups[n].counts) for n in names}
    for name in (n for n in form.groups if n in groups):
        remarks += respelt(name, sorted({v for p in parts for v in p.groups[name].counts}))
    complaints += crossings(columns, groups)
    flags = _flags(parts[0])
    for part in parts[1:]:
        odd = ", ".join(sorted(set(_flags(part)) ^ set(flags)))
        if odd:
            first = parts[0].table.given.title
            complaints.append(part.table.say(f"--memberships matches other columns than in {first}: {odd}."))
    if complaints:
        raise TableError(complaints)
    places = places_of([[(arm, run) for _, _, arm, run in p.pairs] for p in parts])
    if columns.resplit and (unlike := unlike_runs(places)):
        raise CallError(unlike)
    fields = [f for f in form.fields if f.name in everywhere]
    union = " UNION ALL ".join(_coded(db, p, form, fields, groups, flags, places, columns) for p in parts)
    shared = [f.name for f in fields if f.role == "shared"]
    shared += [f"g{i}" for i in range(len(groups))] + [f"f{i}" for i in range(len(flags))]
    titles = (
        dict(zip(shared[-len(groups) - len(flags) :], [*groups, *flags], strict=True))
        if groups or flags
        else {}
    )
    fetched, there, more = align(
        db, union, places, columns, form.title,
        key=[f.name for f in fields if f.role == "key"], whole=[n for n in form.whole if n in everywhere],
        shared={n: titles.get(n, n) for n in shared}, answers=[f.name for f in fields if f.role == "answer"],
        titles=[p.table.given.title for p in parts],
        groups={f"g{i}": names for i, names in enumerate(groups.values())},
    )  # fmt: skip
    by = tuple(n for n in groups if n in columns.by or n in form.groups)
    kept = Columns(by=by, memberships=columns.memberships, intersect=columns.intersect)
    return AlignedTable(
        places=tuple(places),
        columns=fetched,
        attributes=_attributes(kept, groups, parts[0].members, flags, fetched),
        inputs=tuple(input_of(p.table.given, [arm for _, _, arm, _ in p.pairs], p.rows) for p in parts),
        problems=(*remarks, *more),
        there=there,
    )


def _word(form: TableForm, name: str, text: str) -> str:
    """The group that a value stands for."""
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
    return attributes(columns, codes, flagged)


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
    """SQL for one table: place, fields by their names, groups and flags as codes."""
    table, joins = part.table, list[str]()
    chosen = [f"{place_sql(db, table, part.pairs, places, columns, joins)} AS k"]
    for f in fields:
        column, kind = f"t.{table.columns[part.there[f.name]]}", table.types[part.there[f.name]]
        if f.kind == "texts":
            lists = references.relation_of(table)
            joins.append(f"LEFT JOIN {lists} ON {lists}.raw = {references.raw_sql(column, kind)}")
            value = references.texts_sql(column, kind, lists)
        else:
            value = _field_sql(column, kind, f.kind)
            if f.role == "shared" and f.kind in {"text", "meaning"}:
                value = f"coalesce({value}, '')"  # nothing differs from something
        chosen.append(f'{value} AS "{f.name}"')
    for i, (name, names) in enumerate(groups.items()):
        values: Distinct = part.groups[name]
        codes = {text: names.index(_word(form, name, text)) for text in values.counts}
        relation = code(db, values, codes, f"m{table.number}_g{i}")
        joins.append(f"LEFT JOIN {relation} ON t.{table.columns[name]} = {relation}.raw")
        chosen.append(f"{relation}.code AS g{i}")
    for i, name in enumerate(flags):
        chosen.append(f"CAST({flag_sql(f't.{table.columns[name]}', table.types[name])} AS TINYINT) AS f{i}")
    return f"SELECT {', '.join(chosen)} FROM {table.relation} AS t {' '.join(joins)}"


def _field_sql(column: str, kind: str, wanted: Kind) -> str:
    """SQL for a value of a field."""
    if wanted == "name":
        return name_sql(column, kind)
    if wanted == "meaning":
        return f"nullif({_tidied(name_sql(column, kind))}, '')"
    if wanted == "number":
        return "NULL::DOUBLE" if kind == "BOOLEAN" else number_sql(column, kind)  # true is no number
    if wanted == "flag":
        return flag_sql(column, kind)
    return text_sql(column, kind)


def _tidied(sql: str) -> str:
    """SQL for a name with true and false in small letters, as every format writes them."""
    return f"CASE WHEN lower({sql}) IN ('true', 'false') THEN lower({sql}) ELSE {sql} END"
