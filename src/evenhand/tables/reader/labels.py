"""Check that the values of a column can be classes or groups: not measurements, lists or missing values."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable, Mapping

from evenhand.errors import plural
from evenhand.tables.values import MAYBE_MISSING, in_order, shown

#: The label that torch's cross-entropy, and with it most trainers, ignores in the loss.
IGNORED_LABEL = "-100"

#: Up to this many distinct labels are classes, however few the rows.
FEW_CLASSES = 20

#: Pairs of class names of which the last one is positive by convention.
SELF_EVIDENT = (("0", "1"), ("-1", "1"))

_LIST_OF_NUMPY = re.compile(r"\[[-+0-9.eE\s]+\]")
_INTERVAL = re.compile(r"[\[(][-+0-9.eE]+, *[-+0-9.eE]+[\])]")
#: Several labels as Postgres, numpy, torch, R and Spark print them, and rows of 0 and 1.
_SEVERAL_LABELS = re.compile(
    r"\{.+,.+\}|(?:array|tensor|c|list|set|frozenset|WrappedArray|Array|Series)\(.*\)"
    r"|\(?[01](?:[ ,;|]+[01])+\)?|\[.*,.*\]"
)
_SEPARATORS = (",", ";", "|")


def describe_nested_labels(counts: Mapping[str, int]) -> str | None:
    """Explain why the values of a column are not classes: one value holds several labels.

    Args:
        counts: number of rows by value.

    Returns:
        The rest of a sentence that begins with the column's name; None where they can be classes.
    """
    nested = several_values(counts) or next(filter(_SEVERAL_LABELS.fullmatch, counts), None)
    if nested is not None:
        return f"is nested (first: '{nested[:60]}'); give one value per row."
    joined = _joined_labels(counts)
    if joined is not None:
        return (
            f"has several labels in one value (first: '{joined[:60]}', whose parts are labels of their own); "
            "give one value per row, for example one column for each label."
        )
    return None


def describe_measurements(counts: Mapping[str, int]) -> str | None:
    """Explain why the values of a column look like measurements: many, mostly different or fractional.

    Answers to questions have many values as well. The predictions distinguish them: answers often equal the
    predictions, measurements hardly ever.

    Args:
        counts: number of rows by value.
    """
    rows = sum(counts.values())
    fractions = fractional(counts)
    if len(counts) > FEW_CLASSES and (fractions or 5 * len(counts) >= 4 * rows):
        kind = "measurements" if numbers_of(counts) is not None else "texts"
        return (
            f"has {len(counts):,} different values in {rows:,} rows (first: '{next(iter(counts))[:40]}'), as "
            f"{kind} have; give classes, not {kind}."
        )
    return None


def fractional(values: Iterable[str]) -> list[str]:
    """List the fractional values, where all values are numbers; else an empty list."""
    listed = list(values)
    numbers = numbers_of(listed)
    if numbers is None:
        return []
    return [value for value, number in zip(listed, numbers, strict=True) if number != int(number)]


def several_values(values: Iterable[str], *, intervals: bool = False) -> str | None:
    """Find a value that is a list, a record or an array written as text.

    Args:
        values: different values of a column.
        intervals: True if `[18, 25]` is the name of an interval; `(18, 25)` always is.

    Returns:
        The first such value, or None where every value is a single one.
    """
    for value in values:
        if value[:1] not in "[{(" or len(value) < 2:
            continue
        if _INTERVAL.fullmatch(value) and (intervals or value.startswith("(")):
            continue
        if _LIST_OF_NUMPY.fullmatch(value):
            return value
        try:
            parsed = ast.literal_eval(value.replace("null", "None").replace("true", "True"))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(parsed, list | dict | tuple | set):
            return value
    return None


def _joined_labels(counts: Mapping[str, int]) -> str | None:
    """Find a value such as `toxic,insult` of which every part is also a value by itself."""
    for value in counts:
        for mark in _SEPARATORS:
            parts = [part.strip() for part in value.split(mark)]
            if len(parts) > 1 and all(part in counts for part in parts):
                return value
    return None


def numbers_of(values: Iterable[str]) -> list[float] | None:
    """Convert values to finite numbers; None where one is not a number."""
    numbers = []
    for value in values:
        try:
            number = float(value)
        except ValueError:
            return None
        if not abs(number) < float("inf"):
            return None
        numbers.append(number)
    return numbers


def words_for_missing(values: Iterable[str], *, as_label: bool = False) -> list[str]:
    """List the values that are also words for a missing value, in order.

    Args:
        values: different values of a column.
        as_label: True if the column holds labels or predictions, where trainers write -100.
    """
    words = MAYBE_MISSING | ({IGNORED_LABEL} if as_label else frozenset())
    return in_order(value for value in values if value in words)


def remarks_on_groups(option: str, column: str, counts: Mapping[str, int]) -> list[str]:
    """Remark on groups that may be missing values, or two spellings of one group.

    Args:
        option: the option that names the column.
        column: its name.
        counts: number of rows by group.
    """
    remarks = [
        f"column '{column}' ({option}): {plural(counts[word], 'row')} of '{word}' make a group like any "
        f"other, though '{word}' is also a word for a missing value."
        for word in words_for_missing(counts)
    ]
    alike: dict[str, list[str]] = {}
    for name in counts:
        letters = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        key = "".join("-" if unicodedata.category(letter) == "Pd" else letter for letter in letters)
        alike.setdefault(key, []).append(name)
    remarks += [
        f"column '{column}' ({option}): the groups {shown(names)} are written almost alike; they are judged "
        "as different groups."
        for names in alike.values()
        if len(names) > 1
    ]
    return remarks
