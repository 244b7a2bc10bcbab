"""Resolve a source (paths, globs, tables in memory, or arm names to either) into a flat list of tables."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evenhand.errors import CallError, TableError, nearest
from evenhand.tables.io.paths import local, path_fault, unexpanded, unsupported_location
from evenhand.tables.schema import Columns, Source

#: Endings of the files that can be read.
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq",
           ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")  # fmt: skip
_MAX_SHOWN = 300
ALLOWED = (
    "a path or glob, a table (pandas, polars, pyarrow, a dict of columns), a list of those, "
    "or a dict of arm names to those"
)


@dataclass(frozen=True)
class TableSource:
    """One table of a source, before it is opened.

    Attributes:
        title: its name in complaints: the path, or `table 2`.
        arm: the arm of its rows, unless a column names it.
        run: the run of its rows, unless a column names it.
        path: the file, or None for a table in memory.
        table: the table in memory, or None for a file.
    """

    title: str
    arm: str
    run: str
    path: Path | None = None
    table: object = None

    @property
    def ending(self) -> str:
        """The file's ending in lower case, with its `.gz`: `.csv.gz`."""
        name = self.path.name.lower() if self.path else ""
        return next((e for e in sorted(ENDINGS, key=len, reverse=True) if name.endswith(e)), "")


def resolve_sources(source: Source, columns: Columns) -> tuple[list[TableSource], list[str]]:
    """List the tables of a source with their arms and runs, and complain of files that do not exist.

    Raises:
        CallError: the type of the source is not supported, or names and tables do not match.
        TableError: a file does not exist, so that names cannot be assigned to tables.
    """
    named, complaints = _flatten(source)
    if complaints and (columns.names or not named):
        raise TableError(complaints)
    if not named:
        raise CallError(f"No table was given: give {ALLOWED}.")
    if columns.names:
        named = _with_names(named, _names_per_table(source, columns), columns)
    items = [item for _, item in named]
    stems = _unique([_stem(item, i, len(items)) for i, item in enumerate(items, 1)], items)
    sources = [
        TableSource(
            title=_title(item, name, stem),
            arm=stem if name is None else name,
            run=stem,
            path=item if isinstance(item, Path) else None,
            table=None if isinstance(item, Path) else item,
        )
        for (name, item), stem in zip(named, stems, strict=True)
    ]
    return sources, complaints


def _title(item: object, name: str | None, stem: str) -> str:
    """Name a table in complaints."""
    if isinstance(item, Path):
        return str(item)
    return (
        f"table '{stem}'" if name is None else f"table '{name}'" + ("" if stem == "table" else f" ({stem})")
    )


def digest(source: TableSource) -> str | None:
    """Return the SHA-256 of a file; None for a table in memory."""
    if source.path is None:
        return None
    try:
        with source.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TableError(f"{source.title}: cannot be read ({error.strerror or error}).") from None


def is_table(value: object) -> bool:
    """Return True for a table (and not for a column, a path or a name)."""
    kind = type(value)
    if isinstance(value, Mapping) or hasattr(kind, "__dataframe__"):
        return True
    return hasattr(kind, "__arrow_c_stream__") and not (hasattr(kind, "dtype") or hasattr(kind, "type"))


def _flatten(source: Source) -> tuple[list[tuple[str | None, object]], list[str]]:
    """List tables with the names that a mapping gives them; files become `Path`s."""
    complaints: list[str] = []
    named: list[tuple[str | None, object]] = []
    if isinstance(source, Mapping) and not source:
        raise CallError("The dict is empty: give columns (name to values) or arms (name to table).")
    if isinstance(source, Mapping) and _names_arms(source):
        for name, value in source.items():
            if not (isinstance(name, str) and name):
                raise CallError(f"The dict has the key {name!r}; the name of an arm must be a string.")
            named += [(name, item) for item in _items(value, f"arm '{name}'", complaints)]
    else:
        named += [(None, item) for item in _items(source, "the source", complaints)]
    return named, complaints


def _names_arms(source: Mapping[Any, Any]) -> bool:
    """Return True for a mapping from arms to tables or paths, False for one from columns to values.

    Raises:
        CallError: the mapping mixes both.
    """

    def is_tables(value: object) -> bool:
        if isinstance(value, list | tuple):
            return bool(value) and all(_holds_columns(v) or isinstance(v, os.PathLike) for v in value)
        return is_table(value) or isinstance(value, str | os.PathLike)

    are_tables = [is_tables(value) for value in source.values()]
    if any(are_tables) and not all(are_tables):
        kinds = ", ".join(f"'{k}': {type(v).__name__}" for k, v in source.items())
        raise CallError(
            f"The dict mixes tables and columns ({kinds}): give columns only (name to values) or "
            "arms only (name to table or path)."
        )
    return all(are_tables)


def _holds_columns(value: object) -> bool:
    """Return True for a table in a list, False for a record that is the value of a column."""
    if isinstance(value, Mapping):
        return any(hasattr(v, "__len__") and not isinstance(v, str | bytes) for v in value.values())
    return is_table(value)


def _items(value: object, where: str, complaints: list[str]) -> Iterator[object]:
    """Yield the single tables of a value; a path without a file is a complaint."""
    if isinstance(value, str | os.PathLike):
        yield from _files(os.fspath(value), complaints)
    elif is_table(value):
        yield value
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | range):
        for item in value:
            if not (is_table(item) or isinstance(item, str | os.PathLike)):
                raise CallError(
                    f"A list has items of type {type(item).__name__}; {_collect(item)}give {ALLOWED}."
                )
            if isinstance(item, Mapping) and item and not _holds_columns(item):
                raise CallError(
                    "Got a list of records; give their columns, for example pandas.DataFrame(records)."
                )
            yield from _items(item, where, complaints)
    else:
        raise CallError(f"Got {type(value).__name__} for {where}; {_collect(value)}give {ALLOWED}.")


def _collect(value: object) -> str:
    """Advise to execute a query that has no rows yet (polars' LazyFrame)."""
    return "call .collect() on it, or " if hasattr(type(value), "collect") else ""


def _files(raw: str | bytes, complaints: list[str]) -> Iterator[Path]:
    """Yield the files of a path or glob.

    An existing file takes precedence over a glob, since the name of a file may have a star or a bracket.
    """
    text = os.fsdecode(raw)
    if not text or "\0" in text:
        complaints.append(f"{text!r}: is not a path.")
        return
    typed = text
    text = local(text)
    if why := unsupported_location(text) or path_fault(text):
        complaints.append(f"{_shorten_path(typed)}: no such file: {why}")
    elif os.path.isdir(text):
        complaints.append(f"{text}: is a folder; give its files, for example '{_files_below(Path(text))}'.")
    elif os.path.isfile(text):
        yield Path(text)
    elif os.path.exists(text):
        complaints.append(f"{text}: is not a regular file; write its content to a file, and give that.")
    elif glob.has_magic(text):
        matches = sorted(path for path in glob.glob(text, recursive=True) if Path(path).is_file())
        yield from map(Path, matches)
        if not matches:
            complaints.append(f"{text}: no file matches this pattern.")
    else:
        complaints.append(_describe_missing(Path(text)) + unexpanded(text))


def _files_below(folder: Path) -> str:
    """Suggest a pattern for the files in a folder, or in its subfolders."""
    for prefix in ("*", "**/*"):
        try:
            names = [p.name.lower() for p in islice(folder.glob(prefix), 1000)]
        except OSError:
            break
        for ending in (".parquet", *ENDINGS):
            if any(name.endswith(ending) for name in names):
                return str(folder / f"{prefix}{ending}")
    return str(folder / "*.parquet")


def _shorten_path(path: str) -> str:
    """Shorten a path for a complaint; restore the second slash of a URL, which `Path` removes."""
    text = re.sub(r"^(s3|gs|https?|abfss?|hf):/(?!/)", r"\1://", path)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 23]}...{text[-20:]}"


def files_of(paths: Sequence[str]) -> list[Path]:
    """List the files of paths and patterns; those without a file are left out."""
    return [file for path in paths for file in _files(path, [])]


def _describe_missing(path: Path) -> str:
    """Report that a file does not exist, and suggest the nearest name in its folder."""
    try:
        beside = sorted(p.name for p in path.parent.iterdir() if p.name.lower().endswith(ENDINGS))
    except OSError:
        return f"{path}: no such file; its folder '{path.parent}' does not exist."
    if not beside:
        return f"{path}: no such file; its folder '{path.parent}' has no tables ({', '.join(ENDINGS)})."
    return f"{path}: no such file; {nearest(path.name, beside)}"


def _names_per_table(source: Source, columns: Columns) -> tuple[str, ...]:
    """Return one name per table: every file that a pattern matches gets the name of the pattern."""
    items = list(source) if isinstance(source, list | tuple) else [source]
    if isinstance(source, Mapping) or len(items) != len(columns.names):
        return columns.names
    sizes = [len(list(_items(item, "the source", []))) for item in items]
    return tuple(name for name, size in zip(columns.names, sizes, strict=True) for _ in range(size))


def _with_names(
    named: list[tuple[str | None, object]], names: tuple[str, ...], columns: Columns
) -> list[tuple[str | None, object]]:
    """Return the tables with the names of `columns.names`, one per table."""
    if any(name is not None for name, _ in named):
        raise CallError("--name: the dict names the arms already; give one of the two.")
    if columns.arm is not None:
        raise CallError(
            f"--name: column '{columns.arm}' (--arm) names the arms already; give one of the two."
        )
    if len(names) != len(named):
        tables = ", ".join(str(item) if isinstance(item, Path) else "a table" for _, item in named)
        raise CallError(
            f"--name: got {len(columns.names)} ({', '.join(columns.names)}) for {len(named)} tables "
            f"({tables}); give one name per table or pattern, in order (equal names are runs of one arm)."
        )
    if not all(names):
        raise CallError("--name: a name is empty; the name of an arm must be a non-empty text.")
    return [(name, item) for name, (_, item) in zip(names, named, strict=True)]


def _stem(item: object, number: int, count: int) -> str:
    """Return the name of a file without its ending; number tables in memory."""
    if not isinstance(item, Path):
        return "table" if count == 1 else f"table {number}"
    ending = TableSource("", "", "", item).ending
    return (item.name[: -len(ending)] if ending else item.stem) or item.name


def _unique(stems: list[str], items: list[object]) -> list[str]:
    """Make names unique: by the folder of the file where that suffices, else by a number."""
    twice = {stem for stem in stems if stems.count(stem) > 1}
    longer = [
        f"{item.absolute().parent.name}/{stem}" if isinstance(item, Path) and stem in twice else stem
        for stem, item in zip(stems, items, strict=True)
    ]
    counts: dict[str, int] = {}
    names = []
    for name in longer:
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return names
