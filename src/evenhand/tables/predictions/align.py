"""Align the answers of all arms and runs by id, one row per example.

Every table becomes rows of small integers (codes), and one GROUP BY over their union joins the rows of an id.
Where no score or cluster needs single rows, equal rows are collapsed into one row with their count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evenhand.errors import TableError
from evenhand.tables.io.database import single_row
from evenhand.tables.predictions.plan import Plan
from evenhand.tables.predictions.scores import class_positions, positive_sql
from evenhand.tables.predictions.unpaired import describe_missing, describe_repeated
from evenhand.tables.predictions.validate import ValidatedTable
from evenhand.tables.reader.distinct import Distinct, code
from evenhand.tables.reader.merge import RunRows, describe_differences, merge
from evenhand.tables.reader.runs import run_index_sql, run_texts_sql
from evenhand.tables.schema import ABSENT, Columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Fetched = dict[str, Any]
#: A billion weights between 2**-450 and 2**450 can be squared and summed without overflow or underflow.
_MAX_EXPONENT = 450


def align(db: DuckDBPyConnection, tables: Sequence[ValidatedTable], plan: Plan) -> tuple[Fetched, list[str]]:
    """Read the aligned rows of all tables.

    Args:
        db: the database.
        tables: validated tables.
        plan: the common schema.

    Returns:
        The columns `label`, `p0...`, `g0...`, `f0...`, and `n`, `w1`, `w2` (sums over equal rows) or `w`,
        `cluster`, `s0...` (one row per example); and remarks.

    Raises:
        TableError: keys occur twice, or arms differ in their examples, labels, groups, weights or clusters.
    """
    if plan.columns.weight is not None:
        plan = replace(plan, weight_shift=_weight_shift(db, tables, plan.columns))
    # Integer ids are compared as integers: faster than texts, and only if every table stores them so.
    integer_ids = all(c.table.columns[plan.columns.id].is_integer for c in tables if c.has_id)
    alone = len(plan.arm_runs) == 1 and len(tables) == 1
    coded = " UNION ALL ".join(
        _coded(db, c, plan, integer_ids=integer_ids, suffix="0" if alone else "") for c in tables
    )
    if not alone:
        remarks = _merge(db, coded, tables, plan)
        return _fetch(db, plan), remarks
    if plan.by_id:
        _refuse_duplicates(db, tables[0], plan)
    db.execute(f"CREATE TEMP VIEW aligned AS {coded}")
    return _fetch(db, plan), []


def _coded(
    db: DuckDBPyConnection, checked: ValidatedTable, plan: Plan, *, integer_ids: bool, suffix: str
) -> str:
    """Return SQL for one table as codes: `id, k, label, p, s, g0..., f0..., w, cluster`.

    `k` is the index of the row's (arm, run), `p` the predicted class, `s` the scores, `g` groups, `f` flags.
    """
    table, columns = checked.table, plan.columns
    joins: list[str] = []

    def coded(field: str, name: str, values: Distinct) -> str:
        relation = code(db, values, plan.classes.codes, f"m{table.number}_{field}")
        joins.append(f"LEFT JOIN {relation} ON t.{table.columns[name].sql} = {relation}.raw")
        return f"{relation}.code AS {field}"

    fields = []
    if plan.by_id:
        key = table.columns[columns.id]
        fields.append(f"{f'CAST({key.sql} AS BIGINT)' if integer_ids else key.name_sql} AS id")
    indices = [(run, plan.arm_runs.index(run.name)) for run in checked.selected.runs]
    fields.append(f"{run_index_sql(db, table, run_texts_sql(table, columns), indices, joins)} AS k")
    fields.append(coded("label", columns.label, checked.labels))
    score = _score(checked, plan)
    if checked.predictions is not None:
        fields.append(coded(f"p{suffix}", columns.prediction, checked.predictions))
    else:
        fields.append(f"{_answer(score, plan)} AS p{suffix}")
    if any(plan.scored):
        fields.append(f"{score} AS s{suffix}")
    fields += plan.groups.coded_sql(db, checked.selected, joins)
    if columns.weight is not None:
        # In two factors, since 2 ** weight_shift itself may overflow.
        half = plan.weight_shift // 2
        factors = f" * {2.0**half!r} * {2.0 ** (plan.weight_shift - half)!r}" if plan.weight_shift else ""
        fields.append(f"{table.columns[columns.weight].number_sql}{factors} AS w")
    if columns.cluster is not None:
        fields.append(f"{table.columns[columns.cluster].name_sql} AS cluster")
    return f"SELECT {', '.join(fields)} FROM {table.relation} AS t {' '.join(joins)}"


def _weight_shift(db: DuckDBPyConnection, tables: Sequence[ValidatedTable], columns: Columns) -> int:
    """Return the power of two that scales weights so that their squares can be summed.

    Only ratios of weights matter, and a power of two leaves them exact to the last bit. Weights that can be
    squared as they are get a shift of 0.

    Raises:
        TableError: the ratio of the largest to the smallest weight is too large.
    """
    name = str(columns.weight)
    ends = []
    for checked in tables:
        table = checked.table
        w = table.columns[name].number_sql
        low, high = single_row(db, f"SELECT min({w}) FILTER ({w} > 0), max({w}) FROM {table.relation}")
        ends += [(value, checked) for value in (low, high)]
    (low, _), (high, _) = smallest, largest = (
        min(ends, key=lambda end: end[0]),
        max(ends, key=lambda end: end[0]),
    )
    bottom, top = math.frexp(low)[1], math.frexp(high)[1]
    shift = min(_MAX_EXPONENT - top, 0) or max(-_MAX_EXPONENT - bottom, 0)
    if bottom + shift >= -_MAX_EXPONENT and top + shift <= _MAX_EXPONENT:
        return shift
    extremes = [
        f"{value:g} ({checked.selected.title}{_describe_holder(db, checked, columns, value)})"
        for value, checked in (smallest, largest)
    ]
    raise TableError(
        f"column '{name}' (--weight) has weights from {extremes[0]} to {extremes[1]}, which are too far "
        "apart to be squared and added; the largest weight may be at most 1e270 times the smallest above 0."
    )


def _describe_holder(db: DuckDBPyConnection, checked: ValidatedTable, columns: Columns, value: float) -> str:
    """Name the first example that has a given weight."""
    table = checked.table
    if not checked.has_id:
        return ""
    name = str(columns.weight)
    w = table.columns[name].number_sql
    key = table.columns[columns.id].name_sql
    rows = db.execute(f"SELECT min({key}) FROM {table.relation} WHERE {w} = ?", [value]).fetchall()
    return f", example '{rows[0][0]}'"


def _score(checked: ValidatedTable, plan: Plan) -> str:
    """Return SQL for a row's scores: P(positive), or a list in the order of the classes that sums to 1."""
    scores, classes = checked.scores, plan.classes
    if scores is None:
        return "NULL"
    if classes.positive is not None:
        return positive_sql(scores, classes.names, classes.positive)
    positions = class_positions(scores, classes.names, None)
    assert isinstance(positions, list), positions
    shares = [f"({scores.sql})[{position}] / list_sum({scores.sql})" for position in positions]
    return f"list_value({', '.join(shares)})"


def _answer(score: str, plan: Plan) -> str:
    """Return SQL for the class with the largest score; the first one on a tie."""
    if plan.classes.positive is not None:
        return f"CAST({score} >= 0.5 AS SMALLINT)"
    return f"CAST(list_position({score}, list_max({score})) - 1 AS SMALLINT)"


def _refuse_duplicates(db: DuckDBPyConnection, checked: ValidatedTable, plan: Plan) -> None:
    """Raise if an id occurs twice in the only run.

    Ids are compared by sorted 64-bit hashes, which take a tenth of the memory of the texts. Equal hashes may
    be a collision, so the ids themselves are compared then.
    """
    table = checked.table
    key = table.columns[plan.columns.id].name_sql
    hashes = db.execute(f"SELECT hash({key}) AS h FROM {table.relation}").fetchnumpy()["h"]
    hashes.sort()
    if not (hashes[1:] == hashes[:-1]).any():
        return
    count, first = single_row(
        db,
        f"SELECT count(*), min(id) FROM (SELECT {key} AS id FROM {table.relation} "
        "GROUP BY id HAVING count(*) > 1)",
    )
    if count:
        raise TableError(describe_repeated(db, [checked], plan, count, first))


def _merge(db: DuckDBPyConnection, coded: str, tables: Sequence[ValidatedTable], plan: Plan) -> list[str]:
    """Create the view `aligned`, one row per example, check that all runs agree on it, and return remarks."""
    runs = range(len(plan.arm_runs))
    answers = {f"p{k}": f"max(p) FILTER (WHERE k = {k})" for k in runs}
    answers |= {f"s{k}": f"any_value(s) FILTER (WHERE k = {k})" for k in runs if plan.scored[k]}
    rows = RunRows(
        sql=coded,
        arm_runs=plan.arm_runs,
        key=["id"],
        key_sql="CAST(id AS VARCHAR)",
        shared=plan.shared,
        answers=answers,
        unit=["id"],
        present=[f"(p{k} IS NOT NULL)" for k in runs],
        quote="'",
        # Weights are floats that programs round, so they are compared with a tolerance; all else exactly.
        tolerances={"w": "max(w) - min(w) > 1e-6 * max(w)"},
    )
    merged = merge(db, rows, resplit=plan.columns.resplit)
    complaints = [describe_repeated(db, tables, plan, *merged.repeated)] if merged.repeated[0] else []
    complaints += describe_differences(db, rows, merged, "example", plan.text_of)
    if merged.lacking and (not plan.columns.inner or not merged.left):
        complaints += describe_missing(db, tables, plan, rows, merged)
    if complaints:
        raise TableError(complaints)
    return [merged.remark("examples")] if merged.lacking else []


def _fetch(db: DuckDBPyConnection, plan: Plan) -> Fetched:
    """Read the aligned rows, or counts and sums of equal rows.

    ORDER BY, within sums as well, makes the result independent of the number of threads, to the last bit.
    """
    codes = ["label", *(f"p{k}" for k in range(len(plan.arm_runs)))]
    answers = ", ".join(f"coalesce(p{k}, {ABSENT}) AS p{k}" for k in range(len(plan.arm_runs)))
    rows = f"(SELECT * REPLACE ({answers}) FROM aligned)" if plan.columns.resplit else "aligned"
    codes += [*plan.groups.titles]
    weighted = plan.columns.weight is not None
    if not any(plan.scored) and plan.columns.cluster is None:
        sums = ["count(*) AS n"]
        if weighted:
            sums += ["sum(w ORDER BY w) AS w1", "sum(w * w ORDER BY w) AS w2"]
        by = ", ".join(codes)
        return db.execute(
            f"SELECT {by}, {', '.join(sums)} FROM {rows} GROUP BY {by} ORDER BY {by}"
        ).fetchnumpy()
    fields = codes + (["w"] if weighted else [])
    if plan.columns.cluster is not None:
        fields.append("dense_rank() OVER (ORDER BY cluster) - 1 AS cluster")
    for k, scored in enumerate(plan.scored):
        if scored and plan.classes.positive is not None:
            fields.append(f"s{k}")
        elif scored:
            fields += [f"s{k}[{c + 1}] AS s{k}_{c}" for c in range(len(plan.classes.names))]
    by = "CAST(id AS VARCHAR)" if plan.by_id else "ALL"
    return db.execute(f"SELECT {', '.join(fields)} FROM {rows} ORDER BY {by}").fetchnumpy()
