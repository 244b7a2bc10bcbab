"""Check that a table's scores agree with its predictions.

A column called `score` holds the probability of the positive class here. Many programs write the confidence
of the predicted class under the same name, or list classes in another order. Both are numbers in [0, 1], so
all metrics of scores would be wrong without any error. Predictions in the same table reveal it: for every
possible threshold, rows predicted positive have larger scores than rows predicted negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evenhand.tables.predictions.classes import Classes
from evenhand.tables.predictions.scores import Scores, class_positions, positive_sql
from evenhand.tables.predictions.validate import ValidatedTable
from evenhand.tables.reader.distinct import Distinct, code
from evenhand.tables.reader.runs import run_texts_sql
from evenhand.tables.schema import Columns, IntArray

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Scores that contradict the predictions in at least this share of pairs belong to the other class.
MIN_REVERSED_SHARE = 0.9
#: Another order of classes fits if at least this share of rows agrees with it, and less than half as given.
MIN_FITTING_SHARE = 0.9
_TOLERANCE = 1e-9
_MAX_COMPLAINTS = 10


@dataclass(frozen=True)
class _Ranking:
    """The ranking by score of the rows of one run that are predicted negative and positive.

    Attributes:
        run: the run in a sentence; empty where no column names it.
        negative: rows predicted negative.
        positive: rows predicted positive.
        least: the smallest score.
        most: the largest score.
        auc: probability that a row predicted positive has a larger score than one predicted negative.
        disagree: rows whose prediction differs from that of the best threshold.
    """

    run: str
    negative: int
    positive: int
    least: float
    most: float
    auc: float
    disagree: int


def check_agreement(
    db: DuckDBPyConnection, tables: Iterable[ValidatedTable], classes: Classes, columns: Columns
) -> tuple[list[str], list[str]]:
    """Compare scores with predictions.

    Args:
        db: the database.
        tables: tables that have passed their own checks.
        classes: the classes of the task.
        columns: how the columns are called.

    Returns:
        Complaints about scores that contradict the predictions, and remarks.
    """
    complaints: list[str] = []
    remarks: list[str] = []
    for checked in tables:
        scores = checked.scores
        if scores is None:
            continue
        compare = _compare_multiclass if classes.positive is None else _compare_binary
        wrong, odd = compare(db, checked, scores, classes, columns)
        complaints += [checked.table.complaint(what) for what in wrong[:_MAX_COMPLAINTS]]
        remarks += [checked.table.complaint(what) for what in odd[:_MAX_COMPLAINTS]]
    return complaints, remarks


def _compare_binary(
    db: DuckDBPyConnection, checked: ValidatedTable, scores: Scores, classes: Classes, columns: Columns
) -> tuple[list[str], list[str]]:
    """Compare P(positive) with two classes of predictions, run by run."""
    assert classes.positive is not None
    negative, positive = classes.titles
    score = positive_sql(scores, classes.names, classes.positive)
    if checked.predictions is None:
        least, most = db.execute(
            f"SELECT min({score}), max({score}) FROM {checked.table.relation}"
        ).fetchall()[0]
        return [], _remark_on_extreme_scores(scores, classes, least, most)
    wrong, odd = [], []
    for ranking in _rankings(db, checked, checked.predictions, score, classes, columns):
        where = f"--score '{scores.title}'{ranking.run}"
        if ranking.auc <= 1 - MIN_REVERSED_SHARE:
            doubt = (
                f"is it the score of '{negative}'"
                if scores.single
                else "do the lists name the other class first"
            )
            wrong.append(
                f"{where}: rows predicted '{negative}' have larger scores than rows predicted '{positive}' "
                f"(in {100 * (1 - ranking.auc):.0f} % of pairs): {doubt}? Give the probability of "
                f"'{positive}', the positive class (--positive)."
            )
        elif ranking.least >= 0.5 and ranking.disagree:
            wrong.append(
                f"{where}: no score is below 0.5 (the smallest is {ranking.least:.4g}), though "
                f"{ranking.negative:,} rows are predicted '{negative}', and no threshold on the scores gives "
                f"these predictions: is it the confidence of the predicted class? Give the probability of "
                f"'{positive}': 1 - score where the prediction is '{negative}'; or leave scores out "
                "(--metric accuracy)."
            )
        elif ranking.disagree:
            rows = ranking.negative + ranking.positive
            odd.append(
                f"{where}: {ranking.disagree:,} of {rows:,} predictions do not follow from the scores by any "
                "one threshold; predictions are judged as they are, and metrics of scores by the scores."
            )
    return wrong, odd


def _remark_on_extreme_scores(scores: Scores, classes: Classes, least: float, most: float) -> list[str]:
    """Remark on scores that predict every row positive, or every row negative."""
    negative, positive = classes.titles
    if least >= 0.5:
        return [
            f"--score '{scores.title}': no score is below 0.5 (the smallest is {least:.4g}), so that every "
            f"row counts as predicted '{positive}': is it the confidence of the predicted class? A score is "
            f"the probability of '{positive}'."
        ]
    if most < 0.5:
        return [
            f"--score '{scores.title}': no score reaches 0.5 (the largest is {most:.4g}), so that every row "
            f"counts as predicted '{negative}'; add a column of predictions if this is wrong."
        ]
    return []


def _rankings(
    db: DuckDBPyConnection,
    checked: ValidatedTable,
    predictions: Distinct,
    score: str,
    classes: Classes,
    columns: Columns,
) -> list[_Ranking]:
    """Rank rows by score in every run that predicts both classes, and count rows that no threshold explains.

    Cumulative counts of negative and positive predictions over sorted scores give both: the AUC, and the
    errors of each threshold, (positives below it) + (negatives at or above it). The smallest one is reported.
    """
    rows, run = _coded(db, checked, predictions, score, classes, columns)
    ordered = db.execute(
        "SELECT bool_and(above IS NULL OR below IS NULL OR (below <= above AND least < most)) "
        f"FROM (SELECT {run} AS run, min(s) FILTER (p = 1) AS above, max(s) FILTER (p = 0) AS below, "
        f"min(s) AS least, max(s) AS most FROM ({rows}) GROUP BY ALL)"
    ).fetchall()
    if ordered[0][0]:  # the usual case: a threshold explains every run. Ranking would take much longer.
        return []
    rankings = db.execute(
        f"WITH d AS (SELECT {run} AS run, s, count(*) FILTER (p = 1) AS pos, count(*) FILTER (p = 0) AS neg "
        f"FROM ({rows}) GROUP BY ALL), w AS (SELECT *, "
        "sum(neg) OVER (PARTITION BY run ORDER BY s) - neg AS neg_below, "
        "sum(pos) OVER (PARTITION BY run ORDER BY s) - pos AS pos_below, "
        "sum(neg) OVER (PARTITION BY run) AS n, sum(pos) OVER (PARTITION BY run) AS m FROM d) "
        "SELECT run, max(n), max(m), min(s), max(s), sum(pos * (neg_below + neg / 2.0)) / max(n * m), "
        "least(min(pos_below + n - neg_below), max(m)) FROM w WHERE n > 0 AND m > 0 GROUP BY run ORDER BY run"
    ).fetchall()
    return [
        _Ranking(r or "", int(n), int(m), float(low), float(high), float(auc), int(disagree))
        for r, n, m, low, high, auc, disagree in rankings
    ]


def _coded(
    db: DuckDBPyConnection,
    checked: ValidatedTable,
    predictions: Distinct,
    score: str,
    classes: Classes,
    columns: Columns,
) -> tuple[str, str]:
    """Return SQL for the rows (p: predicted class, s: score, r: run columns), and for the name of a run."""
    table = checked.table
    relation = code(db, predictions, classes.codes, f"a{table.number}")
    texts = run_texts_sql(table, columns)
    shown = " || ".join(f"', {option} ''' || r_{option} || ''''" for option in texts)
    named = (f"{sql} AS r_{option}" for option, sql in texts.items())
    fields = ", ".join([f"{relation}.code AS p", f"{score} AS s", *named])
    raw = table.columns[columns.prediction].sql
    rows = f"SELECT {fields} FROM {table.relation} AS t JOIN {relation} ON t.{raw} = {relation}.raw"
    return rows, shown or "''"


def _compare_multiclass(
    db: DuckDBPyConnection, checked: ValidatedTable, scores: Scores, classes: Classes, columns: Columns
) -> tuple[list[str], list[str]]:
    """Compare the class with the largest score to the predicted class, for three or more classes."""
    positions = class_positions(scores, classes.names, None)
    if checked.predictions is None or not isinstance(positions, list):
        return [], []
    rows, run = _coded(db, checked, checked.predictions, scores.sql, classes, columns)
    predicted_score = f"s[list_value({', '.join(map(str, positions))})[p + 1]]"
    is_largest = f"{predicted_score} >= list_max(s) - {_TOLERANCE}"
    largest = f"CASE WHEN {is_largest} THEN -1 ELSE list_position(s, list_max(s)) - 1 END"
    counts = db.execute(
        f"SELECT {run} AS run, p, {largest} AS k, count(*) FROM ({rows}) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    wrong, odd = [], []
    for name in dict.fromkeys(row[0] for row in counts):
        table = np.zeros((len(classes.names), scores.length), np.int64)
        for _, predicted, position, n in (row for row in counts if row[0] == name):
            table[predicted, positions[predicted] - 1 if position < 0 else position] += n
        where = f"--score '{scores.title}'{name or ''}"
        agree, rows_of_run = (
            int(table[range(len(positions)), np.array(positions) - 1].sum()),
            int(table.sum()),
        )
        other = _find_order(table, classes.titles, agree)
        if other:
            wrong.append(
                f"{where}: the largest score is that of the predicted class in {agree:,} of {rows_of_run:,} "
                f"rows; with the scores in the order {other[0]} it would be in {other[1]:,} rows. Give "
                f"one score per class in the order of the class names, or one column per class."
            )
        elif agree < rows_of_run:
            odd.append(
                f"{where}: {rows_of_run - agree:,} of {rows_of_run:,} predictions are not the class with the "
                "largest score; predictions are judged as they are, and metrics of scores by the scores."
            )
    return wrong, odd


def _find_order(table: IntArray, names: Sequence[str], agree: int) -> tuple[str, int] | None:
    """Find an order of the classes that fits the predictions, where the given order does not.

    Args:
        table: [classes, positions] number of rows by predicted class and by position of the largest score.
        names: the classes.
        agree: rows whose largest score is that of the predicted class.

    Returns:
        The classes by position, for a sentence, and the number of rows that fit; None where no order fits.
    """
    rows = int(table.sum())
    if 2 * agree >= rows:
        return None
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  (0.3 s, and seldom needed)

    classes, positions = linear_sum_assignment(table, maximize=True)
    fits = int(table[classes, positions].sum())
    if fits < MIN_FITTING_SHARE * rows:
        return None
    listed = [f"'{names[c]}'" for _, c in sorted(zip(positions.tolist(), classes.tolist(), strict=True))]
    return ", ".join(listed[:20]), fits
