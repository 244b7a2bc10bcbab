"""Validate one table of signals, report all complaints about it at once, and fetch its columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from evenhand.errors import nearest
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.io.formats import stage
from evenhand.tables.io.quoted import quoted
from evenhand.tables.predictions.columns import SPLIT, selection_sql
from evenhand.tables.predictions.scores import match_columns
from evenhand.tables.predictions.validate import MAX_GROUPS, group_columns
from evenhand.tables.schema import BoolArray, Columns, FloatArray
from evenhand.tables.signals.schema import TARGET
from evenhand.tables.values import (
    flag_sql,
    is_list,
    is_nested,
    missing_sql,
    name_sql,
    offending,
    shape_of,
    text_sql,
    tidy,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SIGNALS = ("loss", "margin", "base_loss")
LOSSES = ("loss", "base_loss")
ROLE, MEMBER = "model_role", "in_training"

#: A cross-entropy below 0 by less than this is a rounding error.
ROUNDING = 1e-6
NO_RECORD = (
    "membership must come from the ids that a run recorded when it was trained: it is never guessed or "
    "derived from a new split"
)


@dataclass(frozen=True)
class Key:
    """The key of one model's rows: its arm, run and role."""

    arm: str
    run: str
    role: str

    @property
    def target(self) -> bool:
        """True if the model is attacked."""
        return self.role == TARGET

    def __str__(self) -> str:
        return f"'{self.arm}' run '{self.run}'" + ("" if self.target else f" {self.role}")


@dataclass(frozen=True)
class RunTable:
    """Signals of one model, sorted by id.

    Attributes:
        key: the model.
        ids: [n] names of the examples.
        member: [n] True if they were in its training set.
        signals: [n, views] by name.
        groups: [n] names by partition column.
        flags: [n] by membership column.
    """

    key: Key
    ids: list[str]
    member: BoolArray
    signals: dict[str, FloatArray]
    groups: dict[str, list[str]]
    flags: dict[str, BoolArray]


@dataclass(frozen=True)
class ValidatedSignals:
    """A table that has passed the checks that do not need another table."""

    table: Table
    rows: int
    members: dict[str, tuple[str, ...]]
    parts: list[RunTable]
    models: tuple[str, ...]


def validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, signals: Collection[str] = SIGNALS
) -> ValidatedSignals | list[str] | None:
    """Validate a table by itself and fetch its rows.

    Args:
        db: the database.
        table: an opened table.
        columns: names of its columns.
        signals: the signals to read, besides the loss; others are ignored.

    Returns:
        The validated table, every complaint about it, or None if no row is selected.
    """
    unread = set(SIGNALS) - {"loss", *signals}
    table = replace(table, columns={k: v for k, v in table.columns.items() if k not in unread})
    columns = by_default(table, columns)
    needed, complaints = _needed(table, columns)
    without_split = {k: v for k, v in table.columns.items() if k != SPLIT or columns.split is not None}
    selection = selection_sql(db, replace(table, columns=without_split), columns, must_match=False)
    if isinstance(selection, list):
        complaints += selection
    if complaints or isinstance(selection, list):
        return [table.say(complaint) for complaint in complaints]
    table = stage(db, table, needed, selection)
    rows = int(single_row(db, f"SELECT count(*) FROM {table.relation}")[0])
    if not rows:
        return [table.say("has no rows.")] if selection == "true" else None
    members = {pattern: match_columns(pattern, table.columns) for pattern in columns.memberships}
    complaints = _values(db, table, columns, members)
    if complaints:
        return [table.say(complaint) for complaint in complaints]
    models: tuple[str, ...] = ()
    if "model" in table.columns:
        sql = text_sql(table.columns["model"], table.types["model"])
        model_rows = db.execute(f"SELECT DISTINCT {sql} AS v FROM {table.relation} ORDER BY v").fetchall()
        models = tuple(str(v) for (v,) in model_rows if v is not None)
    return ValidatedSignals(table, rows, members, _fetch_runs(db, table, columns, members), models)


def by_default(table: Table, columns: Columns) -> Columns:
    """Return the columns of a call, with `arm` and `run` of a run's own file by default."""
    arm, run = columns.arm, columns.run
    if arm is None and not columns.names and "arm" in table.columns:
        arm = "arm"
    if run is None and "run" in table.columns:
        run = "run"
    return replace(columns, arm=arm, run=run)


def _needed(table: Table, columns: Columns) -> tuple[list[str], list[str]]:
    """List the needed columns, and complain of missing and nested ones."""
    known = list(table.columns)
    required: list[tuple[str, str | None, str]] = [("--id", columns.id, ""), ("", MEMBER, f": {NO_RECORD}")]
    required.append(("", "loss", ""))
    required += [("--by", name, "") for name in group_columns(columns)]
    required += [("--arm", columns.arm, ""), ("--run", columns.run, "")]
    complaints: dict[str, None] = {}
    single = [name for name in (ROLE, "model") if name in table.columns]
    for option, name, why in required:
        if name is None:
            continue
        if name not in table.columns:
            option_text = f" ({option})" if option else ""
            complaints[f"column '{name}'{option_text} not found{why}; {nearest(name, known)}"] = None
        elif name != "loss":
            single.append(name)
    for pattern in columns.memberships:
        names = match_columns(pattern, known)
        single += names
        if not names:
            complaints[f"--memberships '{pattern}' matches no column; {nearest(pattern, known)}"] = None
    for name in dict.fromkeys(single):
        if is_nested(table.types[name]):
            complaints[
                f"column '{name}' is nested ({shape_of(table.types[name])}); give one value per row."
            ] = None
    signals = [name for name in SIGNALS if name in table.columns]
    for name in signals:
        kind = table.types[name]
        if is_nested(kind) and not is_list(kind):
            complaints[
                f"column '{name}' is nested ({shape_of(kind)}); give a number, or a list of numbers."
            ] = None
    return list(dict.fromkeys((*single, *signals))), list(complaints)


def _list_sql(table: Table, name: str) -> str:
    """Return SQL for a signal as a list of numbers; NULL for other values."""
    sql, kind = table.columns[name], table.types[name]
    if kind.startswith("BOOLEAN"):
        return "NULL::DOUBLE[]"  # true is not a loss of 1
    if is_list(kind):
        return f"TRY_CAST({sql} AS DOUBLE[])"
    single = f"TRY_CAST({sql} AS DOUBLE)"
    if kind == "VARCHAR":
        trimmed = f"trim({sql})"
        single = f"TRY_CAST({trimmed} AS DOUBLE)"
        return (
            f"CASE WHEN starts_with({trimmed}, '[') THEN TRY_CAST({trimmed} AS DOUBLE[]) "
            f"WHEN {single} IS NULL THEN NULL ELSE [{single}] END"
        )
    return f"CASE WHEN {single} IS NULL THEN NULL ELSE [{single}] END"


def _key_sql(table: Table, columns: Columns) -> dict[str, str]:
    """Return SQL for the id, arm, run and role of a row."""

    def text(name: str | None) -> str:
        if name is None or name not in table.columns:
            return "NULL"
        return text_sql(table.columns[name], table.types[name])

    key = name_sql(table.columns[columns.id], table.types[columns.id])
    role = _role_sql(table) if ROLE in table.columns else "NULL"
    return {"id": key, "a": text(columns.arm), "r": text(columns.run), "k": role}


def _role_sql(table: Table) -> str:
    """Return SQL for a model's role in lower case without blanks; NULL if it is empty."""
    return f"nullif(lower(trim({text_sql(table.columns[ROLE], table.types[ROLE])})), '')"


def _some_role(table: Table) -> str:
    """Return SQL for the test that any row has a role; a column without any role is ignored."""
    return f"(SELECT bool_or({_role_sql(table)} IS NOT NULL) FROM {table.relation})"


def _values(
    db: DuckDBPyConnection, table: Table, columns: Columns, members: dict[str, tuple[str, ...]]
) -> list[str]:
    """Complain of missing and invalid values, and of rows that occur twice."""
    keys = _key_sql(table, columns)
    tests = [*_key_tests(table, columns), *_flag_tests(table, members), *_signal_tests(table)]
    counts = offending(db, table, [test for _, _, test in tests], keys["id"])
    complaints = [
        f"{what} {count:,} rows{first}{_quote_values(quoted(db, table, name, test))}."
        for (name, what, test), (count, first) in zip(tests, counts, strict=True)
        if count
    ]
    for name in group_columns(columns):
        sql = text_sql(table.columns[name], table.types[name])
        (kinds,) = single_row(db, f"SELECT count(DISTINCT {sql}) FROM {table.relation}")
        if kinds > MAX_GROUPS:
            complaints.append(
                f"column '{name}' (--by) has {kinds:,} different values; bin it into groups first."
            )
    complaints += _complain_of_repeated(db, table, keys) + _complain_of_unlike_views(db, table)
    return complaints


def _quote_values(values: str) -> str:
    """Append the values at fault to a complaint; missing ones are mentioned already."""
    return "" if values == "nothing" else f": {values}"


def _key_tests(table: Table, columns: Columns) -> list[tuple[str, str, str]]:
    """List tests of columns of names and groups: (column, complaint, SQL condition)."""
    tests = [
        (
            name,
            f"column '{name}' ({option}) has no value in",
            missing_sql(table.columns[name], table.types[name]),
        )
        for option, name in (("--id", columns.id), ("--arm", columns.arm), ("--run", columns.run))
        if name is not None
    ]
    tests += [
        (
            name,
            f"column '{name}' (--by) has no value (give such rows a group of their own, for example "
            "'unknown') in",
            missing_sql(table.columns[name], table.types[name]),
        )
        for name in group_columns(columns)
    ]
    if ROLE in table.columns:
        # A misspelt role would turn the attacked model into a reference.
        bad = f"NOT regexp_full_match({_role_sql(table)}, '{TARGET}|reference.*')"
        what = f"column '{ROLE}' is neither '{TARGET}' nor 'reference 0', 'reference 1', ... in"
        tests.append((ROLE, what, f"coalesce({bad}, {_some_role(table)})"))
    return tests


def _flag_tests(table: Table, members: dict[str, tuple[str, ...]]) -> list[tuple[str, str, str]]:
    """List tests of columns of 0 and 1: (column, complaint, SQL condition)."""
    reasons = {MEMBER: f"is neither 0 nor 1 ({NO_RECORD}) in"}
    reasons |= {name: "(--memberships) is neither 0 nor 1 in" for names in members.values() for name in names}
    return [
        (name, f"column '{name}' {why}", f"{flag_sql(table.columns[name], table.types[name])} IS NULL")
        for name, why in reasons.items()
    ]


def _signal_tests(table: Table) -> list[tuple[str, str, str]]:
    """List tests of columns of signals: (column, complaint, SQL condition)."""
    tests = []
    for name in (name for name in SIGNALS if name in table.columns):
        values = _list_sql(table, name)
        finite = (
            f"({values} IS NOT NULL AND len({values}) > 0 AND "
            f"list_bool_and([x IS NOT NULL AND isfinite(x) FOR x IN {values}]) IS TRUE)"
        )
        tests.append((name, f"column '{name}' has no finite number in", f"NOT {finite}"))
        if name in LOSSES:
            what = (
                f"column '{name}' is below 0, but a cross-entropy is at least 0 (negate log-likelihoods: "
                f"{name} = -log_prob), in"
            )
            tests.append((name, what, f"({finite} AND list_min({values}) < -{ROUNDING})"))
    return tests


def _complain_of_repeated(db: DuckDBPyConnection, table: Table, keys: dict[str, str]) -> list[str]:
    by = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
    count, first = single_row(
        db,
        f"SELECT count(*), min(id) FROM (SELECT id FROM (SELECT {by} FROM {table.relation}) "
        "GROUP BY id, a, r, k HAVING count(*) > 1)",
    )
    if not count:
        return []
    return [
        f"{count:,} examples occur more than once in one run and role (first: '{first}'); give one row per "
        "example, arm, run and model_role."
    ]


def _complain_of_unlike_views(db: DuckDBPyConnection, table: Table) -> list[str]:
    """Complain of rows and signals whose numbers of views differ."""
    sizes: dict[str, tuple[int, int]] = {}
    for name in SIGNALS:
        if name in table.columns:
            values = _list_sql(table, name)
            low, high = single_row(db, f"SELECT min(len({values})), max(len({values})) FROM {table.relation}")
            if low is not None:
                sizes[name] = (int(low), int(high))
    if len({n for pair in sizes.values() for n in pair}) < 2:
        return []
    listed = ", ".join(f"'{k}' {a}" if a == b else f"'{k}' {a} to {b}" for k, (a, b) in sizes.items())
    return [
        f"rows and signals have different numbers of views ({listed}); every row must have the same views."
    ]


def _fetch_runs(
    db: DuckDBPyConnection, table: Table, columns: Columns, members: dict[str, tuple[str, ...]]
) -> list[RunTable]:
    """Fetch the rows of every model, sorted by id."""
    keys = _key_sql(table, columns)
    fields = [f"{sql} AS {name}" for name, sql in keys.items()]
    fields.append(f"{flag_sql(table.columns[MEMBER], table.types[MEMBER])} AS m")
    views: dict[str, int] = {}
    for name in SIGNALS:
        if name in table.columns:
            values = _list_sql(table, name)
            views[name] = int(single_row(db, f"SELECT max(len({values})) FROM {table.relation}")[0])
            fields += [f"({values})[{v + 1}] AS {name}{v}" for v in range(views[name])]
    groups = group_columns(columns)
    fields += [f"{text_sql(table.columns[g], table.types[g])} AS g{i}" for i, g in enumerate(groups)]
    flags = list(dict.fromkeys(n for names in members.values() for n in names))
    fields += [f"{flag_sql(table.columns[f], table.types[f])} AS f{i}" for i, f in enumerate(flags)]
    rows = db.execute(f"SELECT {', '.join(fields)} FROM {table.relation} ORDER BY a, r, k, id").fetchnumpy()
    # Rows are sorted by model, so each model is one slice between two changes of its key.
    model_keys = [rows[name].tolist() for name in ("a", "r", "k")]
    n = len(rows["id"])
    edges = [0, *(i for i in range(1, n) if any(key[i] != key[i - 1] for key in model_keys)), n]
    source, runs = table.source, []
    for start, end in pairwise(edges):
        at = slice(start, end)
        arm, run, role = (tidy(key[start]) for key in model_keys)
        runs.append(
            RunTable(
                key=Key(arm or source.arm, run or source.run, role or TARGET),
                ids=[str(name) for name in rows["id"][at]],
                member=np.asarray(rows["m"][at]) == 1,
                signals={
                    k: np.stack(
                        [np.asarray(rows[f"{k}{v}"][at], dtype=np.float64) for v in range(count)], axis=1
                    )
                    for k, count in views.items()
                },
                groups={g: _tidied(rows[f"g{i}"][at].tolist()) for i, g in enumerate(groups)},
                flags={f: np.asarray(rows[f"f{i}"][at]) == 1 for i, f in enumerate(flags)},
            )
        )
    return runs


def _tidied(values: Sequence[object]) -> list[str]:
    known = {value: tidy(str(value)) or "" for value in set(values)}
    return [known[value] for value in values]
