"""Which rows of a table are kept: those with an input, once each, a drawn part; and what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.read import Rows, refuse
from evenhand.datasets.lib.splits import in_two_parts
from evenhand.errors import Complaint
from evenhand.tables.schema import IntArray


@dataclass(frozen=True)
class Inputs:
    """Texts or pictures of the wanted rows."""

    rows: IntArray
    values: list[str] | list[bytes]
    remarks: list[str]


def texts(rows: Rows, kept: IntArray, column: str) -> Inputs:
    """Texts; rows without one are left out and counted, as pictures that cannot be decoded are."""
    given = rows.values[column]
    full = np.array([i for i in kept if (given[i] or "").strip()], np.int64)
    missing = len(kept) - len(full)
    if missing > 0.01 * len(kept):
        what = f"has no text in {missing:,} of {len(kept):,} rows; at most 1% are skipped: take them out."
        refuse([rows.complain("text", column, what)])
    remarks = [f"{missing:,} rows have no text; they were skipped."] if missing else []
    return Inputs(full, [str(given[i]) for i in full], remarks)


def names(
    reader: Reader,
    rows: IntArray,
    marks: Sequence[bytes],
    *,
    column: str | None,
    duplicates: str,
    parts: Sequence[str | None] | None = None,
) -> tuple[list[str], list[str]]:
    """Names of rows: a column, or a hash of the content, numbered where the content is the same.

    Args:
        reader: of the table.
        rows: [m] which.
        marks: [m] what rows of the same content share.
        column: that names them; None: their content does.
        duplicates: whether rows of the same content are all kept, which is remarked on, or dropped later.
        parts: [n] part of each row of the table, where a column says it: an id has one.
    """
    if column is not None:
        found = reader.names("id", column, rows)
        if parts is not None:
            about = (*reader.rows.section, "split_column")
            twice = in_two_parts([parts[i] for i in rows], found)
            reader.complaints.extend(Complaint(what, *about) for what in twice)
        return found, []
    seen: dict[bytes, int] = {}
    ids = []
    for mark in marks:
        seen[mark] = seen.get(mark, 0) + 1
        ids.append(mark.hex()[:16] + (f"-{seen[mark]}" if seen[mark] > 1 else ""))
    again = len(ids) - len(seen)
    if again and duplicates == "keep":
        return ids, [f"{again:,} rows repeat the content of another row."]
    return ids, []


def kept_of(
    ids: Sequence[str], marks: Sequence[bytes], *, limit: int | None, duplicates: str
) -> tuple[list[int], list[str]]:
    """Places of the rows that stay after duplicates are dropped and the limit is kept."""
    chosen = list(range(len(ids)))
    remarks = []
    if duplicates == "drop":
        first: Mapping[bytes, int] = {mark: i for i, mark in reversed(list(enumerate(marks)))}
        chosen = [i for i in chosen if first[marks[i]] == i]
        if len(chosen) < len(ids):
            remarks.append(
                f"{len(ids) - len(chosen):,} rows that repeat the content of another row were dropped."
            )
    if limit is not None and limit < len(chosen):
        hashed = sorted(chosen, key=lambda i: hashlib.sha256(f"limit:{ids[i]}".encode()).digest())
        remarks.append(f"{limit:,} of {len(chosen):,} rows were drawn (limit).")
        chosen = sorted(hashed[:limit])
    return chosen, remarks
