"""Splits of rows into parts for training, validation and testing, and checks of a split.

A split is drawn from the sorted hashes of the ids: it is the same on every machine, in every order of the
rows, and in every version of Python and numpy.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.datasets.lib.schema import Examples, Parts
from evenhand.errors import InputError, nearest, plural
from evenhand.tables.schema import Attribute, IntArray

_PART_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
#: The smallest usable number of rows in a part.
MIN_PART_ROWS = 4
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class SplitCheck:
    """Result of checking a split.

    Attributes:
        complaints: reasons why it cannot be used.
        remarks: further facts for the report.
    """

    complaints: tuple[str, ...]
    remarks: tuple[str, ...]


def split(
    ids: Sequence[str],
    *,
    train: float,
    validation: float,
    test: float,
    seed: int,
    units: Sequence[str] | None = None,
) -> Parts:
    """Draw three parts of the rows.

    Args:
        ids: [n] unique names of the rows.
        units: [n] unit of each row: rows of one unit are in one part. A part ends with the unit that fills
            its share.
        train: share of the rows, above 0.
        validation: share of the rows, may be 0.
        test: share of the rows, above 0.
        seed: another seed is another draw.

    Raises:
        InputError: a share is out of range, the shares do not sum to 1, or an id occurs twice.
    """
    shares = {"train": train, "validation": validation, "test": test}
    complaints = [
        f"split: {name} is {share:g}; it must be "
        f"{'at least' if name == 'validation' else 'above'} 0 and below 1."
        for name, share in shares.items()
        if not (0 <= share < 1 and (share > 0 or name == "validation"))
    ]
    total = math.fsum(shares.values())
    if not abs(total - 1) <= _TOLERANCE:
        listed = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        complaints.append(f"split: {listed} = {total:g}; the shares must sum to 1.")
    complaints += _repeated_ids(ids)
    if complaints:
        raise InputError(complaints)
    order = order_by_hash(ids, range(len(ids)), seed)
    first, second = round(train * len(ids)), round((train + validation) * len(ids))
    if units is not None:
        # Units are ordered by their hashes; `sorted` is stable, so rows within a unit stay in hash order.
        hashed = {unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest() for unit in set(units)}
        order = np.array(sorted(order.tolist(), key=lambda row: hashed[units[row]]), np.int64)
        first, second = (_unit_end(order, units, position) for position in (first, second))
    return Parts(order[:first], order[first:second], order[second:])


def split_from_column(values: Sequence[str | None], ids: Sequence[str] | None = None) -> Parts:
    """Read the parts from a column with the values train, validation (val, valid, dev) or test.

    Args:
        values: [n] part of each row.
        ids: [n] names of the rows, by whose hashes each part is ordered; None keeps the order of the rows.

    Raises:
        InputError: a value is not the name of a part, or no rows are for training or testing.
    """
    rows_by_part: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    unknown: dict[str, int] = {}
    for row, value in enumerate(values):
        text = "" if value is None else str(value)
        name = _PART_NAMES.get(text.strip().lower())
        if name is None:
            unknown[text] = unknown.get(text, 0) + 1
        else:
            rows_by_part[name].append(row)
    complaints = [
        f"split column: {plural(n, 'row')} with {text!r}; {nearest(text, list(_PART_NAMES))}"
        for text, n in unknown.items()
    ][:10]
    complaints += [
        f"split column: no row is '{name}'; give such rows, or leave out the column and give shares."
        for name in ("train", "test")
        if not rows_by_part[name] and not unknown
    ]
    if complaints:
        raise InputError(complaints)
    ordered = {
        name: np.array(rows, np.int64) if ids is None else order_by_hash(ids, rows, 0)
        for name, rows in rows_by_part.items()
    }
    return Parts(**ordered)


def find_ids_in_two_parts(values: Sequence[str | None], ids: Sequence[str]) -> list[str]:
    """Find ids that a split column puts in two parts, such as examples that were drawn twice.

    Args:
        values: [n] part of each row.
        ids: [n] id of each row; the same for rows of one example.

    Returns:
        At most one complaint.
    """
    places: dict[str, set[str]] = {}
    for value, name in zip(values, ids, strict=True):
        part = _PART_NAMES.get(str(value).strip().lower(), str(value))
        places.setdefault(name, set()).add(part)
    twice = [name for name, parts in places.items() if len(parts) > 1]
    if not twice:
        return []
    tested, all_tested = (sum("test" in places[name] for name in names) for names in (twice, places))
    return [
        f"split column: {len(twice):,} ids are in two parts or more (first: '{twice[0]}'), among them "
        f"{tested:,} of the {all_tested:,} in test: a model would be tested on what it has seen."
    ]


def check_split(examples: Examples, parts: Parts, *, least: int = MIN_PART_ROWS) -> SplitCheck:
    """Check that every part has enough rows, and every class rows in it.

    Args:
        examples: all rows.
        parts: their split; an empty validation part is a choice, not a fault.
        least: the smallest allowed number of rows of a part.
    """
    complaints: list[str] = []
    remarks: list[str] = []
    filled = [(name, rows) for name, rows in parts.named() if len(rows) or name != "validation"]
    counts = {
        name: np.bincount(examples.labels[rows], minlength=len(examples.classes)) for name, rows in filled
    }
    total = np.bincount(examples.labels, minlength=len(examples.classes))
    present = [i for i, n in enumerate(total) if n and examples.classes]
    if examples.classes and len(present) < 2:
        only = f"is '{examples.classes[present[0]]}'" if present else "is missing"
        complaints.append(
            f"The label of all {len(examples.labels):,} rows {only}; at least two classes are needed."
        )
    remarks += [
        f"No row has the class '{name}'." for i, name in enumerate(examples.classes) if i not in present
    ]
    for name, rows in filled:
        if len(rows) < least:
            complaints.append(
                f"The {name} part has {plural(len(rows), 'row')}; it must have at least {least}."
            )
        missing = [examples.classes[i] for i in present if not counts[name][i]]
        if missing and len(present) > 1 and len(rows) >= least:
            listed = ", ".join(
                f"'{label}' ({total[examples.classes.index(label)]:,} in all)" for label in missing
            )
            complaints.append(
                f"The {name} part ({plural(len(rows), 'row')}) has no row of class {listed}; give more rows "
                "or other shares, or leave the class out."
            )
    for attribute in examples.attributes:
        remarks += _remark_on_groups(attribute, parts)
    return SplitCheck(tuple(complaints), tuple(remarks))


def _remark_on_groups(attribute: Attribute, parts: Parts) -> list[str]:
    """Remark on groups without rows, without test rows, or without training rows."""
    remarks = []
    for i, group in enumerate(attribute.groups):
        of = attribute.in_group(i)
        train, test = int(of[parts.train].sum()), int(of[parts.test].sum())
        name = f"{attribute.name}={group}"
        if not of.any():
            remarks.append(f"No row is in group {name}.")
        elif not test:
            remarks.append(
                f"Group {name} ({int(of.sum()):,} rows) has no test row, so it cannot be evaluated."
            )
        elif not train:
            remarks.append(f"Group {name} ({test:,} test rows) has no row to train on.")
    return remarks


def _unit_end(order: IntArray, units: Sequence[str], position: int) -> int:
    """Move a position forward to the end of the unit that holds the row before it."""
    while 0 < position < len(order) and units[order[position]] == units[order[position - 1]]:
        position += 1
    return position


def order_by_hash(ids: Sequence[str], rows: Iterable[int], draw: object) -> IntArray:
    """Sort row numbers by their hashed ids; another `draw` gives another order."""
    keys = {row: hashlib.sha256(f"{draw}:{ids[row]}".encode()).digest() for row in rows}
    return np.array(sorted(keys, key=keys.__getitem__), np.int64)


def _repeated_ids(ids: Sequence[str]) -> list[str]:
    """Find ids that occur more than once."""
    twice = [name for name, n in Counter(ids).items() if n > 1]
    if not twice:
        return []
    return [f"{len(twice):,} ids occur more than once (first: '{twice[0]}'); an id names one row."]
