"""Read tables of predictions: from files or tables in memory to checked, aligned codes.

Each table is located (`sources`), opened (`formats`) and validated by itself (`validate`, `scores`). Then
classes and groups of all tables are resolved (`plan`, `classes`, `groups`), and rows aligned by id (`align`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.errors import TableError
from evenhand.tables.groups import refuse_impossible, remarks_on_equal_names
from evenhand.tables.io.database import session
from evenhand.tables.io.formats import validate_each
from evenhand.tables.io.rephrasing import rephrase
from evenhand.tables.io.sources import TableSource, resolve_sources
from evenhand.tables.predictions.agreement import check_agreement
from evenhand.tables.predictions.align import Fetched, align
from evenhand.tables.predictions.plan import Plan, resolve_schema
from evenhand.tables.predictions.validate import ScoreUse, validate
from evenhand.tables.reader.shared import pop_codes
from evenhand.tables.schema import Arm, Columns, FloatArray, Input, Predictions, Source


def load(
    source: Source,
    columns: Columns,
    *,
    need_scores: bool,
    optional_scores: bool = False,
    class_names: Sequence[str] = (),
) -> Predictions:
    """Read, check and align the predictions of all arms and runs.

    Args:
        source: a path or glob, a table in memory, a list of those, or a mapping of arm names to those.
        columns: names of the columns.
        need_scores: True if a metric takes scores; without them (and without clusters) equal rows are
            counted instead of listed.
        optional_scores: True to ignore, with a remark, a column that happens to be called `score` and does
            not hold probabilities, instead of refusing it.
        class_names: names of the classes, where tables hold their numbers from 0; else empty.

    Raises:
        CallError: options contradict each other or do not fit the tables.
        TableError: tables are wrong; carries every complaint about every table.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    refuse_impossible(columns)
    sources, complaints = resolve_sources(source, columns)
    with session() as db:
        several = len(sources) > 1
        use = ScoreUse(needed=need_scores, optional=optional_scores)
        tables, more = validate_each(
            db, sources, lambda table: validate(db, table, columns, several=several, use=use)
        )
        if complaints or more:
            raise TableError([*complaints, *more])
        try:
            plan = resolve_schema(tables, columns, need_scores=need_scores, class_names=class_names)
            complaints, doubts = check_agreement(db, tables, plan.classes, columns)
            if complaints:
                raise TableError(complaints)
            fetched, remarks = align(db, tables, plan)
            lacking = [name for name, column in fetched.items() if _has_gaps(name, column)]
        except duckdb.Error as error:
            raise TableError(f"{_titles(sources)}: {rephrase(error, sources[0])}") from None
    if lacking:
        raise TableError(
            f"{_titles(sources)}: gave other values when read a second time; a file is damaged or is being "
            "changed."
        )
    problems = [
        *(remark for checked in tables for remark in checked.remarks),
        *plan.classes.remarks,
        *doubts,
        *remarks_on_equal_names(columns, plan.groups.names),
        *remarks,
    ]
    return _predictions(plan, fetched, tuple(checked.selected.input for checked in tables), tuple(problems))


def _titles(sources: Sequence[TableSource]) -> str:
    """Name several tables of which one is at fault."""
    return sources[0].title if len(sources) == 1 else " or ".join(source.title for source in sources[:10])


def _has_gaps(name: str, column: object) -> bool:
    """Return True if a column of codes has nulls, although the checks found none (`s`: scores may have)."""
    return not name.startswith("s") and bool(np.ma.is_masked(column))


def _predictions(
    plan: Plan, fetched: Fetched, inputs: tuple[Input, ...], problems: tuple[str, ...]
) -> Predictions:
    """Build `Predictions` from the fetched columns."""
    rows = len(fetched["label"])
    count: FloatArray = np.ones(rows)
    if "n" in fetched:
        count = fetched["n"].astype(np.float64)
    weight, squared = count, count
    if "w1" in fetched:
        weight, squared = fetched["w1"].astype(np.float64), fetched["w2"].astype(np.float64)
    elif "w" in fetched:
        weight = fetched["w"].astype(np.float64)
        squared = weight * weight
    return Predictions(
        classes=plan.classes.titles,
        positive=plan.classes.positive,
        label=pop_codes(fetched, "label"),
        arms=tuple(_arm(plan, fetched, arm) for arm in dict.fromkeys(arm for arm, _ in plan.arm_runs)),
        attributes=plan.groups.attributes(plan.columns, fetched),
        count=count,
        weight=weight,
        weight_squared=squared,
        weighted=plan.columns.weight is not None,
        cluster=pop_codes(fetched, "cluster") if "cluster" in fetched else None,
        inputs=inputs,
        problems=problems,
        resplit=plan.columns.resplit,
    )


def _arm(plan: Plan, fetched: Fetched, arm: str) -> Arm:
    """Stack the answers of one arm's runs."""
    runs = [k for k, (name, _) in enumerate(plan.arm_runs) if name == arm]
    prediction = np.stack([pop_codes(fetched, f"p{k}") for k in runs])
    score = None
    if all(plan.scored[k] for k in runs):
        score = np.stack([_score(plan, fetched, k) for k in runs])
    return Arm(arm, tuple(plan.arm_runs[k].run for k in runs), prediction, score)


def _score(plan: Plan, fetched: Fetched, k: int) -> FloatArray:
    """Return the scores [n, classes] of one run."""
    if plan.classes.positive is None:
        shares = [fetched.pop(f"s{k}_{c}") for c in range(len(plan.classes.names))]
        return np.stack([_filled(s) for s in shares], axis=1)
    positive = _filled(fetched.pop(f"s{k}"))
    return np.stack([1.0 - positive, positive], axis=1)


def _filled(column: FloatArray) -> FloatArray:
    """Fill a column of scores with NaN where a run does not have the row."""
    return np.asarray(np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan))
