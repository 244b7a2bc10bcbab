"""Validate one table of signals, report all complaints about it at once, and fetch its rows by model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from evenhand.tables.io.database import Table, single_row
from evenhand.tables.reader.checks import Reader, Rule, rules_of
from evenhand.tables.reader.fields import RUN_FIELDS, Field, group_fields, member_columns, value_sql
from evenhand.tables.reader.read import SelectedTable, select_rows
from evenhand.tables.reader.runs import ArmRun, TableRun
from evenhand.tables.schema import BoolArray, Columns, FloatArray
from evenhand.tables.signals.schema import TARGET
from evenhand.tables.values import tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SIGNALS = ("loss", "margin", "base_loss")
LOSSES = ("loss", "base_loss")
ROLE, MEMBER = "model_role", "in_training"

#: A cross-entropy below 0 by less than this is a rounding error.
ROUNDING = 1e-6
_FIELDS = (
    Field("example_id", "name", option="id"),
    Field(MEMBER, "flag", why=" (membership must come from the ids that a run recorded when it was trained: "
          "it is never guessed or derived from a new split)"),
    Field(ROLE, "text", required=False),
    Field("model", "text", required=False),
)  # fmt: skip


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
class ModelRows:
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
    """A table that has passed the checks that do not need another table.

    Attributes:
        selected: its rows, groups and runs.
        parts: the rows of each model.
        models: names of the base models.
    """

    selected: SelectedTable
    parts: list[ModelRows]
    models: tuple[str, ...]


def validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, signals: Collection[str] = SIGNALS
) -> ValidatedSignals | list[str]:
    """Validate a table by itself and fetch its rows.

    Args:
        db: the database.
        table: an opened table.
        columns: names of its columns.
        signals: the signals to read, besides the loss; others are ignored.

    Returns:
        The validated table, or every complaint about it: none if no row is selected.
    """
    columns = by_default(table, columns)
    read = [Field(name, "numbers", required=name == "loss") for name in SIGNALS if name in {"loss", *signals}]
    fields = (*_FIELDS, *read, *group_fields(columns), *RUN_FIELDS)
    selected = select_rows(db, table, fields, columns, "signals", one_of_many=True)
    if isinstance(selected, list):
        return selected
    table = selected.table
    reader = Reader(db, table, table.columns[columns.id].name_sql)
    reader.check([*rules_of(table, selected.fields), *_rules(selected)])
    groups = reader.read_all(selected.fields, "group")
    reader.read_all(selected.fields, "run")
    keys = _key_sql(table, columns)
    reader.complaints.extend(map(table.complaint, _complain_of_repeated(db, table, keys)))
    reader.complaints.extend(map(table.complaint, _complain_of_unlike_views(db, selected)))
    if reader.complaints:
        return reader.complaints
    parts = _fetch_models(db, selected, keys, list(groups))
    runs = tuple(TableRun(ArmRun(part.key.arm, part.key.run)) for part in parts)
    return ValidatedSignals(replace(selected, groups=groups, runs=runs), parts, _base_models(db, table))


def by_default(table: Table, columns: Columns) -> Columns:
    """Return the columns of a call, with `arm` and `run` of a run's own file by default."""
    arm, run = columns.arm, columns.run
    if arm is None and not columns.names and "arm" in table.columns:
        arm = "arm"
    if run is None and "run" in table.columns:
        run = "run"
    return replace(columns, arm=arm, run=run)


def _key_sql(table: Table, columns: Columns) -> dict[str, str]:
    """Return SQL for the id, arm, run and role of a row."""
    arm, run = (
        "NULL" if name is None else table.columns[name].text_sql for name in (columns.arm, columns.run)
    )
    role = _role_sql(table) if ROLE in table.columns else "NULL"
    return {"id": table.columns[columns.id].name_sql, "a": arm, "r": run, "k": role}


def _role_sql(table: Table) -> str:
    """Return SQL for a model's role in lower case without blanks; NULL if it is empty."""
    return f"nullif(lower(trim({table.columns[ROLE].text_sql})), '')"


def _views_sql(selected: SelectedTable) -> dict[str, str]:
    """Return SQL for the list of views of each signal."""
    columns = selected.table.columns
    return {f.name: value_sql(columns[f.name], "numbers") for f in selected.fields if f.kind == "numbers"}


def _rules(selected: SelectedTable) -> list[Rule]:
    """List the rules that only signals follow."""
    table = selected.table
    rules = [
        Rule(
            name,
            f"(list_min({views}) < -{ROUNDING} AND isfinite(list_sum({views})))",
            f"is below 0, but a cross-entropy is at least 0 (negate log-likelihoods: {name} = -log_prob), in "
            "{count:,} rows{first}: {values}.",
        )
        for name, views in _views_sql(selected).items()
        if name in LOSSES
    ]
    if ROLE in table.columns:
        # A misspelt role would turn the attacked model into a reference; a column without any is ignored.
        role = _role_sql(table)
        some_role = f"(SELECT bool_or({role} IS NOT NULL) FROM {table.relation})"
        bad = f"coalesce(NOT regexp_full_match({role}, '{TARGET}|reference.*'), {some_role})"
        what = f"is neither '{TARGET}' nor 'reference 0', 'reference 1', ... in"
        rules.append(Rule(ROLE, bad, f"{what} {{count:,}} rows{{first}}: {{values}}."))
    return rules


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


def _complain_of_unlike_views(db: DuckDBPyConnection, selected: SelectedTable) -> list[str]:
    """Complain of rows and signals whose numbers of views differ."""
    sizes: dict[str, tuple[int, int]] = {}
    for name, views in _views_sql(selected).items():
        low, high = single_row(
            db, f"SELECT min(len({views})), max(len({views})) FROM {selected.table.relation}"
        )
        if low is not None:
            sizes[name] = (int(low), int(high))
    if len({n for pair in sizes.values() for n in pair}) < 2:
        return []
    listed = ", ".join(f"'{k}' {a}" if a == b else f"'{k}' {a} to {b}" for k, (a, b) in sizes.items())
    return [
        f"rows and signals have different numbers of views ({listed}); every row must have the same views."
    ]


def _base_models(db: DuckDBPyConnection, table: Table) -> tuple[str, ...]:
    """List the base models that a column `model` names."""
    if "model" not in table.columns:
        return ()
    sql = table.columns["model"].text_sql
    rows = db.execute(f"SELECT DISTINCT {sql} AS v FROM {table.relation} ORDER BY v").fetchall()
    return tuple(str(v) for (v,) in rows if v is not None)


def _fetch_models(
    db: DuckDBPyConnection, selected: SelectedTable, keys: Mapping[str, str], groups: Sequence[str]
) -> list[ModelRows]:
    """Fetch the rows of every model, sorted by id."""
    table, source = selected.table, selected.table.source
    fields = [f"{sql} AS {name}" for name, sql in keys.items()]
    fields.append(f"{table.columns[MEMBER].flag_sql} AS m")
    n_views: dict[str, int] = {}
    for name, views in _views_sql(selected).items():
        n_views[name] = int(single_row(db, f"SELECT max(len({views})) FROM {table.relation}")[0])
        fields += [f"({views})[{v + 1}] AS {name}{v}" for v in range(n_views[name])]
    flags = member_columns(selected.members)
    fields += [f"{table.columns[g].text_sql} AS g{i}" for i, g in enumerate(groups)]
    fields += [f"{table.columns[f].flag_sql} AS f{i}" for i, f in enumerate(flags)]
    rows = db.execute(f"SELECT {', '.join(fields)} FROM {table.relation} ORDER BY a, r, k, id").fetchnumpy()
    # Rows are sorted by model, so each model is one slice between two changes of its key.
    model_keys = [rows[name].tolist() for name in ("a", "r", "k")]
    n = len(rows["id"])
    edges = [0, *(i for i in range(1, n) if any(key[i] != key[i - 1] for key in model_keys)), n]
    models = []
    for start, end in pairwise(edges):
        at = slice(start, end)
        arm, run, role = (tidy(key[start]) for key in model_keys)
        models.append(
            ModelRows(
                key=Key(arm or source.arm, run or source.run, role or TARGET),
                ids=[str(name) for name in rows["id"][at]],
                member=np.asarray(rows["m"][at]) == 1,
                signals={
                    k: np.stack(
                        [np.asarray(rows[f"{k}{v}"][at], dtype=np.float64) for v in range(count)], axis=1
                    )
                    for k, count in n_views.items()
                },
                groups={g: _tidied(rows[f"g{i}"][at].tolist()) for i, g in enumerate(groups)},
                flags={f: np.asarray(rows[f"f{i}"][at]) == 1 for i, f in enumerate(flags)},
            )
        )
    return models


def _tidied(values: Sequence[object]) -> list[str]:
    known = {value: tidy(str(value)) or "" for value in set(values)}
    return [known[value] for value in values]
