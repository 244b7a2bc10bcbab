"""Check one table, and say everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.tables import scores as scoring
from evenhand.tables.database import Table, Unreadable, single_row
from evenhand.tables.formats import stage
from evenhand.tables.schema import Columns
from evenhand.tables.scores import Scores, matched, score_columns
from evenhand.tables.values import (
    Distinct,
    distinct,
    example_sql,
    flag_sql,
    missing_sql,
    number_sql,
    offending,
    shown,
    text_sql,
    tidy,
)
from evenhand.tables.wanted import condition, filters, needed_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_GROUPS = 200
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Checked:
    """A table that has passed all checks that need no other table.

    Attributes:
        table: the needed columns of the wanted rows.
        rows: how many there are.
        has_id: whether there is a column of ids.
        labels: values of the label column.
        predictions: values of the prediction column, or None.
        groups: values of each partition column.
        memberships: columns of each membership pattern, in order.
        scores: where scores are, or None.
        pairs: its arms and runs: the texts that arm and run columns have for them, and their names.
        remarks: what is worth knowing.
    """

    table: Table
    rows: int
    has_id: bool
    labels: Distinct
    predictions: Distinct | None
    groups: dict[str, Distinct]
    memberships: dict[str, tuple[str, ...]]
    scores: Scores | None
    pairs: list[tuple[str | None, str | None, str, str]]
    remarks: tuple[str, ...] = ()

    @property
    def known(self) -> Collection[str]:
        """Names of all columns, needed or not."""
        return self.table.columns.keys()


def group_columns(columns: Columns) -> tuple[str, ...]:
    """All partition columns that are needed, each once."""
    return tuple(dict.fromkeys((*columns.by, *(name for names in columns.intersect for name in names))))


def examine(db: DuckDBPyConnection, table: Table, columns: Columns, *, several: bool) -> Checked | list[str]:
    """Check a table by itself.

    Args:
        db: the database.
        table: an opened table.
        columns: how its columns are to be read.
        several: whether there are other tables, so that rows must be found by their id.

    Returns:
        The checked table, or every complaint about it.
    """
    needed, complaints = needed_columns(table, columns, several=several)
    rows_wanted = condition(db, table, columns)
    if isinstance(rows_wanted, list):
        complaints += rows_wanted
    if complaints or isinstance(rows_wanted, list):
        return [table.say(complaint) for complaint in complaints]
    table = stage(db, table, needed, rows_wanted)
    rows = int(single_row(db, f"SELECT count(*) FROM {table.relation}")[0])
    if not rows:
        why = "has no rows." if rows_wanted == "true" else f"no rows are left after {filters(columns)}."
        return [table.say(why)]
    return _values(db, table, columns, rows)


def _values(db: DuckDBPyConnection, table: Table, columns: Columns, rows: int) -> Checked | list[str]:
    """Check the values of a staged table."""
    reader = Reader(db, table, example_sql(table, columns.id), [])
    complaints = reader.complaints
    labels = reader.read("--label", columns.label, MOST_CLASSES)
    predictions = None
    if columns.prediction in table.columns:
        predictions = reader.read("--prediction", columns.prediction, MOST_CLASSES)
    groups = {name: reader.read("--by", name, MOST_GROUPS) for name in group_columns(columns)}
    pairs = arms_and_runs(reader, columns)
    members = {pattern: matched(pattern, table.columns) for pattern in columns.memberships}
    check_flags(reader, list(dict.fromkeys(name for names in members.values() for name in names)))
    if columns.weight is not None:
        _check_weights(reader, columns.weight)
    for option, name in (("--id", columns.id), ("--cluster", columns.cluster)):
        if name is not None and name in table.columns:
            check_names(reader, option, name)
    scores = scoring.find(db, table, columns)
    remarks: tuple[str, ...] = ()
    if scores is not None and predictions is not None and not scores.fits(labels.counts):
        ignored = shown(score_columns(table, columns))
        remarks = (table.say(f"columns {ignored} do not name the classes and are not read."),)
        scores = None
    if scores is not None:
        scores, wrong = scoring.check(db, table, scores, reader.example)
        complaints += wrong
    if complaints:
        return complaints
    has_id = columns.id in table.columns
    return Checked(table, rows, has_id, labels, predictions, groups, members, scores, pairs, remarks)


@dataclass(frozen=True)
class Reader:
    """Reads columns of a table and collects complaints.

    Attributes:
        db: the database.
        table: a staged table.
        example: SQL for the name of an example, or NULL.
        complaints: what is wrong so far.
    """

    db: DuckDBPyConnection
    table: Table
    example: str
    complaints: list[str]

    def complain(self, option: str, name: str, what: str) -> None:
        """Add a complaint about a column."""
        self.complaints.append(self.table.say(f"column '{name}' ({option}) {what}"))

    def read(self, option: str, name: str, limit: int) -> Distinct:
        """The different values of a column, with complaints when there are too many or some are missing."""
        try:
            values = distinct(self.db, self.table, name, limit)
        except Unreadable as error:
            advice = {
                "--by": "bin it into groups first",
                "--label": "give classes, not measurements",
                "--prediction": "give classes, not measurements (probabilities are for --score)",
            }.get(option, "give a column that names arms or runs")
            self.complain(option, name, f"has {error}: it looks like an id or a number; {advice}.")
            return Distinct("", {}, 0)
        if values.missing:
            test = missing_sql(self.table.columns[name], self.table.types[name])
            ((count, first),) = offending(self.db, self.table, [test], self.example)
            advice = (
                "give such rows a group of their own, for example 'unknown'"
                if option == "--by"
                else "every row needs one"
            )
            self.complain(option, name, f"has no value in {count:,} rows{first}; {advice}.")
        if "json" in self.table.given.ending and any(text.startswith('{"') for text in values.counts):
            self.complain(option, name, "is nested in some rows; give one value per row.")
        return values


def arms_and_runs(reader: Reader, columns: Columns) -> list[tuple[str | None, str | None, str, str]]:
    """The arms and runs of a table: as its columns say (raw texts), and as they are called."""
    table = reader.table
    if columns.arm is None and columns.run is None:
        return [(None, None, table.given.arm, table.given.run)]
    sql = {"arm": "NULL", "run": "NULL"}
    known = len(reader.complaints)
    for field, name in (("arm", columns.arm), ("run", columns.run)):
        if name is not None:
            reader.read(f"--{field}", name, MOST_CLASSES)
            sql[field] = text_sql(table.columns[name], table.types[name])
    if len(reader.complaints) > known:
        return []
    rows = reader.db.execute(
        f"SELECT {sql['arm']} AS a, {sql['run']} AS r FROM {table.relation} GROUP BY a, r ORDER BY a, r"
    ).fetchall()
    return [(a, r, tidy(a) or table.given.arm, tidy(r) or table.given.run) for a, r in rows]


def check_flags(reader: Reader, names: list[str]) -> None:
    """Complain of membership columns that are not 0 or 1 in every row."""
    table = reader.table
    tests = [f"{flag_sql(table.columns[n], table.types[n])} IS NULL" for n in names]
    found = offending(reader.db, table, tests, reader.example)
    for name, test, (count, first) in zip(names, tests, found, strict=True):
        if count:
            text = text_sql(table.columns[name], table.types[name])
            odd = reader.db.execute(
                f"SELECT DISTINCT {text} AS v FROM {table.relation} WHERE {test} ORDER BY v LIMIT 11"
            ).fetchall()
            values = shown("nothing" if v is None else str(v)[:40] for (v,) in odd)
            reader.complain(
                "--memberships", name, f"is neither 0 nor 1 in {count:,} rows{first}, but {values}."
            )


def _check_weights(reader: Reader, name: str) -> None:
    """Complain of weights that are no finite numbers of at least 0, or all 0."""
    w = number_sql(reader.table.columns[name], reader.table.types[name])
    tests = [f"({w} IS NULL OR NOT isfinite({w}) OR {w} < 0)", f"{w} > 0"]
    (bad, first), (above, _) = offending(reader.db, reader.table, tests, "NULL")
    if bad:
        ((bad, first),) = offending(reader.db, reader.table, tests[:1], reader.example)
        reader.complain(
            "--weight", name, f"has {bad:,} values{first} that are no finite numbers of at least 0."
        )
    elif not above:
        reader.complain("--weight", name, "is 0 in every row; at least one weight is above 0.")


def check_names(reader: Reader, option: str, name: str) -> None:
    """Complain of rows without an id or cluster."""
    test = missing_sql(reader.table.columns[name], reader.table.types[name])
    ((count, first),) = offending(reader.db, reader.table, [test], reader.example)
    if count:
        reader.complain(option, name, f"has no value in {count:,} rows{first}; every row needs one.")
