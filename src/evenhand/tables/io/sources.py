"""What was given: paths, globs, tables in memory, or arm names to either, as a flat list of tables."""

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
    """One table as it was given.

    Attributes:
        title: what complaints call it: the path, or `table 2`.
        arm: the arm its rows belong to, unless a column says so.
        run: the run its rows belong to, unless a column says so.
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
        """The file's ending, in small letters and with its `.gz`: `.csv.gz`."""
        name = self.path.name.lower() if self.path else ""
        return next((e for e in sorted(ENDINGS, key=len, reverse=True) if name.endswith(e)), "")


def resolve_sources(source: Source, columns: Columns) -> tuple[list[TableSource], list[str]]:
    """List the tables that are given, with the arm and run of each, and complain of files that are not there.

    Raises:
        CallError: the source is of no kind that can be read, or names and tables do not match.
        TableError: there is no such file, and so no telling which name belongs to which.
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
    """What complaints call a table."""
    if isinstance(item, Path):
        return str(item)
    return (
        f"table '{stem}'" if name is None else f"table '{name}'" + ("" if stem == "table" else f" ({stem})")
    )


def digest(source: TableSource) -> str | None:
    """The SHA-256 of a file; None for a table in memory."""
    if source.path is None:
        return None
    try:
        with source.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TableError(f"{source.title}: cannot be read ({error.strerror or error}).") from None


def is_table(value: object) -> bool:
    """Whether a value is a table (and not a column, a path or a name)."""
    kind = type(value)
    if isinstance(value, Mapping) or hasattr(kind, "__dataframe__"):
        return True
    return hasattr(kind, "__arrow_c_stream__") and not (hasattr(kind, "dtype") or hasattr(kind, "type"))


def _flatten(source: Source) -> tuple[list[tuple[str | None, object]], list[str]]:
    """Tables with the names that a mapping gave them; files are `Path`s."""
    complaints: list[str] = []
    named: list[tuple[str | None, object]] = []
    if isinstance(source, Mapping) and not source:
        raise CallError("The given dict is empty: give columns (name to values) or arms (name to table).")
    if isinstance(source, Mapping) and _names_arms(source):
        for name, value in source.items():
            if not (isinstance(name, str) and name):
                raise CallError(f"The given dict has the key {name!r}; the name of an arm is a text.")
            named += [(name, item) for item in _items(value, f"arm '{name}'", complaints)]
    else:
        named += [(None, item) for item in _items(source, "the source", complaints)]
    return named, complaints


def _names_arms(source: Mapping[Any, Any]) -> bool:
    """Whether a mapping goes from arms to tables or paths, and not from columns to values."""

    def stands_for_tables(value: object) -> bool:
        if isinstance(value, list | tuple):
            return bool(value) and all(_holds_columns(v) or isinstance(v, os.PathLike) for v in value)
        return is_table(value) or isinstance(value, str | os.PathLike)

    are_tables = [stands_for_tables(value) for value in source.values()]
    if any(are_tables) and not all(are_tables):
        kinds = ", ".join(f"'{k}': {type(v).__name__}" for k, v in source.items())
        raise CallError(
            f"The given dict mixes tables and columns ({kinds}): give columns only (name to values) or "
            "arms only (name to table or path)."
        )
    return all(are_tables)


def _holds_columns(value: object) -> bool:
    """Whether a value in a list is a table, and not a record that stands in a column."""
    if isinstance(value, Mapping):
        return any(hasattr(v, "__len__") and not isinstance(v, str | bytes) for v in value.values())
    return is_table(value)


def _items(value: object, where: str, complaints: list[str]) -> Iterator[object]:
    """The single tables that a value stands for; a path that stands for nothing is a complaint."""
    if isinstance(value, str | os.PathLike):
        yield from _files(os.fspath(value), complaints)
    elif is_table(value):
        yield value
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | range):
        for item in value:
            if not (is_table(item) or isinstance(item, str | os.PathLike)):
                raise CallError(
                    f"A list was given whose items are of type {type(item).__name__}; {_collect(item)}"
                    f"give {ALLOWED}."
                )
            if isinstance(item, Mapping) and item and not _holds_columns(item):
                raise CallError(
                    "A list of records was given; give their columns, for example pandas.DataFrame(records)."
                )
            yield from _items(item, where, complaints)
    else:
        raise CallError(f"Got {type(value).__name__} for {where}; {_collect(value)}give {ALLOWED}.")


def _collect(value: object) -> str:
    """The next step for a query that has no rows yet (polars' LazyFrame)."""
    return "call .collect() on it, or " if hasattr(type(value), "collect") else ""


def _files(raw: str | bytes, complaints: list[str]) -> Iterator[Path]:
    """The files that a path or a glob stands for; a file whose name has a star or a bracket comes first."""
    text = os.fsdecode(raw)
    if not text or "\0" in text:
        complaints.append(f"{text!r}: is no path.")
        return
    typed = text
    text = local(text)
    if why := unsupported_location(text) or path_fault(text):
        complaints.append(f"{_shorten_path(typed)}: there is no such file: {why}")
    elif os.path.isdir(text):
        complaints.append(f"{text}: is a folder; give its files, for example '{_files_below(Path(text))}'.")
    elif os.path.isfile(text):
        yield Path(text)
    elif os.path.exists(text):
        complaints.append(f"{text}: is no ordinary file; write what comes from it to a file, and give that.")
    elif glob.has_magic(text):
        matches = sorted(path for path in glob.glob(text, recursive=True) if Path(path).is_file())
        yield from map(Path, matches)
        if not matches:
            complaints.append(f"{text}: no file matches this pattern.")
    else:
        complaints.append(_describe_missing(Path(text)) + unexpanded(text))


def _files_below(folder: Path) -> str:
    """A pattern of the files in a folder, or in the folders within it."""
    for way in ("*", "**/*"):
        try:
            names = [p.name.lower() for p in islice(folder.glob(way), 1000)]
        except OSError:
            break
        for ending in (".parquet", *ENDINGS):
            if any(name.endswith(ending) for name in names):
                return str(folder / f"{way}{ending}")
    return str(folder / "*.parquet")


def _shorten_path(path: str) -> str:
    """A path for a complaint: an address has both of its strokes, of which a `Path` keeps one."""
    text = re.sub(r"^(s3|gs|https?|abfss?|hf):/(?!/)", r"\1://", path)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 23]}...{text[-20:]}"


def files_of(paths: Sequence[str]) -> list[Path]:
    """The files that paths and patterns stand for; those that stand for none are left out."""
    return [file for path in paths for file in _files(path, [])]


def _describe_missing(path: Path) -> str:
    """Say that a file does not exist, with the files that lie where it was looked for."""
    try:
        beside = sorted(p.name for p in path.parent.iterdir() if p.name.lower().endswith(ENDINGS))
    except OSError:
        return f"{path}: there is no such file, and no folder '{path.parent}'."
    return f"{path}: there is no such file; {nearest(path.name, beside)}"


def _names_per_table(source: Source, columns: Columns) -> tuple[str, ...]:
    """Names, one per table: a pattern's name goes to each file that it matches."""
    items = list(source) if isinstance(source, list | tuple) else [source]
    if isinstance(source, Mapping) or len(items) != len(columns.names):
        return columns.names
    sizes = [len(list(_items(item, "the source", []))) for item in items]
    return tuple(name for name, size in zip(columns.names, sizes, strict=True) for _ in range(size))


def _with_names(
    named: list[tuple[str | None, object]], names: tuple[str, ...], columns: Columns
) -> list[tuple[str | None, object]]:
    """The tables with the names that the call gives them, one per table."""
    if any(name is not None for name, _ in named):
        raise CallError("--name: the given dict names the arms already; give one of the two.")
    if columns.arm is not None:
        raise CallError(f"--name: column '{columns.arm}' (--arm) says the arms already; give one of the two.")
    if len(names) != len(named):
        tables = ", ".join(str(item) if isinstance(item, Path) else "a table" for _, item in named)
        raise CallError(
            f"--name: got {len(columns.names)} ({', '.join(columns.names)}) for {len(named)} tables "
            f"({tables}); give one name per table or pattern, in order (equal names are runs of one arm)."
        )
    if not all(names):
        raise CallError("--name: a name is empty; the name of an arm is a text.")
    return [(name, item) for name, (_, item) in zip(names, named, strict=True)]


def _stem(item: object, number: int, count: int) -> str:
    """The name of a file without its ending; tables in memory are numbered."""
    if not isinstance(item, Path):
        return "table" if count == 1 else f"table {number}"
    ending = TableSource("", "", "", item).ending
    return (item.name[: -len(ending)] if ending else item.stem) or item.name


def _unique(stems: list[str], items: list[object]) -> list[str]:
    """Tell equal names apart, by their folder where that is enough, else by a number."""
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
