"""Find a table's scores, check that they are probabilities, and determine their order by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evenhand.errors import nearest
from evenhand.tables.io.database import Table, single_row
from evenhand.tables.reader.checks import offending
from evenhand.tables.reader.fields import match_columns
from evenhand.tables.schema import Columns
from evenhand.tables.values import shown, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TOLERANCE = 1e-3
#: A probability outside [0, 1] by less than this is a rounding error, read as 0 or 1 (float32 has 7 digits).
ROUNDING = 1e-6
_DEFAULT_PATTERN = "score_*"
_LOGITS = "scores are probabilities; divide percentages by 100, and turn logits into probabilities first"


@dataclass(frozen=True)
class Scores:
    """The scores of one table.

    Attributes:
        title: the column or the pattern.
        sql: P(positive) as a number, or one list per row.
        single: True if `sql` is one number.
        length: length of the lists.
        suffixes: what the pattern's star matched: the class of every column; of a single number, its class.
        guessed: True if no option names these columns.
        raw: SQL for the values as the table has them, for complaints.
    """

    title: str
    sql: str
    single: bool
    length: int = 0
    suffixes: tuple[str, ...] = ()
    guessed: bool = False
    raw: str = ""

    @property
    def counted(self) -> bool:
        """True if the suffixes are 0, 1, ... in some order."""
        return sorted(self.suffixes, key=lambda s: (len(s), s)) == [str(i) for i in range(len(self.suffixes))]

    def fits(self, labels: Iterable[str]) -> bool:
        """Return True if these are scores at all: columns that no option names must have names of labels."""
        named = {s.lower() for s in self.suffixes}
        if self.single and named:
            return not self.guessed or named <= {"0", "1"} | {label.strip().lower() for label in labels}
        texts = {label.strip().lower() for label in labels}
        if named == {"true", "false"}:  # 1 and 0 are the same two labels
            texts = {{"1": "true", "0": "false"}.get(text, text) for text in texts}
        return not self.guessed or self.counted or texts <= named


def score_columns(table: Table, columns: Columns) -> tuple[str, ...]:
    """List the columns of scores; empty where there are none."""
    if columns.score is None:
        return ("score",) if "score" in table.columns else match_columns(_DEFAULT_PATTERN, table.columns)
    if "*" in columns.score:
        return match_columns(columns.score, table.columns)
    return (columns.score,) if columns.score in table.columns else ()


def find_scores(db: DuckDBPyConnection, table: Table, columns: Columns) -> Scores | None:
    """Find the scores of a staged table."""
    names = score_columns(table, columns)
    if not names:
        return None
    title = columns.score or ("score" if names == ("score",) else _DEFAULT_PATTERN)
    column = table.columns[names[0]]
    sql = column.sql
    if "*" in title:
        guessed = columns.score is None
        before, _, after = title.partition("*")
        suffixes = tuple(tidy(n[len(before) : len(n) - len(after)]) or "" for n in names)
        numbers = [table.columns[n].number_sql for n in names]
        if len(names) == 1:
            return Scores(title, numbers[0], True, 1, suffixes, guessed, sql)
        raw = f"concat_ws(', ', {', '.join(table.columns[n].sql for n in names)})"
        return Scores(title, f"list_value({', '.join(numbers)})", False, len(names), suffixes, guessed, raw)
    lists = "[" in column.type
    if column.type == "VARCHAR":
        opens = f"bool_or(starts_with(ltrim({sql}), '['))"
        lists = bool(single_row(db, f"SELECT {opens} FROM {table.relation}")[0])
    guessed = columns.score is None
    if not lists:
        return Scores(title, column.number_sql, single=True, guessed=guessed, raw=sql)
    values = f"TRY_CAST({_with_commas(sql) if column.type == 'VARCHAR' else sql} AS DOUBLE[])"
    longest = single_row(db, f"SELECT max(len({values})) FROM {table.relation}")[0]
    if longest == 1:  # an array of shape (n, 1)
        return Scores(title, f"({values})[1]", single=True, guessed=guessed, raw=sql)
    return Scores(title, values, single=False, guessed=guessed, raw=sql)


def _clipped(scores: Scores) -> Scores:
    """Clip scores to [0, 1], which rounding errors exceed."""
    if scores.single:
        return replace(scores, sql=f"least(greatest({scores.sql}, 0), 1)")
    return replace(scores, sql=f"list_transform({scores.sql}, lambda p: least(greatest(p, 0), 1))")


def _with_commas(sql: str) -> str:
    """Return SQL that inserts commas into a list as numpy prints it, `[0.25 0.75]`."""
    bare = f"trim({sql}, ' []' || chr(10))"
    return (
        f"CASE WHEN contains({sql}, ',') THEN {sql} "
        f"ELSE '[' || regexp_replace({bare}, '\\s+', ', ', 'g') || ']' END"
    )


def positive_sql(scores: Scores, classes: Sequence[str], positive: int) -> str:
    """Return SQL for P(positive) of a row, for every form of scores.

    Args:
        scores: checked scores; a single column such as `score_0` is that of the class in its name.
        classes: the two classes.
        positive: index of the positive one.
    """
    if scores.single:
        return f"1 - ({scores.sql})" if _class_of(scores, classes) == 1 - positive else scores.sql
    positions = class_positions(scores, classes, positive)
    assert isinstance(positions, list), positions
    return f"({scores.sql})[{positions[positive]}] / list_sum({scores.sql})"


def class_of_single(scores: Scores, classes: Sequence[str], positive: int) -> str | None:
    """Complain of a single column of scores whose name is not one of the two classes."""
    if not scores.suffixes or _class_of(scores, classes) is not None:
        return None
    return (
        f"--score '{scores.title}': the star matched {shown(scores.suffixes)} only, which is not a class "
        f"({shown(classes)}); give the column's name where it is the probability of '{classes[positive]}'."
    )


def _class_of(scores: Scores, classes: Sequence[str]) -> int | None:
    """Return the index of the class that the suffix of a single column names; None if it names none."""
    if not scores.suffixes:
        return None
    small = [name.lower() for name in classes]
    suffix = scores.suffixes[0].lower()
    if suffix not in small:
        suffix = {"true": "1", "false": "0"}.get(suffix, suffix)
    if suffix not in small and suffix in {"0", "1"}:
        return int(suffix)
    return small.index(suffix) if suffix in small else None


def check_scores(
    db: DuckDBPyConnection, table: Table, scores: Scores, example: str
) -> tuple[Scores, list[str]]:
    """Complain of scores that are not probabilities, and find the length of lists.

    Args:
        db: the database.
        table: a staged table.
        scores: the result of `find_scores`.
        example: SQL for the name of an example, or NULL.
    """
    s = scores.sql
    low, high = (s, s) if scores.single else (f"list_min({s})", f"list_max({s})")
    gap = f"({s} IS NULL OR isnan({high}))"
    if not scores.single:
        gap = f"({s} IS NULL OR len({s}) = 0 OR list_count({s}) < len({s}) OR isnan({high}))"
    tests = {
        "missing or not a number": gap,
        f"outside [0, 1] ({_LOGITS})": f"NOT {gap} AND ({low} < -{ROUNDING} OR {high} > 1 + {ROUNDING})",
    }
    if not scores.single:
        tests[f"not a distribution: they do not sum to 1 (within {TOLERANCE})"] = (
            f"NOT {gap} AND {low} >= -{ROUNDING} AND {high} <= 1 + {ROUNDING} "
            f"AND abs(list_sum({s}) - 1) > {TOLERANCE}"
        )
    counts = offending(db, table, list(tests.values()), example, value=scores.raw)
    complaints = [
        table.complaint(f"--score '{scores.title}': in {rows} scores are {what}.")
        for what, rows in zip(tests, counts, strict=True)
        if rows
    ]
    if complaints:
        return scores, complaints
    least, most = single_row(db, f"SELECT min({low}), max({high}) FROM {table.relation}")
    if least < 0 or most > 1:
        scores = _clipped(scores)
    if scores.single:
        return scores, []
    shortest, longest = single_row(db, f"SELECT min(len({s})), max(len({s})) FROM {table.relation}")
    if shortest != longest:
        lists = f"lists have {shortest} to {longest} scores; give one score per class."
        complaints.append(table.complaint(f"--score '{scores.title}': {lists}"))
    return replace(scores, length=longest), complaints


def class_positions(scores: Scores, classes: Sequence[str], positive: int | None) -> list[int] | str:
    """Return the position (from 1) of each class in a row's list of scores, or a complaint.

    Args:
        scores: checked scores, one list per row.
        classes: the classes, in order; binary ones are (negative, positive).
        positive: index of the positive class, or None.
    """
    by_value = sorted(range(len(classes)), key=lambda i: _sort_key(classes)[i])
    if scores.suffixes and set(scores.suffixes) >= set(classes) and len(scores.suffixes) == len(classes):
        return [scores.suffixes.index(name) + 1 for name in classes]
    if scores.suffixes and positive is not None and {s.lower() for s in scores.suffixes} == {"true", "false"}:
        flags = [{"true": "1", "false": "0"}[s.lower()] for s in scores.suffixes]
        if set(flags) == set(classes):
            return [flags.index(name) + 1 for name in classes]
    if len(classes) == scores.length and (not scores.suffixes or scores.counted):
        rank_of = {c: rank for rank, c in enumerate(by_value)}
        ranks = [rank_of[i] for i in range(len(classes))]
        if not scores.suffixes:
            return [rank + 1 for rank in ranks]
        return [scores.suffixes.index(str(rank)) + 1 for rank in ranks]
    if scores.suffixes:
        odd = next((suffix for suffix in scores.suffixes if suffix not in classes), scores.suffixes[0])
        return (
            f"--score '{scores.title}': the star matched {shown(scores.suffixes)}; give one column per "
            f"class, named by the class: '{odd}'? {nearest(odd, classes)}"
        )
    return (
        f"--score '{scores.title}': a list has {scores.length} scores, but there are {len(classes)} "
        f"classes ({shown(classes)}); give one score per class."
    )


def _sort_key(classes: Sequence[str]) -> list[tuple[float, str]]:
    """Return sort keys: by value if all classes are numbers, else by text."""
    try:
        return [(float(c), c) for c in classes]
    except ValueError:
        return [(0.0, c) for c in classes]
