"""Selection and naming of a table's rows: rows without an input, duplicates, and a limit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.read import Rows, raise_complaints
from evenhand.datasets.lib.splits import find_ids_in_two_parts
from evenhand.errors import Complaint
from evenhand.tables.schema import IntArray


@dataclass(frozen=True)
class Inputs:
    """Texts or pictures of the selected rows.

    Attributes:
        rows: [m] row numbers in the table.
        values: [m] a text, or the bytes of a picture, per row.
        remarks: on rows that were skipped.
    """

    rows: IntArray
    values: list[str] | list[bytes]
    remarks: list[str]


def read_texts(rows: Rows, selected: IntArray, column: str) -> Inputs:
    """Read the texts of selected rows; rows without a text are skipped and counted, as broken pictures are.

    Raises:
        InputError: more than 1 % of the rows have no text.
    """
    values = rows.values[column]
    filled = np.array([i for i in selected if (values[i] or "").strip()], np.int64)
    missing = len(selected) - len(filled)
    if missing > 0.01 * len(selected):
        problem = (
            f"has no text in {missing:,} of {len(selected):,} rows; at most 1% are skipped: remove them."
        )
        raise_complaints([rows.complain("text", column, problem)])
    remarks = [f"{missing:,} rows have no text; they were skipped."] if missing else []
    return Inputs(filled, [str(values[i]) for i in filled], remarks)


def name_rows(
    reader: Reader,
    rows: IntArray,
    hashes: Sequence[bytes],
    *,
    column: str | None,
    duplicates: str,
    parts: Sequence[str | None] | None = None,
) -> tuple[list[str], list[str]]:
    """Name rows by a column, or by a hash of their content, numbered where contents are equal.

    Args:
        reader: reads the table and collects complaints.
        rows: [m] row numbers.
        hashes: [m] hash of each row's content.
        column: column with the names; None names rows by their content.
        duplicates: `keep` keeps rows of equal content, with a remark; `drop` leaves them to `select_rows`.
        parts: [n] part of each row of the table, where a column gives it: one id must not be in two parts.

    Returns:
        [m] names, and remarks.
    """
    if column is not None:
        names = reader.read_names("id", column, rows)
        if parts is not None:
            option = (*reader.rows.section, "split_column")
            repeated = find_ids_in_two_parts([parts[i] for i in rows], names)
            reader.complaints.extend(Complaint(what, *option) for what in repeated)
        return names, []
    counts: dict[bytes, int] = {}
    ids = []
    for content in hashes:
        counts[content] = counts.get(content, 0) + 1
        ids.append(content.hex()[:16] + (f"-{counts[content]}" if counts[content] > 1 else ""))
    repeats = len(ids) - len(counts)
    if repeats and duplicates == "keep":
        return ids, [f"{repeats:,} rows repeat the content of another row."]
    return ids, []


def select_rows(
    ids: Sequence[str], hashes: Sequence[bytes], *, limit: int | None, duplicates: str
) -> tuple[list[int], list[str]]:
    """Drop duplicates, then draw rows up to the limit.

    The draw depends on the hashed ids only, so it is the same on every machine and in every order of the
    rows.

    Args:
        ids: [m] unique names of the rows.
        hashes: [m] hash of each row's content.
        limit: the largest number of rows; None keeps all.
        duplicates: `drop` keeps the first row of each content.

    Returns:
        Positions of the remaining rows among the m, ascending, and remarks.
    """
    selected = list(range(len(ids)))
    remarks = []
    if duplicates == "drop":
        first: Mapping[bytes, int] = {content: i for i, content in reversed(list(enumerate(hashes)))}
        selected = [i for i in selected if first[hashes[i]] == i]
        if len(selected) < len(ids):
            remarks.append(
                f"{len(ids) - len(selected):,} rows that repeat the content of another row were dropped."
            )
    if limit is not None and limit < len(selected):
        hashed = sorted(selected, key=lambda i: hashlib.sha256(f"limit:{ids[i]}".encode()).digest())
        remarks.append(f"{limit:,} of {len(selected):,} rows were drawn (limit).")
        selected = sorted(hashed[:limit])
    return selected, remarks
