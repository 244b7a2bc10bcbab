"""The arms and runs of tables: listed, compared and numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table
from evenhand.tables.schema import ArmRun, Columns
from evenhand.tables.values import in_order, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class TableRun:
    """A run that a table has rows of.

    Attributes:
        name: its arm and run.
        texts: what its rows have in the columns that name it, by the keys of `run_texts_sql`.
    """

    name: ArmRun
    texts: Mapping[str, str]


def run_texts_sql(table: Table, columns: Columns) -> dict[str, str]:
    """Return SQL for the texts by which columns of a table `t` name a row's arm and run."""
    names = {"arm": columns.arm, "run": columns.run}
    return {key: table.columns[name].of("t").text_sql for key, name in names.items() if name is not None}


def runs_of_table(db: DuckDBPyConnection, table: Table, texts: Mapping[str, str]) -> tuple[TableRun, ...]:
    """List the runs of a staged table; what no column names, the table's source does.

    Args:
        db: the database.
        table: a staged table.
        texts: SQL for what tells its runs apart, such as `run_texts_sql`.
    """
    source = table.source
    if not texts:
        return (TableRun(ArmRun(source.arm, source.run), {}),)
    fields = ", ".join(f"{sql} AS {key}" for key, sql in texts.items())
    rows = db.execute(f"SELECT DISTINCT {fields} FROM {table.relation} AS t ORDER BY ALL").fetchall()
    runs = [dict(zip(texts, row, strict=True)) for row in rows]
    return tuple(
        TableRun(ArmRun(tidy(run.get("arm")) or source.arm, tidy(run.get("run")) or source.run), run)
        for run in runs
    )


def list_arm_runs(tables: Sequence[Sequence[TableRun]]) -> tuple[ArmRun, ...]:
    """List every (arm, run): arms in the order of the tables, then as numbers or text, and so are runs.

    Args:
        tables: the runs of each table.
    """
    arms: dict[str, dict[str, None]] = {}
    for runs in tables:
        names = [run.name for run in runs]
        for arm in in_order(name.arm for name in names):
            arms.setdefault(arm, {}).update(dict.fromkeys(in_order(r for a, r in names if a == arm)))
    return tuple(ArmRun(arm, run) for arm, runs_of_arm in arms.items() for run in runs_of_arm)


def unlike_runs(arm_runs: Sequence[ArmRun]) -> list[str]:
    """Complain of arms whose runs have other names than the first arm's, since runs are paired by name."""
    runs: dict[str, list[str]] = {}
    for arm, run in arm_runs:
        runs.setdefault(arm, []).append(run)
    (first, expected), *others = runs.items()
    return [
        f"--resplit pairs the runs of all arms by name, but '{first}' has {', '.join(expected[:10])} and "
        f"'{arm}' has {', '.join(names[:10])}; name the column of runs with --run."
        for arm, names in others
        if set(names) != set(expected)
    ]


def run_index_sql(
    db: DuckDBPyConnection,
    table: Table,
    texts: Mapping[str, str],
    indices: Sequence[tuple[TableRun, int]],
    joins: list[str],
) -> str:
    """Return SQL for the index of a row's run.

    Args:
        db: the database.
        table: a staged table, called `t` in SQL.
        texts: SQL for what tells its runs apart, as `runs_of_table` took it.
        indices: its runs with their indices.
        joins: gets the join that the index needs.
    """
    if not texts:
        return str(indices[0][1])
    relation = f"k{table.number}"
    listed = ", ".join(f"unnest(?::VARCHAR[]) AS {key}" for key in texts)
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT {listed}, unnest(?::SMALLINT[]) AS k",
        [*([run.texts[key] for run, _ in indices] for key in texts), [index for _, index in indices]],
    )
    joins.append(
        f"LEFT JOIN {relation} ON {' AND '.join(f'{sql} = {relation}.{key}' for key, sql in texts.items())}"
    )
    return f"{relation}.k"
