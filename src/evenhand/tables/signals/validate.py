"""Validate one table of signals, report all complaints about it at once, as every kind of table is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from evenhand.tables.io.database import Table, single_row
from evenhand.tables.reader.checks import Reader, Rule, rules_of
from evenhand.tables.reader.fields import RUN_FIELDS, Field, group_fields, value_sql
from evenhand.tables.reader.read import SelectedTable, select_rows
from evenhand.tables.reader.runs import run_texts_sql, runs_of_table
from evenhand.tables.schema import ArmRun, Columns
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


class Model(NamedTuple):
    """A model: the arm, run and role of its rows."""

    arm: str
    run: str
    role: str

    @property
    def target(self) -> bool:
        """True if the model is attacked."""
        return self.role == TARGET

    @property
    def name(self) -> ArmRun:
        """Its arm, and the run with the role of a reference."""
        return ArmRun(self.arm, self.run if self.target else f"{self.run} {self.role}")

    def __str__(self) -> str:
        return f"'{self.arm}' run '{self.run}'" + ("" if self.target else f" {self.role}")


@dataclass(frozen=True)
class ValidatedSignals:
    """A table that has passed the checks that do not need another table.

    Attributes:
        selected: its rows, groups and runs, one for each model.
        texts: SQL for what tells its models apart.
        models: the model of each run.
        bases: names of the base models.
        views: number of views of a row.
    """

    selected: SelectedTable
    texts: Mapping[str, str]
    models: tuple[Model, ...]
    bases: tuple[str, ...]
    views: int

    def signal_sql(self, name: str) -> str | None:
        """Return SQL for the list of views of a signal; None if the table does not have it."""
        return _views_sql(self.selected).get(name)


def validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, signals: Collection[str] = SIGNALS
) -> ValidatedSignals | list[str]:
    """Validate a table by itself.

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
    key = table.columns[columns.id].of("t").name_sql
    reader = Reader(db, table, table.columns[columns.id].name_sql)
    reader.check([*rules_of(table, selected.fields), *_rules(selected)])
    groups = reader.read_all(selected.fields, "group")
    reader.read_all(selected.fields, "run")
    texts = run_texts_sql(table, columns)
    if ROLE in table.columns:
        texts["role"] = f"coalesce({_role_sql(table)}, '{TARGET}')"
    reader.complaints.extend(map(table.complaint, _complain_of_repeated(db, table, [key, *texts.values()])))
    views, complaints = _count_views(db, selected)
    reader.complaints.extend(map(table.complaint, complaints))
    if reader.complaints:
        return reader.complaints
    runs = runs_of_table(db, table, texts)
    models = tuple(Model(*run.name, tidy(run.texts.get("role")) or TARGET) for run in runs)
    selected = replace(selected, groups=groups, runs=runs)
    return ValidatedSignals(selected, texts, models, _base_models(db, table), views)


def by_default(table: Table, columns: Columns) -> Columns:
    """Return the columns of a call, with `arm` and `run` of a run's own file by default."""
    arm, run = columns.arm, columns.run
    if arm is None and not columns.names and "arm" in table.columns:
        arm = "arm"
    if run is None and "run" in table.columns:
        run = "run"
    return replace(columns, arm=arm, run=run)


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
            "{rows}: {values}.",
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
        rules.append(Rule(ROLE, bad, f"{what} {{rows}}: {{values}}."))
    return rules


def _complain_of_repeated(db: DuckDBPyConnection, table: Table, key: Sequence[str]) -> list[str]:
    """Complain of examples that occur twice in a model; `key` is SQL for the example and the model."""
    count, first = single_row(
        db,
        f"SELECT count(*), min(id) FROM (SELECT {key[0]} AS id FROM {table.relation} AS t "
        f"GROUP BY {', '.join(key)} HAVING count(*) > 1)",
    )
    if not count:
        return []
    return [
        f"{count:,} examples occur more than once in one run and role (first: '{first}'); give one row per "
        "example, arm, run and model_role."
    ]


def _count_views(db: DuckDBPyConnection, selected: SelectedTable) -> tuple[int, list[str]]:
    """Count the views of a row; complain of rows and signals whose numbers of views differ."""
    sizes: dict[str, tuple[int, int]] = {}
    for name, views in _views_sql(selected).items():
        sql = f"SELECT min(len({views})), max(len({views})) FROM {selected.table.relation} AS t"
        low, high = single_row(db, sql)
        if low is not None:
            sizes[name] = (int(low), int(high))
    counts = {n for pair in sizes.values() for n in pair}
    if len(counts) < 2:
        return max(counts, default=0), []
    listed = ", ".join(f"'{k}' {a}" if a == b else f"'{k}' {a} to {b}" for k, (a, b) in sizes.items())
    return 0, [
        f"rows and signals have different numbers of views ({listed}); every row must have the same views."
    ]


def _base_models(db: DuckDBPyConnection, table: Table) -> tuple[str, ...]:
    """List the base models that a column `model` names."""
    if "model" not in table.columns:
        return ()
    sql = table.columns["model"].text_sql
    rows = db.execute(f"SELECT DISTINCT {sql} AS v FROM {table.relation} ORDER BY v").fetchall()
    return tuple(str(v) for (v,) in rows if v is not None)
