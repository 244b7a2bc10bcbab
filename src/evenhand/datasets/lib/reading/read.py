"""Columns of tables as lists of texts, read by the same functions as tables of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.errors import Complaint, InputError, TableError, nearest
from evenhand.tables.io.database import Table, session
from evenhand.tables.io.formats import tidy_names, use_table
from evenhand.tables.io.sources import TableSource
from evenhand.tables.reader.fields import match_columns
from evenhand.tables.values import Unreadable, shown, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Texts = list[str | None]


@dataclass(frozen=True)
class RequiredColumns:
    """Columns to read.

    Attributes:
        single: (option, column) for columns with one value per row.
        patterns: globs of membership columns.
        verbatim: columns whose texts are not normalized.
        picture: column of pictures, or None.
        section: keys of the section of a study that names the columns.
    """

    single: tuple[tuple[str, str], ...]
    patterns: tuple[str, ...] = ()
    verbatim: tuple[str, ...] = ()
    picture: str | None = None
    section: tuple[str, ...] = ("dataset",)


@dataclass(frozen=True)
class Rows:
    """Columns of all files, one below the other.

    Attributes:
        title: name of the files in complaints.
        values: [n] texts by column; `1`, `1.0` and an integer 1 are one text, a missing value is None.
        matched: columns that match each pattern.
        pictures: [n] bytes, or names of files, or None where a row has none.
        sources: [n] file of each row.
        section: keys of the section of a study that names the columns.
    """

    title: str
    values: Mapping[str, Texts]
    matched: Mapping[str, tuple[str, ...]]
    pictures: list[bytes | str | None]
    sources: list[Path]
    section: tuple[str, ...] = ("dataset",)

    def complain(self, option: str, column: str, what: str) -> Complaint:
        """Build a complaint about a column."""
        return Complaint(f"{self.title}: column '{column}' ({option}) {what}", *self.section, option, column)


def read_columns(files: Sequence[Path], columns: RequiredColumns) -> Rows:
    """Read columns of files, in the order of the files and of their rows.

    Raises:
        TableError: files are unreadable, or columns were not found; every complaint at once.
    """
    complaints: list[str] = []
    parts: list[tuple[dict[str, Texts], list[bytes | str | None], int]] = []
    patterns: dict[str, tuple[str, ...]] = {}
    with session() as db:
        db.execute("SET preserve_insertion_order = true")
        for number, file in enumerate(files):
            source = TableSource(str(file), "", "", file)
            for matches, part in use_table(
                db, source, number, lambda table: _read_table(db, table, columns), complaints
            ):
                if isinstance(part, list):
                    complaints += part
                elif number and matches != patterns:
                    complaints.append(
                        f"{source.title}: has other columns for {shown(matches)} than {files[0].name}."
                    )
                else:
                    parts.append(part)
                patterns = patterns or matches
    if complaints:
        raise TableError(complaints[:20])
    title = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    values = {name: [v for part, _, _ in parts for v in part[name]] for name in parts[0][0]}
    sources = [file for file, (_, _, n) in zip(files, parts, strict=True) for _ in range(n)]
    if not sources:
        raise TableError(f"{title}: has no rows.")
    pictures = [p for _, many, _ in parts for p in many]
    return Rows(title, values, patterns, pictures, sources, columns.section)


def _read_table(
    db: DuckDBPyConnection, table: Table, columns: RequiredColumns
) -> tuple[dict[str, tuple[str, ...]], tuple[dict[str, Texts], list[bytes | str | None], int] | list[str]]:
    """Match the patterns in one table, and fetch its columns, or list all complaints about it."""
    problems, matches = _check_columns(table, columns)
    complaints: list[str] = [
        Complaint(table.complaint(what), *columns.section, *option) for what, option in problems.items()
    ]
    return matches, complaints or _fetch_columns(db, table, columns, matches)


def _check_columns(
    table: Table, columns: RequiredColumns
) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, ...]]]:
    """List complaints about a table's columns, with option and name, and the columns of each pattern."""
    known = list(table.columns)
    complaints: dict[str, tuple[str, str]] = {}
    names = [*columns.single, *([("image", columns.picture)] if columns.picture else [])]
    for option, name in names:
        column = table.columns.get(name)
        if column is None:
            complaints[f"column '{name}' ({option}) not found; {nearest(name, known)}"] = option, name
        elif column.flaw:
            complaints[f"column '{name}' ({option}) {column.flaw}"] = option, name
        elif name != columns.picture and column.is_nested:
            what = f"is nested (it holds {column.shape}); give one value per row."
            complaints[f"column '{name}' ({option}) {what}"] = option, name
    matches = {}
    for pattern in columns.patterns:
        matches[pattern] = tuple(match_columns(pattern, known))
        if not matches[pattern]:
            what = f"memberships '{pattern}' matches no column; {nearest(pattern, known)}"
            complaints[what] = "memberships", pattern
    return complaints, matches


def _fetch_columns(
    db: DuckDBPyConnection, table: Table, required: RequiredColumns, matches: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Texts], list[bytes | str | None], int]:
    """Fetch the required columns of one table, its pictures, and its number of rows."""
    names = list(
        dict.fromkeys([name for _, name in required.single] + [n for many in matches.values() for n in many])
    )
    chosen = [table.columns[name].text_sql for name in names]
    rows = db.execute(f"SELECT {', '.join(chosen) or '1'} FROM {table.relation}").fetchall()
    texts: dict[str, Texts] = {}
    for i, name in enumerate(names):
        if name in required.verbatim:
            texts[name] = [row[i] for row in rows]
        else:
            tidied: dict[str | None, str | None] = {}
            texts[name] = [
                tidied[v] if v in tidied else tidied.setdefault(v, tidy(v)) for v in (r[i] for r in rows)
            ]
    return texts, _fetch_pictures(db, table, required.picture), len(rows)


def _fetch_pictures(db: DuckDBPyConnection, table: Table, column: str | None) -> list[bytes | str | None]:
    """Fetch a column of pictures: bytes, records {bytes, path}, or names of files."""
    if column is None:
        return []
    if table.source.ending not in {".parquet", ".pq"}:
        rows = db.execute(f"SELECT {table.columns[column].sql} FROM {table.relation}").fetchall()
        return [value for (value,) in rows]
    import pyarrow.parquet as pq  # noqa: PLC0415  (the database would take bytes for text)

    assert table.source.path is not None
    with pq.ParquetFile(table.source.path) as file:
        names = file.schema_arrow.names
        written = names[tidy_names(names).index(column)]
        values: list[Any] = file.read(columns=[written]).column(written).to_pylist()
    strange = next((v for v in values if not isinstance(v, bytes | str | dict | None)), None)
    if strange is not None or any(
        isinstance(v, dict) and not v.keys() & {"bytes", "path"} for v in values[:1]
    ):
        kind = type(strange if strange is not None else values[0]).__name__
        raise Unreadable(
            f"column '{column}' (image) holds {kind} values; give bytes of jpeg or png files, records "
            "{bytes, path}, or names of files."
        )
    return [(v.get("bytes") or v.get("path")) if isinstance(v, dict) else v for v in values]


def raise_complaints(complaints: Sequence[str]) -> None:
    """Raise all complaints as one InputError, unless the list is empty."""
    if complaints:
        raise InputError(complaints)
