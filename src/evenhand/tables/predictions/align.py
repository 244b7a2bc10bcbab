"""Align the answers of all arms and runs by id, one row per example.

Every table becomes rows of small integers (codes), and one GROUP BY over their union joins the rows of an id.
Where no score or cluster needs single rows, equal rows are collapsed into one row with their count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evenhand.errors import TableError
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.predictions.plan import Plan
from evenhand.tables.predictions.scores import class_positions, positive_sql
from evenhand.tables.predictions.unpaired import describe_missing, describe_repeated, quote_differences
from evenhand.tables.predictions.validate import ValidatedTable
from evenhand.tables.schema import ABSENT, Columns
from evenhand.tables.values import Distinct, code, flag_sql, is_integer, name_sql, number_sql, text_sql

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
    integer_ids = all(is_integer(c.table.types[plan.columns.id]) for c in tables if c.has_id)
    alone = len(plan.places) == 1 and len(tables) == 1
    coded = " UNION ALL ".join(
        _coded(db, c, plan, integer_ids=integer_ids, suffix="0" if alone else "") for c in tables
    )
    if not alone:
        remarks = _pivot(db, coded, tables, plan)
        return _fetch(db, plan), remarks
    if plan.by_id:
        _refuse_duplicates(db, tables[0], plan)
    db.execute(f"CREATE TEMP VIEW wide AS {coded}")
    return _fetch(db, plan), []


def _coded(
    db: DuckDBPyConnection, checked: ValidatedTable, plan: Plan, *, integer_ids: bool, suffix: str
) -> str:
    """Return SQL for one table as codes: `id, k, label, p, s, g0..., f0..., w, cluster`.

    `k` is the index of the row's (arm, run), `p` the predicted class, `s` the scores, `g` groups, `f` flags.
    """
    table, columns = checked.table, plan.columns
    sql, kinds = table.columns, table.types
    joins: list[str] = []

    def coded(field: str, name: str, values: Distinct, codes: Mapping[str, int]) -> str:
        relation = code(db, values, codes, f"m{table.number}_{field}")
        joins.append(f"LEFT JOIN {relation} ON t.{sql[name]} = {relation}.raw")
        return f"{relation}.code AS {field}"

    fields = []
    if plan.by_id:
        key = sql[columns.id]
        fields.append(
            f"{f'CAST({key} AS BIGINT)' if integer_ids else name_sql(key, kinds[columns.id])} AS id"
        )
    fields.append(f"{run_index_sql(db, checked.table, checked.pairs, plan.places, columns, joins)} AS k")
    fields.append(coded("label", columns.label, checked.labels, plan.classes.codes))
    score = _score(checked, plan)
    if checked.predictions is not None:
        fields.append(coded(f"p{suffix}", columns.prediction, checked.predictions, plan.classes.codes))
    else:
        fields.append(f"{_answer(score, plan)} AS p{suffix}")
    if any(plan.scored):
        fields.append(f"{score} AS s{suffix}")
    for i, (name, groups) in enumerate(plan.groups.items()):
        fields.append(coded(f"g{i}", name, checked.groups[name], {g: j for j, g in enumerate(groups)}))
    fields += [f"CAST({flag_sql(sql[n], kinds[n])} AS TINYINT) AS f{i}" for i, n in enumerate(plan.flags)]
    if columns.weight is not None:
        w = number_sql(sql[columns.weight], kinds[columns.weight])
        # In two factors, since 2 ** weight_shift itself may overflow.
        half = plan.weight_shift // 2
        factors = f" * {2.0**half!r} * {2.0 ** (plan.weight_shift - half)!r}" if plan.weight_shift else ""
        fields.append(f"{w}{factors} AS w")
    if columns.cluster is not None:
        fields.append(f"{name_sql(sql[columns.cluster], kinds[columns.cluster])} AS cluster")
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
        w = number_sql(table.columns[name], table.types[name])
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
        f"{value:g} ({checked.table.source.title}{_describe_holder(db, checked, columns, value)})"
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
    w = number_sql(table.columns[name], table.types[name])
    key = name_sql(table.columns[columns.id], table.types[columns.id])
    rows = db.execute(f"SELECT min({key}) FROM {table.relation} WHERE {w} = ?", [value]).fetchall()
    return f", example '{rows[0][0]}'"


def run_index_sql(
    db: DuckDBPyConnection,
    table: Table,
    pairs: Sequence[tuple[str | None, str | None, str, str]],
    places: Sequence[tuple[str, str]],
    columns: Columns,
    joins: list[str],
) -> str:
    """Return SQL for the index in `places` of a row's (arm, run); add the join that it needs to `joins`."""
    if columns.arm is None and columns.run is None:
        return str(places.index((table.source.arm, table.source.run)))
    relation = f"k{table.number}"
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT unnest(?::VARCHAR[]) AS a, unnest(?::VARCHAR[]) AS r, "
        "unnest(?::SMALLINT[]) AS k",
        [
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            [places.index(pair[2:]) for pair in pairs],
        ],
    )
    on = [
        f"{text_sql(f't.{table.columns[name]}', table.types[name])} = {relation}.{field}"
        for name, field in ((columns.arm, "a"), (columns.run, "r"))
        if name is not None
    ]
    joins.append(f"LEFT JOIN {relation} ON {' AND '.join(on)}")
    return f"{relation}.k"


def _score(checked: ValidatedTable, plan: Plan) -> str:
    """Return SQL for a row's scores: P(positive), or a list in the order of the classes that sums to 1."""
    scores, classes = checked.scores, plan.classes
    if scores is None:
        return "NULL"
    if scores.single:
        assert classes.positive is not None
        return positive_sql(scores, classes.names, classes.positive)
    positions = class_positions(scores, classes.names, classes.positive)
    assert isinstance(positions, list), positions
    total = f"list_sum({scores.sql})"
    shares = [f"({scores.sql})[{position}] / {total}" for position in positions]
    return f"list_value({', '.join(shares)})" if classes.positive is None else shares[classes.positive]


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
    key = name_sql(table.columns[plan.columns.id], table.types[plan.columns.id])
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


def _pivot(db: DuckDBPyConnection, coded: str, tables: Sequence[ValidatedTable], plan: Plan) -> list[str]:
    """Create the view `wide`, one row per example, and check that all tables agree on it.

    One pass over the table `merged` counts every violation and finds its first id: min <> max of a column
    within an id means that tables disagree, and more rows than runs means that an id occurs twice in a run.
    """
    fields = ["id", "count(*) AS rows_of_id"]
    for name in plan.shared:
        # Weights are floats that programs round, so they are compared with a tolerance; all else exactly.
        differs = "max(w) - min(w) > 1e-6 * max(w)" if name == "w" else f"min({name}) <> max({name})"
        fields += [f"min({name}) AS {name}", f"{differs} AS differs_{name}"]
    # One column per run: p{k} is NULL exactly where run k does not have the id.
    for k, scored in enumerate(plan.scored):
        fields.append(f"max(p) FILTER (WHERE k = {k}) AS p{k}")
        if scored:
            fields.append(f"any_value(s) FILTER (WHERE k = {k}) AS s{k}")
    db.execute(f"CREATE TEMP TABLE merged AS SELECT {', '.join(fields)} FROM ({coded}) GROUP BY id")
    places = range(len(plan.places))
    n_present = " + ".join(f"CAST(p{k} IS NOT NULL AS INTEGER)" for k in places)
    complete, lacking = _completeness_sql(plan)
    tests = {"twice": f"rows_of_id > {n_present}", "partly": f"NOT ({complete})"}
    tests |= {name: f"differs_{name}" for name in plan.shared} | {
        f"p{k}": test for k, test in enumerate(lacking)
    }
    parts = ", ".join(f"count(*) FILTER ({t}), min(CAST(id AS VARCHAR)) FILTER ({t})" for t in tests.values())
    row = single_row(db, f"SELECT count(*), {parts} FROM merged")
    violations = {name: (row[1 + 2 * i], row[2 + 2 * i]) for i, name in enumerate(tests)}
    complaints = []
    if violations["twice"][0]:
        complaints.append(describe_repeated(db, tables, plan, *violations["twice"]))
    complaints += [
        f"The arms and runs differ in {what} for {count:,} examples (first: '{first}': "
        f"{quote_differences(db, coded, plan, name, first)}); every table must have the same value for an "
        "example."
        for name, what in plan.shared.items()
        for count, first in [violations[name]]
        if count
    ]
    missing, _ = violations["partly"]
    left = row[0] - missing
    if missing and (not plan.columns.inner or not left):
        complaints += describe_missing(db, tables, plan, violations, left, complete)
    if complaints:
        raise TableError(complaints)
    db.execute(f"CREATE TEMP VIEW wide AS SELECT * FROM merged WHERE {complete}")
    remark = f"{missing:,} of {row[0]:,} examples are not in every arm and run and were left out (--inner)."
    return [remark] if missing else []


def _completeness_sql(plan: Plan) -> tuple[str, list[str]]:
    """Return SQL for a complete row, and for each (arm, run) SQL for a row that it lacks.

    A complete row is in every run. With `resplit`, runs have rows of their own: a row of one arm's run must
    be in the runs of the same name of all arms.
    """
    empty = [f"p{k} IS NULL" for k in range(len(plan.places))]
    if plan.columns.resplit:
        mates = [
            [f"p{j} IS NOT NULL" for j, (_, other) in enumerate(plan.places) if other == run]
            for _, run in plan.places
        ]
        empty = [f"({here} AND ({' OR '.join(some)}))" for here, some in zip(empty, mates, strict=True)]
    return " AND ".join(f"NOT {test}" for test in (f"({e})" for e in empty)), empty


def _fetch(db: DuckDBPyConnection, plan: Plan) -> Fetched:
    """Read the aligned rows, or counts and sums of equal rows.

    ORDER BY, within sums as well, makes the result independent of the number of threads, to the last bit.
    """
    codes = ["label", *(f"p{k}" for k in range(len(plan.places)))]
    answers = ", ".join(f"coalesce(p{k}, {ABSENT}) AS p{k}" for k in range(len(plan.places)))
    wide = f"(SELECT * REPLACE ({answers}) FROM wide)" if plan.columns.resplit else "wide"
    codes += [f"g{i}" for i in range(len(plan.groups))] + [f"f{i}" for i in range(len(plan.flags))]
    weighted = plan.columns.weight is not None
    if not any(plan.scored) and plan.columns.cluster is None:
        sums = ["count(*) AS n"]
        if weighted:
            sums += ["sum(w ORDER BY w) AS w1", "sum(w * w ORDER BY w) AS w2"]
        by = ", ".join(codes)
        return db.execute(
            f"SELECT {by}, {', '.join(sums)} FROM {wide} GROUP BY {by} ORDER BY {by}"
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
    return db.execute(f"SELECT {', '.join(fields)} FROM {wide} ORDER BY {by}").fetchnumpy()
