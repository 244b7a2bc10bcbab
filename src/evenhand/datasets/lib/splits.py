"""Splits: which rows are for training, validation and testing, and whether that can be used.

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
from evenhand.errors import InputError, nearest
from evenhand.tables.schema import Attribute, IntArray

_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
#: Parts with fewer rows than this cannot be used.
LEAST_ROWS = 4
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Checked:
    """What is to say of a split.

    Attributes:
        complaints: why it cannot be used.
        remarks: what is worth knowing.
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
        units: [n] names of what must not be cut: rows of one unit are in one part. A part ends with the unit
            that fills its share.
        train: share of the rows, above 0.
        validation: share of the rows, may be 0.
        test: share of the rows, above 0.
        seed: another seed is another draw.

    Raises:
        InputError: the shares are no shares or do not sum to 1, or an id occurs twice.
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
        told = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        complaints.append(f"split: {told} = {total:g}; the shares must sum to 1.")
    complaints += _repeated(ids)
    if complaints:
        raise InputError(complaints)
    order = by_hash(ids, range(len(ids)), seed)
    first, second = round(train * len(ids)), round((train + validation) * len(ids))
    if units is not None:
        hashed = {unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest() for unit in set(units)}
        order = np.array(sorted(order.tolist(), key=lambda row: hashed[units[row]]), np.int64)
        first, second = (_end(order, units, place) for place in (first, second))
    return Parts(order[:first], order[first:second], order[second:])


def from_column(values: Sequence[str | None], ids: Sequence[str] | None = None) -> Parts:
    """Take the parts from a column that says them: train, validation (val, valid, dev) or test.

    Args:
        values: [n] part of each row.
        ids: [n] names of the rows, by whose hashes each part is ordered; None keeps the order of the rows.

    Raises:
        InputError: a value names no part, or there are no rows for training or testing.
    """
    places: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    strange: dict[str, int] = {}
    for row, value in enumerate(values):
        text = "" if value is None else str(value)
        name = _NAMES.get(text.strip().lower())
        if name is None:
            strange[text] = strange.get(text, 0) + 1
        else:
            places[name].append(row)
    complaints = [
        f"split column: {n:,} rows have {text!r}; {nearest(text, list(_NAMES))}"
        for text, n in strange.items()
    ][:10]
    complaints += [
        f"split column: no row is '{name}'; give such rows, or leave out the column and give shares."
        for name in ("train", "test")
        if not places[name] and not strange
    ]
    if complaints:
        raise InputError(complaints)
    ordered = {
        name: np.array(rows, np.int64) if ids is None else by_hash(ids, rows, 0)
        for name, rows in places.items()
    }
    return Parts(**ordered)


def in_two_parts(values: Sequence[str | None], ids: Sequence[str]) -> list[str]:
    """Complain of rows that a split column has in two parts, as one that was drawn twice does.

    Args:
        values: [n] part of each row.
        ids: [n] what each row is called; the same for rows of one example.
    """
    places: dict[str, set[str]] = {}
    for value, name in zip(values, ids, strict=True):
        part = _NAMES.get(str(value).strip().lower(), str(value))
        places.setdefault(name, set()).add(part)
    twice = [name for name, parts in places.items() if len(parts) > 1]
    if not twice:
        return []
    tested, all_tested = (sum("test" in places[name] for name in names) for names in (twice, places))
    return [
        f"split column: {len(twice):,} ids are in two parts or more (first: '{twice[0]}'), among them "
        f"{tested:,} of the {all_tested:,} in test: a model would be tested on what it has seen."
    ]


def check(examples: Examples, parts: Parts, *, least: int = LEAST_ROWS) -> Checked:
    """Say why a split cannot be used, and what is worth knowing about it.

    Args:
        examples: all rows.
        parts: their split; an empty validation part is a choice, not a fault.
        least: how many rows a part must have.
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
            f"The label of all {len(examples.labels):,} rows {only}; there must be two classes."
        )
    remarks += [
        f"No row has the class '{name}'." for i, name in enumerate(examples.classes) if i not in present
    ]
    for name, rows in filled:
        if len(rows) < least:
            complaints.append(f"The {name} part has {len(rows):,} rows; it must have at least {least}.")
        missing = [examples.classes[i] for i in present if not counts[name][i]]
        if missing and len(present) > 1 and len(rows) >= least:
            told = ", ".join(
                f"'{label}' ({total[examples.classes.index(label)]:,} in all)" for label in missing
            )
            complaints.append(
                f"The {name} part ({len(rows):,} rows) has no row of class {told}; give more rows or other "
                "shares, or leave the class out."
            )
    for attribute in examples.attributes:
        remarks += _groups(attribute, parts)
    return Checked(tuple(complaints), tuple(remarks))


def _groups(attribute: Attribute, parts: Parts) -> list[str]:
    """Remarks on groups without rows."""
    remarks = []
    for i, group in enumerate(attribute.groups):
        of = attribute.in_group(i)
        train, test = int(of[parts.train].sum()), int(of[parts.test].sum())
        name = f"{attribute.name}={group}"
        if not of.any():
            remarks.append(f"No row is in group {name}.")
        elif not test:
            remarks.append(
                f"Group {name} ({int(of.sum()):,} rows) has no test row, so nothing can be said of it."
            )
        elif not train:
            remarks.append(f"Group {name} ({test:,} test rows) has no row to train on.")
    return remarks


def _end(order: IntArray, units: Sequence[str], place: int) -> int:
    """Where the unit ends that holds the row before a place."""
    while 0 < place < len(order) and units[order[place]] == units[order[place - 1]]:
        place += 1
    return place


def by_hash(ids: Sequence[str], rows: Iterable[int], draw: object) -> IntArray:
    """Row numbers in the order of their hashed ids; another draw is another order."""
    keys = {row: hashlib.sha256(f"{draw}:{ids[row]}".encode()).digest() for row in rows}
    return np.array(sorted(keys, key=keys.__getitem__), np.int64)


def _repeated(ids: Sequence[str]) -> list[str]:
    """Complain of ids that occur twice."""
    twice = [name for name, n in Counter(ids).items() if n > 1]
    if not twice:
        return []
    return [f"{len(twice):,} ids occur more than once (first: '{twice[0]}'); an id names one row."]
