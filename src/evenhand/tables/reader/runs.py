"""The arms and runs of tables: listed, compared and numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from evenhand.tables.io.database import Table
from evenhand.tables.schema import Columns
from evenhand.tables.values import in_order, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class ArmRun(NamedTuple):
    """One run of an arm, by their names."""

    arm: str
    run: str


@dataclass(frozen=True)
class TableRun:
    """A run that a table has rows of.

    Attributes:
        name: its arm and run.
        arm: text of the column of arms in its rows; None without such a column.
        run: text of the column of runs.
    """

    name: ArmRun
    arm: str | None = None
    run: str | None = None


def runs_of_table(db: DuckDBPyConnection, table: Table, columns: Columns) -> tuple[TableRun, ...]:
    """List the runs of a staged table; what no column names, the table's source does."""
    source = table.source
    if columns.arm is None and columns.run is None:
        return (TableRun(ArmRun(source.arm, source.run)),)
    arm, run = (
        "NULL" if name is None else table.columns[name].text_sql for name in (columns.arm, columns.run)
    )
    rows = db.execute(
        f"SELECT {arm} AS a, {run} AS r FROM {table.relation} GROUP BY a, r ORDER BY a, r"
    ).fetchall()
    return tuple(TableRun(ArmRun(tidy(a) or source.arm, tidy(r) or source.run), a, r) for a, r in rows)


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
    runs: Sequence[TableRun],
    arm_runs: Sequence[ArmRun],
    columns: Columns,
    joins: list[str],
) -> str:
    """Return SQL for the index in `arm_runs` of a row's run; add the join that it needs to `joins`."""
    if columns.arm is None and columns.run is None:
        return str(arm_runs.index(runs[0].name))
    relation = f"k{table.number}"
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT unnest(?::VARCHAR[]) AS a, unnest(?::VARCHAR[]) AS r, "
        "unnest(?::SMALLINT[]) AS k",
        [[run.arm for run in runs], [run.run for run in runs], [arm_runs.index(run.name) for run in runs]],
    )
    on = [
        f"{table.columns[name].of('t').text_sql} = {relation}.{field}"
        for name, field in ((columns.arm, "a"), (columns.run, "r"))
        if name is not None
    ]
    joins.append(f"LEFT JOIN {relation} ON {' AND '.join(on)}")
    return f"{relation}.k"


def gaps_sql(arm_runs: Sequence[ArmRun], present: Sequence[str], *, resplit: bool) -> list[str]:
    """Return SQL for the test that a run lacks a row that it should have, for each run.

    Args:
        arm_runs: the runs.
        present: SQL for the test that a run has the row, for each of them.
        resplit: True if runs have rows of their own; then a row of one arm's run should be in the runs of
            the same name of all arms.
    """
    gaps = [f"NOT ({test})" for test in present]
    if not resplit:
        return gaps
    return [
        f"({gap} AND ({' OR '.join(present[j] for j, other in enumerate(arm_runs) if other.run == run)}))"
        for gap, (_, run) in zip(gaps, arm_runs, strict=True)
    ]
