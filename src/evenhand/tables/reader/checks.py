"""Rules that the values of columns follow, and the complaints about rows that break them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evenhand.errors import plural
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.io.quoted import quoted
from evenhand.tables.reader.distinct import Distinct, distinct
from evenhand.tables.reader.fields import Field, Kind, value_sql
from evenhand.tables.reader.labels import describe_nested_labels, several_values
from evenhand.tables.values import Unreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_GROUPS = 200
MAX_CLASSES = 1000

_MISSING = "has no value in {{rows}}; {}."
#: By kind of field: a condition in SQL on a row's value `{x}` (as the column has it, `{raw}`) that no row may
#: meet, and the complaint.
_RULES: Mapping[Kind, tuple[str, str]] = {
    "words": (
        "{raw} IS NULL OR CAST({raw} AS VARCHAR) = ''",
        "is empty in {rows}; an option without text has no likelihood.",
    ),
    "meaning": ("{x} IS NULL", "is empty in {rows}; every option needs a meaning."),
    "number": (
        "{x} IS NULL OR NOT isfinite({x})",
        "is missing or not a finite number in {rows}: {values}.",
    ),
    "numbers": (
        "({x} IS NOT NULL AND len({x}) > 0 AND "
        "list_bool_and([y IS NOT NULL AND isfinite(y) FOR y IN {x}])) IS NOT TRUE",
        "has no finite number in {rows}: {values}.",
    ),
    "weight": (
        "{x} IS NULL OR NOT isfinite({x}) OR {x} < 0",
        "is not a finite number of at least 0 in {rows}: {values}.",
    ),
    "flag": ("{x} IS NULL", "is neither 0 nor 1{why} in {rows}, but {values}."),
}
#: By kind of field: the largest number of distinct values, and what to give instead of more.
_LIMITS: Mapping[Kind, tuple[int, str]] = {
    "group": (MAX_GROUPS, "bin it into groups first"),
    "class": (MAX_CLASSES, "give classes, not measurements"),
    "run": (MAX_CLASSES, "give a column that names arms or runs"),
}


@dataclass(frozen=True)
class Rule:
    """A condition that no row may meet.

    Attributes:
        column: the column at fault.
        test: the condition in SQL.
        message: the rest of a sentence that begins with the column, with `{rows}` (their number and the
            first of them) and quoted values of the column as `{values}`.
        title: the option in the complaint, as `Field.title`.
    """

    column: str
    test: str
    message: str
    title: str = ""


def rules_of(table: Table, present: Mapping[Field, str]) -> list[Rule]:
    """List the rules that the values of a table's fields follow by their kinds."""
    rules = []
    for f, name in present.items():
        column = table.columns[name]
        if f.kind == "name":
            rules.append(Rule(name, column.missing_sql, _MISSING.format("every row needs one"), f.title))
        elif f.kind in _RULES and (f.required or f.kind != "meaning"):
            test, message = _RULES[f.kind]
            test = test.format(x=value_sql(column, f.kind), raw=column.sql)
            rules.append(Rule(name, f"({test})", message.replace("{why}", f.why), f.title))
    return rules


@dataclass(frozen=True)
class Reader:
    """Reads columns of a table and collects complaints.

    Attributes:
        db: the database.
        table: a staged table.
        example: SQL for the name of an example, or NULL.
        complaints: the complaints so far.
    """

    db: DuckDBPyConnection
    table: Table
    example: str
    complaints: list[str] = field(default_factory=list)

    def complain(self, name: str, what: str, title: str = "") -> None:
        """Add a complaint about a column, with the option that names it as `Field.title`."""
        self.complaints.append(self.table.complaint(f"column '{name}'{title} {what}"))

    def check(self, rules: Sequence[Rule]) -> None:
        """Complain of every rule that rows break; all rules are tested in one pass."""
        counts = offending(self.db, self.table, [rule.test for rule in rules], self.example)
        for rule, rows in zip(rules, counts, strict=True):
            if rows:
                listed = "{values}" in rule.message and quoted(self.db, self.table, rule.column, rule.test)
                what = rule.message.format(rows=rows, values=listed)
                self.complain(rule.column, what, rule.title)

    def read(self, f: Field, name: str) -> Distinct:
        """Read the distinct values of a column; complain if there are too many or some are missing."""
        limit, advice = _LIMITS[f.kind]
        try:
            values = distinct(self.db, self.table, name, limit)
        except Unreadable as error:
            if f.option == "prediction":
                advice += " (probabilities are for --score)"
            self.complain(name, f"has {error}: it looks like an id or a number; {advice}.", f.title)
            return Distinct("", {}, 0)
        if values.missing:
            advice = "every row needs one"
            if f.kind == "group":
                advice = "give such rows a group of their own, for example 'unknown'"
            missing = self.table.columns[name].missing_sql
            self.check([Rule(name, missing, _MISSING.format(advice), f.title)])
        if f.kind == "class":
            odd = describe_nested_labels(values.counts)
        else:
            nested = several_values(values.counts, intervals=True)
            odd = nested and f"is nested (first: '{nested[:60]}'); give one value per row."
        if odd:
            self.complain(name, odd, f.title)
        return values

    def read_all(self, present: Mapping[Field, str], kind: Kind) -> dict[str, Distinct]:
        """Read the distinct values of every column of one kind."""
        return {name: self.read(f, name) for f, name in present.items() if f.kind == kind}


def offending(
    db: DuckDBPyConnection, table: Table, tests: Sequence[str], example: str, *, value: str = ""
) -> list[str]:
    """Count the rows that meet each condition, and name the first of them.

    Args:
        db: the database.
        table: a staged table.
        tests: conditions in SQL.
        example: SQL for the name of an example, or NULL.
        value: SQL for the value at fault, which the sentence shows; empty to omit it.

    Returns:
        Texts such as `2 rows (first: example 'r0', '7')`; empty if no row meets the condition.
    """
    if not tests:
        return []
    parts = ", ".join(f"count(*) FILTER ({test})" for test in tests)
    counts = single_row(db, f"SELECT {parts} FROM {table.relation}")
    results = []
    for test, count in zip(tests, counts, strict=True):
        first = ""
        if count and (example != "NULL" or value):
            name, odd = single_row(
                db,
                f"SELECT name, CAST({value or 'NULL'} AS VARCHAR) FROM (SELECT *, {example} AS name FROM "
                f"{table.relation} WHERE {test}) ORDER BY name LIMIT 1",
            )
            parts_of_first = [f"example '{name}'"] if name is not None else []
            parts_of_first += [f"'{_short(odd)}'" if odd is not None else "no value"] if value else []
            first = f" (first: {', '.join(parts_of_first)})" if parts_of_first else ""
        results.append(f"{plural(count, 'row')}{first}" if count else "")
    return results


def _short(text: str) -> str:
    """Shorten a value for a sentence: numbers to six digits, texts to 40 characters."""
    try:
        return text if len(text) <= 8 else f"{float(text):.6g}"
    except ValueError:
        return text[:40]
