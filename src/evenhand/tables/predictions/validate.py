"""Validate one table, and report all complaints about it at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table, single_row
from evenhand.tables.predictions import scores as scoring
from evenhand.tables.predictions.scores import Scores, score_columns
from evenhand.tables.reader.checks import Reader, Rule, rules_of
from evenhand.tables.reader.distinct import Distinct, parse_numbers
from evenhand.tables.reader.fields import RUN_FIELDS, Field, group_columns, group_fields
from evenhand.tables.reader.labels import describe_measurements, remarks_on_groups
from evenhand.tables.reader.read import SelectedTable, select_rows
from evenhand.tables.reader.runs import run_texts_sql, runs_of_table
from evenhand.tables.reader.selection import remarks_on_other_splits
from evenhand.tables.schema import Columns
from evenhand.tables.values import literal, shown

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Labels that equal the predictions in at least this share of rows are classes, however many there are.
MIN_EQUAL_SHARE = 0.2


@dataclass(frozen=True)
class ValidatedTable:
    """A table that has passed all checks that do not need another table.

    Attributes:
        selected: its rows, groups and runs.
        has_id: True if the table has a column of ids.
        labels: values of the label column.
        predictions: values of the prediction column, or None.
        scores: the location of its scores, or None.
        remarks: remarks on the data.
    """

    selected: SelectedTable
    has_id: bool
    labels: Distinct
    predictions: Distinct | None
    scores: Scores | None
    remarks: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """The needed columns of the selected rows."""
        return self.selected.table


@dataclass(frozen=True)
class ScoreUse:
    """The purpose for which scores are read.

    Attributes:
        needed: True if a metric takes scores. Else scores are read only where they make the predictions.
        optional: True if no option names a metric of scores; then a column that happens to be called
            `score` and does not hold probabilities is ignored with a remark.
    """

    needed: bool = True
    optional: bool = False


def validate(
    db: DuckDBPyConnection, table: Table, columns: Columns, *, several: bool, use: ScoreUse
) -> ValidatedTable | list[str]:
    """Validate a table by itself.

    Args:
        db: the database.
        table: an opened table.
        columns: how its columns are to be read.
        several: True if there are other tables, so that rows are paired by id.
        use: the purpose for which scores are read.

    Returns:
        The validated table, or every complaint about it.
    """
    predicted = columns.prediction in table.columns
    if predicted and use.optional and columns.score is None and _nested_scores(table, columns):
        use = ScoreUse(needed=False)
    scored = use.needed or not predicted
    fields = _fields(table, columns, several=several, scored=scored)
    selected = select_rows(db, table, fields, columns, "predictions")
    if isinstance(selected, list):
        return selected
    numbers = [name for f, name in selected.fields.items() if f.kind in {"score", "scores", "weight"}]
    selected = replace(selected, table=parse_numbers(db, selected.table, numbers))
    return _values(db, selected, columns, use if scored else None)


def _fields(table: Table, columns: Columns, *, several: bool, scored: bool) -> list[Field]:
    """List the columns that a table of predictions has in a call.

    Args:
        table: an opened table.
        columns: how its columns are to be read.
        several: True if there are other tables.
        scored: True if scores are read.
    """
    scores = score_columns(table, columns)
    predictions_needed = columns.prediction != "prediction" or not scores
    by_id = columns.id != "example_id" or several or columns.arm is not None or columns.run is not None
    fields = [
        Field("label", "class", option="label"),
        *group_fields(columns),
        Field("weight", "weight", option="weight"),
        Field("cluster", "name", option="cluster"),
        *RUN_FIELDS,
        Field("prediction", "class", required=predictions_needed, option="prediction",
              why="" if scores and scored else " (and no scores)"),
        Field("example_id", "name", required=by_id, option="id",
              why=" (it pairs the rows of arms and runs)"),
    ]  # fmt: skip
    if columns.score is not None and not scores:
        fields.append(Field(columns.score, "score", label="--score"))
    read = scores if scored else ()
    return fields + [Field(n, "scores" if len(read) == 1 else "score", label="--score") for n in read]


def _nested_scores(table: Table, columns: Columns) -> bool:
    """Return True if a column with the name of scores holds records, or lists of records."""
    scores = [table.columns[name] for name in score_columns(table, columns)]
    return any(column.is_nested and not (len(scores) == 1 and column.is_list) for column in scores)


def _values(
    db: DuckDBPyConnection, selected: SelectedTable, columns: Columns, use: ScoreUse | None
) -> ValidatedTable | list[str]:
    """Validate the values of selected rows; without `use`, scores are not read."""
    table, fields = selected.table, selected.fields
    repeated = _repeated_headers(db, table, columns)
    if repeated:
        return [table.complaint(repeated)]
    has_id = columns.id in table.columns
    reader = Reader(db, table, table.columns[columns.id].name_sql if has_id else "NULL")
    classes = reader.read_all(fields, "class")
    labels, predictions = classes[columns.label], classes.get(columns.prediction)
    reader.complaints.extend(_complain_of_measurements(reader, columns, labels, predictions))
    groups = reader.read_all(fields, "group")
    reader.read_all(fields, "run")
    reader.check([*rules_of(table, fields), *_weight_rules(table, columns)])
    remarks = [
        *remarks_on_other_splits(db, selected.opened, columns, selected.selection),
        *(
            remark
            for name, values in groups.items()
            for remark in remarks_on_groups("--by", name, values.counts)
        ),
    ]
    dispensable = use is not None and use.optional and columns.score is None and predictions is not None
    scores, wrong, more = _scores(reader, columns, labels, use, dispensable=dispensable)
    if reader.complaints or wrong:
        return [*reader.complaints, *wrong]
    remarks = [*map(table.complaint, remarks), *more]
    runs = runs_of_table(db, table, run_texts_sql(table, columns))
    selected = replace(selected, groups=groups, runs=runs)
    return ValidatedTable(selected, has_id, labels, predictions, scores, tuple(remarks))


def _weight_rules(table: Table, columns: Columns) -> list[Rule]:
    """Return the rule that at least one weight is above 0."""
    if columns.weight is None:
        return []
    all_zero = f"(SELECT max({table.columns[columns.weight].number_sql}) FROM {table.relation}) = 0"
    return [
        Rule(columns.weight, all_zero, "is 0 in every row; at least one weight is above 0.", " (--weight)")
    ]


def _complain_of_measurements(
    reader: Reader, columns: Columns, labels: Distinct, predictions: Distinct | None
) -> list[str]:
    """Complain of labels and predictions that look like measurements and hardly ever agree."""
    table = reader.table
    odd = [("--label", columns.label, describe_measurements(labels.counts))]
    if predictions is not None:
        odd.append(("--prediction", columns.prediction, describe_measurements(predictions.counts)))
    if predictions is not None and any(what for _, _, what in odd):
        pair = [table.columns[n].text_sql for n in (columns.label, columns.prediction)]
        agree, rows = single_row(
            reader.db, f"SELECT count(*) FILTER ({pair[0]} = {pair[1]}), count(*) FROM {table.relation}"
        )
        if agree >= MIN_EQUAL_SHARE * rows:
            return []
    return [table.complaint(f"column '{name}' ({option}) {what}") for option, name, what in odd if what]


def _repeated_headers(db: DuckDBPyConnection, table: Table, columns: Columns) -> str | None:
    """Complain of rows that repeat the header, as in several files that were joined into one."""
    names = [n for n in (columns.label, columns.prediction, *group_columns(columns)) if n in table.columns]
    texts = [n for n in names if table.columns[n].type == "VARCHAR"]
    if len(texts) < len(names) or len(names) < 2:
        return None
    test = " AND ".join(f"{table.columns[n].sql} = {literal(n)}" for n in texts)
    (count,) = single_row(db, f"SELECT count(*) FROM {table.relation} WHERE {test}")
    if not count:
        return None
    shown_header = ", ".join(texts[:5])
    return (
        f"{count:,} rows repeat the header ({shown_header}); were several files joined into one? Leave the "
        "header out of all but the first."
    )


def _scores(
    reader: Reader, columns: Columns, labels: Distinct, use: ScoreUse | None, *, dispensable: bool
) -> tuple[Scores | None, list[str], list[str]]:
    """Find and check the scores of a staged table.

    Args:
        reader: of the table.
        columns: names of its columns.
        labels: values of the label column.
        use: the purpose for which scores are read; None if they are not read.
        dispensable: True if the audit ignores invalid scores with a remark.

    Returns:
        The scores, complaints and remarks.
    """
    table, names = reader.table, score_columns(reader.table, columns)
    if use is None:
        unread = f"{shown(names)}: not read, because no metric of scores is computed."
        return None, [], [table.complaint(unread)] if names else []
    scores = scoring.find_scores(reader.db, table, columns)
    if scores is None:
        return None, [], []
    if columns.prediction in table.columns and not scores.fits(labels.counts):
        return (
            None,
            [],
            [table.complaint(f"columns {shown(names)} do not name the classes and are not read.")],
        )
    if dispensable and scores.single and len(labels.counts) > 2:
        unfit = "one score per row, but more than two classes"
        return (
            None,
            [],
            [table.complaint(f"{shown(names)}: not read ({unfit}); metrics of scores are left out.")],
        )
    scores, wrong = scoring.check_scores(reader.db, table, scores, reader.example)
    if wrong and dispensable:
        left_out = (
            f"No option names it, so metrics of scores are left out; --score '{scores.title}' requires it."
        )
        return None, [], [f"{wrong[0]} {left_out}"]
    return scores, wrong, []
