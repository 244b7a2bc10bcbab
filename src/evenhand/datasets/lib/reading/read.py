"""Columns of tables as lists, read by the same doors as tables of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.errors import Complaint, InputError, TableError, nearest
from evenhand.tables.io.database import Table, Unreadable, session
from evenhand.tables.io.formats import tidy_names, use_table
from evenhand.tables.io.sources import TableSource
from evenhand.tables.predictions.scores import match_columns
from evenhand.tables.values import is_nested, shape_of, shown, text_sql, tidy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Texts = list[str | None]


@dataclass(frozen=True)
class Wanted:
    """Which columns are needed.

    Attributes:
        single: (option, column) of columns with one value per row.
        patterns: globs of membership columns.
        verbatim: columns whose text is kept as it is.
        picture: column of pictures, or None.
        section: keys of the part of a study that names the columns.
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
        title: what complaints call the files.
        values: [n] texts by column; `1`, `1.0` and an integer 1 are one text, a missing value is None.
        matched: columns of every pattern.
        pictures: [n] bytes, or names of files, or None where a row has none.
        sources: [n] file of each row.
        section: keys of the part of a study that names the columns.
    """

    title: str
    values: Mapping[str, Texts]
    matched: Mapping[str, tuple[str, ...]]
    pictures: list[bytes | str | None]
    sources: list[Path]
    section: tuple[str, ...] = ("dataset",)

    def complain(self, option: str, column: str, what: str) -> Complaint:
        """A complaint about a column."""
        return Complaint(f"{self.title}: column '{column}' ({option}) {what}", *self.section, option, column)


def read(files: Sequence[Path], wanted: Wanted) -> Rows:
    """Read columns of files, in the order of the files and of their rows.

    Raises:
        TableError: files are unreadable, or columns are not there; every complaint at once.
    """
    complaints: list[str] = []
    parts: list[tuple[dict[str, Texts], list[bytes | str | None], int]] = []
    patterns: dict[str, tuple[str, ...]] = {}
    with session() as db:
        db.execute("SET preserve_insertion_order = true")
        for number, file in enumerate(files):
            given = TableSource(str(file), "", "", file)
            for found, part in use_table(
                db, given, number, lambda table: _part(db, table, wanted), complaints
            ):
                if isinstance(part, list):
                    complaints += part
                elif number and found != patterns:
                    complaints.append(
                        f"{given.title}: has other columns for {shown(found)} than {files[0].name}."
                    )
                else:
                    parts.append(part)
                patterns = patterns or found
    if complaints:
        raise TableError(complaints[:20])
    title = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    values = {name: [v for part, _, _ in parts for v in part[name]] for name in parts[0][0]}
    sources = [file for file, (_, _, n) in zip(files, parts, strict=True) for _ in range(n)]
    if not sources:
        raise TableError(f"{title}: has no rows.")
    pictures = [p for _, many, _ in parts for p in many]
    return Rows(title, values, patterns, pictures, sources, wanted.section)


def _part(
    db: DuckDBPyConnection, table: Table, wanted: Wanted
) -> tuple[dict[str, tuple[str, ...]], tuple[dict[str, Texts], list[bytes | str | None], int] | list[str]]:
    """What the patterns match in one table, and its columns, or every complaint about it."""
    wrong, found = _columns(table, wanted)
    said: list[str] = [Complaint(table.say(what), *wanted.section, *option) for what, option in wrong.items()]
    return found, said or _fetch(db, table, wanted, found)


def _columns(table: Table, wanted: Wanted) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, ...]]]:
    """Complaints about columns of one table, each with its option and name, and what its patterns match."""
    known = list(table.columns)
    complaints: dict[str, tuple[str, str]] = {}
    names = [*wanted.single, *([("image", wanted.picture)] if wanted.picture else [])]
    for option, name in names:
        if name in table.flaws:
            complaints[f"column '{name}' ({option}) {table.flaws[name]}"] = option, name
        elif name not in known:
            complaints[f"column '{name}' ({option}) is not there; {nearest(name, known)}"] = option, name
        elif name != wanted.picture and is_nested(table.types[name]):
            shape = shape_of(table.types[name])
            nested = f"column '{name}' ({option}) is nested (it holds {shape}); give one value per row."
            complaints[nested] = option, name
    found = {}
    for pattern in wanted.patterns:
        found[pattern] = tuple(match_columns(pattern, known))
        if not found[pattern]:
            what = f"memberships '{pattern}' matches no column; {nearest(pattern, known)}"
            complaints[what] = "memberships", pattern
    return complaints, found


def _fetch(
    db: DuckDBPyConnection, table: Table, wanted: Wanted, found: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Texts], list[bytes | str | None], int]:
    """Needed columns of one table, its pictures, and its number of rows."""
    names = list(
        dict.fromkeys([name for _, name in wanted.single] + [n for many in found.values() for n in many])
    )
    chosen = [text_sql(table.columns[name], table.types[name]) for name in names]
    rows = db.execute(f"SELECT {', '.join(chosen) or '1'} FROM {table.relation}").fetchall()
    columns: dict[str, Texts] = {}
    for i, name in enumerate(names):
        if name in wanted.verbatim:
            columns[name] = [row[i] for row in rows]
        else:
            seen: dict[str | None, str | None] = {}
            columns[name] = [
                seen[v] if v in seen else seen.setdefault(v, tidy(v)) for v in (r[i] for r in rows)
            ]
    return columns, _pictures(db, table, wanted.picture), len(rows)


def _pictures(db: DuckDBPyConnection, table: Table, column: str | None) -> list[bytes | str | None]:
    """A column of pictures: bytes, {bytes, path} or names of files."""
    if column is None:
        return []
    if table.source.ending not in {".parquet", ".pq"}:
        rows = db.execute(f"SELECT {table.columns[column]} FROM {table.relation}").fetchall()
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


def refuse(complaints: Sequence[str]) -> None:
    """Raise all complaints at once, if there are any."""
    if complaints:
        raise InputError(complaints)
