"""Align the rows of all runs by key, one row per key, and count where runs disagree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evenhand.errors import plural
from evenhand.tables.io.database import single_row
from evenhand.tables.io.quoted import shorten
from evenhand.tables.schema import ArmRun

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MAX_VALUES = 3
#: Number of rows, and the key of the first one in a sentence.
Count = tuple[int, str]


@dataclass(frozen=True)
class RunRows:
    """The rows of all tables as one relation, and how to align them.

    Attributes:
        sql: the rows, with the index `k` of their run.
        arm_runs: the runs.
        key: columns that identify a row.
        key_sql: SQL for the key as text.
        shared: columns on which runs must agree, with their names in complaints.
        answers: aggregates of the rows of a key, by name: the answers of each run.
        unit: columns of the key: rows that share them are selected or left out together.
        present: for each run, SQL on the answers for the test that it has the row; without it, the bits
            `runs` are aggregated, which would cost predictions some percent of their time.
        quote: the mark around a key in a sentence.
        tolerances: SQL for the test that a shared column differs within a key, where it need not be equal.
    """

    sql: str
    arm_runs: Sequence[ArmRun]
    key: Sequence[str]
    key_sql: str
    shared: Mapping[str, str]
    answers: Mapping[str, str]
    unit: Sequence[str]
    present: Sequence[str] = ()
    quote: str = ""
    tolerances: Mapping[str, str] = field(default_factory=dict)

    def quoted(self, key: str) -> str:
        """Quote a key in a sentence."""
        return f"{self.quote}{key}{self.quote}"


@dataclass(frozen=True)
class Merged:
    """Violations among the keys of all runs, which are the rows of the relation `merged`.

    Attributes:
        total: number of keys.
        left: number of keys in the view `aligned`, whose units are complete: every run has the rows that it
            should have.
        complete: SQL for the test that every run has the row that it should have.
        repeated: keys that occur twice in a run.
        differing: for each shared column, keys in which runs differ.
        gaps: for each run, keys that it lacks.
    """

    total: int
    left: int
    complete: str
    repeated: Count
    differing: Mapping[str, Count]
    gaps: Sequence[Count]

    @property
    def lacking(self) -> int:
        """Number of keys that are not in the view `aligned`."""
        return self.total - self.left

    def remark(self, noun: str) -> str:
        """Remark on the keys that are left out; `noun` is the noun for several."""
        return (
            f"{self.lacking:,} of {self.total:,} {noun} are not in every arm and run and were left out "
            "(--inner)."
        )


def merge(db: DuckDBPyConnection, rows: RunRows, *, resplit: bool) -> Merged:
    """Create the table `merged`, one row per key, and the view `aligned` of its complete units.

    One pass over `merged` counts every violation and finds its first key: min and max of a column differ
    within a key exactly where runs disagree, and more rows than runs means that a key occurs twice in a run.

    Args:
        db: the database.
        rows: the rows of all runs.
        resplit: True if runs have rows of their own, the same ones as the runs of one name in other arms.
    """
    key = ", ".join(f'"{name}"' for name in rows.key)
    fields = [key, "count(*) AS n_rows"]
    if not rows.present:
        fields.append(f"bitstring_agg(k, 0, {len(rows.arm_runs) - 1}) AS runs")
    for name in rows.shared:
        differs = rows.tolerances.get(name, f'min("{name}") IS DISTINCT FROM max("{name}")')
        fields += [f'min("{name}") AS "{name}"', f'{differs} AS "differs_{name}"']
    fields += [f'{aggregate} AS "{name}"' for name, aggregate in rows.answers.items()]
    db.execute(f"CREATE TEMP TABLE merged AS SELECT {', '.join(fields)} FROM ({rows.sql}) GROUP BY {key}")
    present = rows.present or [present_sql(k) for k in range(len(rows.arm_runs))]
    gaps = [f"NOT {test}" for test in present]
    if resplit:  # a row of one arm's run should be in the runs of the same name of all arms
        names = [run for _, run in rows.arm_runs]
        mates = [" OR ".join(present[j] for j, n in enumerate(names) if n == name) for name in names]
        gaps = [f"({gap} AND ({some}))" for gap, some in zip(gaps, mates, strict=True)]
    complete = " AND ".join(f"NOT ({gap})" for gap in gaps)
    tests = [
        f"n_rows > {' + '.join(f'CAST({test} AS INTEGER)' for test in present)}",
        f"NOT ({complete})",
        *(f'"differs_{name}"' for name in rows.shared),
        *gaps,
    ]
    counted = ", ".join(f"count(*) FILTER ({t}), min({rows.key_sql}) FILTER ({t})" for t in tests)
    total, *numbers = single_row(db, f"SELECT count(*), {counted} FROM merged")
    counts: list[Count] = list(zip(numbers[::2], map(str, numbers[1::2]), strict=True))
    # A unit (an example with all its options, say) is complete only if all of its rows are.
    which = f"WHERE {complete}"
    if len(rows.unit) < len(rows.key):
        unit = ", ".join(f'"{name}"' for name in rows.unit)
        which = f"QUALIFY bool_and({complete}) OVER (PARTITION BY {unit})"
    db.execute(f"CREATE TEMP VIEW aligned AS SELECT * FROM merged {which}")
    (repeated, (incomplete, _)), others = counts[:2], counts[2:]
    left = single_row(db, "SELECT count(*) FROM aligned")[0] if incomplete else total
    differing = dict(zip(rows.shared, others, strict=False))
    return Merged(total, left, complete, repeated, differing, others[len(differing) :])


def present_sql(k: int) -> str:
    """Return SQL for the test that the run with index `k` is one of the bits `runs` of a key."""
    return f"(get_bit(runs, {k}) = 1)"


def describe_differences(
    db: DuckDBPyConnection, rows: RunRows, merged: Merged, noun: str, text_of: Callable[[str, str], str]
) -> list[str]:
    """Complain of shared columns that differ between runs, and quote the values of the first key.

    Args:
        db: the database.
        rows: the rows of all runs.
        merged: their violations.
        noun: noun for a row.
        text_of: returns the text of a value as its column and the rows have it.
    """
    complaints = []
    for name, (count, first) in merged.differing.items():
        if not count:
            continue
        values = db.execute(
            f'SELECT CAST("{name}" AS VARCHAR) AS v, min(k) AS k FROM ({rows.sql}) WHERE {rows.key_sql} = ? '
            "GROUP BY v ORDER BY k, v",
            [first],
        ).fetchall()
        listed = ", ".join(
            f"'{shorten(text_of(name, value))}' in {run_title(rows.arm_runs, k)}"
            if value
            else f"nothing in {run_title(rows.arm_runs, k)}"
            for value, k in values[:_MAX_VALUES]
        )
        more = f" and {len(values) - _MAX_VALUES} other values" if len(values) > _MAX_VALUES else ""
        article = "an" if noun == "example" else "a"
        complaints.append(
            f"The arms and runs differ in {rows.shared[name]} for {plural(count, noun)} (first: "
            f"{rows.quoted(first)}: {listed}{more}); every table must have the same value for {article} "
            f"{noun}."
        )
    return complaints


def list_gaps(rows: RunRows, merged: Merged) -> str:
    """List the runs that lack rows, such as `'lora' lacks 3 (first: r7)`; runs where an arm has several."""
    several = len({arm for arm, _ in rows.arm_runs}) < len(rows.arm_runs)
    lacks = [
        f"'{arm}'{f' run {run!r}' if several else ''} lacks {count:,} (first: {rows.quoted(first)})"
        for (arm, run), (count, first) in zip(rows.arm_runs, merged.gaps, strict=True)
        if count
    ]
    return "; ".join(lacks[:10]) + (f"; and {len(lacks) - 10} more" if len(lacks) > 10 else "")


def run_title(arm_runs: Sequence[ArmRun], k: int) -> str:
    """Name the run with index `k`: its arm, and its own name where an arm has several."""
    arm, run = arm_runs[k]
    several = len({arm for arm, _ in arm_runs}) < len(arm_runs)
    return f"{arm} run {run}" if several else arm
