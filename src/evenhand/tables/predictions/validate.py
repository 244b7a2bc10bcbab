"""Validate one table, and report all complaints about it at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table, Unreadable, literal, single_row
from evenhand.tables.io.formats import stage
from evenhand.tables.predictions import scores as scoring
from evenhand.tables.predictions.columns import (
    filter_options,
    needed_columns,
    remarks_on_other_splits,
    selection_sql,
)
from evenhand.tables.predictions.labels import (
    describe_measurements,
    describe_nested_labels,
    remarks_on_groups,
    several_values,
)
from evenhand.tables.predictions.scores import Scores, match_columns, score_columns
from evenhand.tables.schema import Columns
from evenhand.tables.values import (
    Distinct,
    distinct,
    example_sql,
    flag_sql,
    is_list,
    is_nested,
    missing_sql,
    number_sql,
    offending,
    parse_numbers,
    shown,
    text_sql,
    tidy,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_GROUPS = 200
MAX_CLASSES = 1000
#: Labels that equal the predictions in at least this share of rows are classes, however many there are.
MIN_EQUAL_SHARE = 0.2


@dataclass(frozen=True)
class ValidatedTable:
    """A table that has passed all checks that do not need another table.

    Attributes:
        table: the needed columns of the selected rows.
        rows: number of selected rows.
        has_id: True if the table has a column of ids.
        labels: values of the label column.
        predictions: values of the prediction column, or None.
        groups: values of each partition column.
        memberships: columns of each membership pattern, in order.
        scores: the location of its scores, or None.
        pairs: its arms and runs: (raw arm, raw run, arm, run), raw texts None without such a column.
        remarks: remarks on the data.
        selected_rows: SQL for all columns of the selected rows.
    """

    table: Table
    rows: int
    has_id: bool
    labels: Distinct
    predictions: Distinct | None
    groups: dict[str, Distinct]
    memberships: dict[str, tuple[str, ...]]
    scores: Scores | None
    pairs: list[tuple[str | None, str | None, str, str]]
    remarks: tuple[str, ...] = ()
    selected_rows: str = ""

    @property
    def known(self) -> Collection[str]:
        """Names of all columns, needed or not."""
        return self.table.columns.keys()


def group_columns(columns: Columns) -> tuple[str, ...]:
    """List all needed partition columns, each once."""
    return tuple(dict.fromkeys((*columns.by, *(name for names in columns.intersect for name in names))))


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
    needed, complaints = needed_columns(table, columns, several=several, scored=scored)
    selection = selection_sql(db, table, columns)
    if isinstance(selection, list):
        complaints += selection
    if complaints or isinstance(selection, list):
        return [table.say(complaint) for complaint in complaints]
    doubled = tuple(table.say(what) for what in remarks_on_other_splits(db, table, columns, selection))
    selected_rows = f"(SELECT * FROM {table.relation} WHERE {selection})"
    table = stage(db, table, needed, selection)
    rows = int(single_row(db, f"SELECT count(*) FROM {table.relation}")[0])
    if not rows:
        why = "has no rows." if selection == "true" else f"no rows are left after {filter_options(columns)}."
        return [table.say(why)]
    numbers = (*(score_columns(table, columns) if scored else ()), columns.weight)
    table = parse_numbers(db, table, [name for name in numbers if name is not None and name in needed])
    validated = _values(db, table, columns, rows, use if scored else None)
    if isinstance(validated, list):
        return validated
    return replace(validated, remarks=(*doubled, *validated.remarks), selected_rows=selected_rows)


def _nested_scores(table: Table, columns: Columns) -> bool:
    """Return True if a column with the name of scores holds records, or lists of records."""
    names = score_columns(table, columns)
    return any(is_nested(table.types[n]) and not (len(names) == 1 and is_list(table.types[n])) for n in names)


def _values(
    db: DuckDBPyConnection, table: Table, columns: Columns, rows: int, use: ScoreUse | None
) -> ValidatedTable | list[str]:
    """Validate the values of a staged table; without `use`, scores are not read."""
    repeated = _repeated_headers(db, table, columns)
    if repeated:
        return [table.say(repeated)]
    reader = Reader(db, table, example_sql(table, columns.id), [])
    complaints = reader.complaints
    labels = reader.read("--label", columns.label, MAX_CLASSES)
    predictions = None
    if columns.prediction in table.columns:
        predictions = reader.read("--prediction", columns.prediction, MAX_CLASSES)
    complaints += _complain_of_measurements(reader, columns, labels, predictions)
    groups = {name: reader.read("--by", name, MAX_GROUPS) for name in group_columns(columns)}
    pairs = arms_and_runs(reader, columns)
    members = {pattern: match_columns(pattern, table.columns) for pattern in columns.memberships}
    check_flags(reader, list(dict.fromkeys(name for names in members.values() for name in names)))
    if columns.weight is not None:
        _check_weights(reader, columns.weight)
    for option, name in (("--id", columns.id), ("--cluster", columns.cluster)):
        if name is not None and name in table.columns:
            check_names(reader, option, name)
    remarks = [
        table.say(remark)
        for name, values in groups.items()
        for remark in remarks_on_groups("--by", name, values.counts)
    ]
    dispensable = use is not None and use.optional and columns.score is None and predictions is not None
    scores, wrong, more = _scores(reader, columns, labels, use, dispensable=dispensable)
    complaints += wrong
    remarks += more
    if complaints:
        return complaints
    has_id = columns.id in table.columns
    return ValidatedTable(
        table, rows, has_id, labels, predictions, groups, members, scores, pairs, tuple(remarks)
    )


def _complain_of_measurements(
    reader: Reader, columns: Columns, labels: Distinct, predictions: Distinct | None
) -> list[str]:
    """Complain of labels and predictions that look like measurements and hardly ever agree."""
    table = reader.table
    odd = [("--label", columns.label, describe_measurements(labels.counts))]
    if predictions is not None:
        odd.append(("--prediction", columns.prediction, describe_measurements(predictions.counts)))
    if predictions is not None and any(what for _, _, what in odd):
        pair = [text_sql(table.columns[n], table.types[n]) for n in (columns.label, columns.prediction)]
        agree, rows = single_row(
            reader.db, f"SELECT count(*) FILTER ({pair[0]} = {pair[1]}), count(*) FROM {table.relation}"
        )
        if agree >= MIN_EQUAL_SHARE * rows:
            return []
    return [table.say(f"column '{name}' ({option}) {what}") for option, name, what in odd if what]


def _repeated_headers(db: DuckDBPyConnection, table: Table, columns: Columns) -> str | None:
    """Complain of rows that repeat the header, as in several files that were joined into one."""
    names = [n for n in (columns.label, columns.prediction, *group_columns(columns)) if n in table.columns]
    texts = [n for n in names if table.types[n] == "VARCHAR"]
    if len(texts) < len(names) or len(names) < 2:
        return None
    test = " AND ".join(f"{table.columns[n]} = {literal(n)}" for n in texts)
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
        return None, [], [table.say(unread)] if names else []
    scores = scoring.find_scores(reader.db, table, columns)
    if scores is None:
        return None, [], []
    if columns.prediction in table.columns and not scores.fits(labels.counts):
        return None, [], [table.say(f"columns {shown(names)} do not name the classes and are not read.")]
    if dispensable and scores.single and len(labels.counts) > 2:
        unfit = "one score per row, but more than two classes"
        return None, [], [table.say(f"{shown(names)}: not read ({unfit}); metrics of scores are left out.")]
    scores, wrong = scoring.check_scores(reader.db, table, scores, reader.example)
    if wrong and dispensable:
        left_out = (
            f"No option names it, so metrics of scores are left out; --score '{scores.title}' requires it."
        )
        return None, [], [f"{wrong[0]} {left_out}"]
    return scores, wrong, []


@dataclass(frozen=True)
class Reader:
    """Reads columns of a table and collects complaints.

    Attributes:
        db: the database.
        table: a staged table.
        example: SQL for the name of an example, or NULL.
        complaints: the complaints so far.
    """

    db: DuckDBPyConnection
    table: Table
    example: str
    complaints: list[str]

    def complain(self, option: str, name: str, what: str) -> None:
        """Add a complaint about a column."""
        self.complaints.append(self.table.say(f"column '{name}' ({option}) {what}"))

    def read(self, option: str, name: str, limit: int) -> Distinct:
        """Read the distinct values of a column; complain if there are too many or some are missing."""
        try:
            values = distinct(self.db, self.table, name, limit)
        except Unreadable as error:
            advice = {
                "--by": "bin it into groups first",
                "--label": "give classes, not measurements",
                "--prediction": "give classes, not measurements (probabilities are for --score)",
            }.get(option, "give a column that names arms or runs")
            self.complain(option, name, f"has {error}: it looks like an id or a number; {advice}.")
            return Distinct("", {}, 0)
        if values.missing:
            test = missing_sql(self.table.columns[name], self.table.types[name])
            ((count, first),) = offending(self.db, self.table, [test], self.example)
            advice = (
                "give such rows a group of their own, for example 'unknown'"
                if option == "--by"
                else "every row needs one"
            )
            self.complain(option, name, f"has no value in {count:,} rows{first}; {advice}.")
        if option in {"--label", "--prediction"}:
            odd = describe_nested_labels(values.counts)
        else:
            nested = several_values(values.counts, intervals=True)
            odd = nested and f"is nested (first: '{nested[:60]}'); give one value per row."
        if odd:
            self.complain(option, name, odd)
        return values


def arms_and_runs(reader: Reader, columns: Columns) -> list[tuple[str | None, str | None, str, str]]:
    """List the arms and runs of a table: (raw arm, raw run, arm, run), raw texts as its columns have them."""
    table = reader.table
    if columns.arm is None and columns.run is None:
        return [(None, None, table.source.arm, table.source.run)]
    sql = {"arm": "NULL", "run": "NULL"}
    known = len(reader.complaints)
    for field, name in (("arm", columns.arm), ("run", columns.run)):
        if name is not None:
            reader.read(f"--{field}", name, MAX_CLASSES)
            sql[field] = text_sql(table.columns[name], table.types[name])
    if len(reader.complaints) > known:
        return []
    rows = reader.db.execute(
        f"SELECT {sql['arm']} AS a, {sql['run']} AS r FROM {table.relation} GROUP BY a, r ORDER BY a, r"
    ).fetchall()
    return [(a, r, tidy(a) or table.source.arm, tidy(r) or table.source.run) for a, r in rows]


def check_flags(reader: Reader, names: list[str]) -> None:
    """Complain of membership columns that are not 0 or 1 in every row."""
    table = reader.table
    tests = [f"{flag_sql(table.columns[n], table.types[n])} IS NULL" for n in names]
    counts = offending(reader.db, table, tests, reader.example)
    for name, test, (count, first) in zip(names, tests, counts, strict=True):
        if count:
            text = text_sql(table.columns[name], table.types[name])
            odd = reader.db.execute(
                f"SELECT DISTINCT {text} AS v FROM {table.relation} WHERE {test} ORDER BY v LIMIT 11"
            ).fetchall()
            values = shown("nothing" if v is None else str(v)[:40] for (v,) in odd)
            reader.complain(
                "--memberships", name, f"is neither 0 nor 1 in {count:,} rows{first}, but {values}."
            )


def _check_weights(reader: Reader, name: str) -> None:
    """Complain of weights that are not finite numbers of at least 0, or are all 0."""
    w = number_sql(reader.table.columns[name], reader.table.types[name])
    tests = [f"({w} IS NULL OR NOT isfinite({w}) OR {w} < 0)", f"{w} > 0"]
    (bad, first), (above, _) = offending(reader.db, reader.table, tests, "NULL")
    if bad:
        raw = reader.table.columns[name]
        ((bad, first),) = offending(reader.db, reader.table, tests[:1], reader.example, value=raw)
        reader.complain(
            "--weight", name, f"has {bad:,} values{first} that are not finite numbers of at least 0."
        )
    elif not above:
        reader.complain("--weight", name, "is 0 in every row; at least one weight is above 0.")


def check_names(reader: Reader, option: str, name: str) -> None:
    """Complain of rows without an id or cluster."""
    test = missing_sql(reader.table.columns[name], reader.table.types[name])
    ((count, first),) = offending(reader.db, reader.table, [test], reader.example)
    if count:
        reader.complain(option, name, f"has no value in {count:,} rows{first}; every row needs one.")
