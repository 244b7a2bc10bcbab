"""Selection and naming of a table's rows: rows without an input, duplicates, and a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, Protocol

import numpy as np

from evenhand.datasets.lib.leaks import content_hash
from evenhand.datasets.lib.reading.columns import Reader
from evenhand.datasets.lib.reading.files import locate
from evenhand.datasets.lib.reading.read import RequiredColumns, Rows, raise_complaints, read_columns
from evenhand.datasets.lib.schema import Parts
from evenhand.datasets.lib.splits import find_ids_in_two_parts, split_from_column
from evenhand.errors import Complaint, InputError, plural
from evenhand.tables.schema import IntArray

Value = str | int | float | bool


class TableConfig(Protocol):
    """Options that tables of texts and of pictures share."""

    path: str | tuple[str, ...]
    files: str | None
    revision: str | None
    id: str | None
    by: tuple[str, ...]
    where: dict[str, Value | tuple[Value, ...]]
    split_column: str | None
    limit: int | None
    duplicates: Literal["keep", "drop"]
    without_group: Literal["refuse", "drop"]


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


@dataclass(frozen=True)
class Selection:
    """The rows of a table that a study uses: [m] row numbers, names, texts or pictures, and parts."""

    reader: Reader
    rows: IntArray
    ids: list[str]
    values: list[Any]
    remarks: list[str]
    part_names: list[str | None] | None

    def read_parts(self) -> Parts | None:
        """Read the parts from the split column; None, with complaints, if its values cannot be used."""
        if self.part_names is None:
            return None
        try:
            return split_from_column(self.part_names, self.ids)
        except InputError as error:
            section = (*self.reader.rows.section, "split_column")
            self.reader.complaints.extend(Complaint(what, *section) for what in error.complaints)
            return None


def select_inputs(
    config: TableConfig,
    named: Mapping[str, str | None],
    read: Callable[[Rows, IntArray], Inputs],
    *,
    memberships: tuple[str, ...] = (),
    picture: str | None = None,
) -> Selection:
    """Read a table, and select, name and draw its rows.

    The order matters: rows are selected before texts or pictures are decoded, and other columns are checked
    on the remaining rows only, so that complaints are about rows that a run would use.

    Args:
        config: the options.
        named: columns of this kind of table, by option; `text` is read verbatim.
        read: reads the texts or pictures of selected rows.
        memberships: globs of membership columns.
        picture: column of pictures.
    """
    single = [*named.items(), ("id", config.id), ("split_column", config.split_column)]
    single += [*(("by", name) for name in config.by), *(("where", name) for name in config.where)]
    verbatim = tuple(name for option, name in named.items() if option == "text" and name)
    rows = read_columns(
        locate(config.path, files=config.files, revision=config.revision),
        RequiredColumns(tuple((o, c) for o, c in single if c is not None), memberships, verbatim, picture),
    )
    reader = Reader(rows)
    selected = reader.select_rows(config.where)
    if config.without_group == "drop":
        selected = reader.drop_ungrouped(config.by, memberships, selected)
    raise_complaints(reader.complaints)
    inputs = read(rows, selected)
    hashes = [content_hash(value) for value in inputs.values]
    parts = None if config.split_column is None else rows.values[config.split_column]
    ids, on_names = name_rows(
        reader, inputs.rows, hashes, column=config.id, duplicates=config.duplicates, parts=parts
    )
    chosen, on_selection = select_rows(ids, hashes, limit=config.limit, duplicates=config.duplicates)
    selected = inputs.rows[chosen]
    values, remarks = [inputs.values[i] for i in chosen], [*inputs.remarks, *on_names, *on_selection]
    part_names = None if parts is None else [parts[i] for i in selected]
    return Selection(reader, selected, [ids[i] for i in chosen], values, remarks, part_names)


def read_texts(column: str, rows: Rows, selected: IntArray) -> Inputs:
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
        return ids, [f"{plural(repeats, 'row')} with the content of another row."]
    return ids, []


def select_rows(
    ids: Sequence[str], hashes: Sequence[bytes], *, limit: int | None, duplicates: str
) -> tuple[list[int], list[str]]:
    """Drop duplicates, then draw rows up to the limit.

    The draw depends on the hashed ids only: it is the same on every machine and in every order of the rows.

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
                f"Dropped {plural(len(ids) - len(selected), 'row')} with the content of another row."
            )
    drawn = draw_rows(selected, [ids[i] for i in selected], limit)
    if len(drawn) < len(selected):
        remarks.append(f"{limit:,} of {len(selected):,} rows were drawn (limit).")
    return drawn, remarks


def draw_rows(rows: Sequence[int], names: Sequence[str], limit: int | None) -> list[int]:
    """Draw rows up to a limit, by the hashes of their names; ascending. None draws all."""
    hashed = sorted(
        zip(rows, names, strict=True), key=lambda row: sha256(f"limit:{row[1]}".encode()).digest()
    )
    return sorted(row for row, _ in hashed[:limit])
