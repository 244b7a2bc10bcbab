"""Open tables of every format as relations of one database.

Columns are renamed `c0, c1, ...` at this door, so that no name of a file ever stands in SQL.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evenhand.tables.database import NOT_UTF8, Table, Unreadable, ident, literal, rephrase
from evenhand.tables.sources import ENDINGS, Given

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
_DELIMITERS = (",", ";", "\t", "|")
_HEADER_BYTES = 1 << 20


def open_table(db: DuckDBPyConnection, given: Given, number: int) -> Table:
    """Open a table: find its columns and their types.

    Raises:
        Unreadable: it cannot be read, or has no rows.
        duckdb.Error: it cannot be read; `rephrase` says why.
    """
    if given.path is None:
        return _in_memory(db, given, number)
    ending = given.ending
    if ending not in _OPENERS:
        raise Unreadable(f"is of no known format; readable are {', '.join(ENDINGS)}.")
    if given.path.stat().st_size == 0:
        raise Unreadable("is empty (0 bytes).")
    return _OPENERS[ending](db, Table(given, number, {}, {}, ""))


def examine_each(
    db: DuckDBPyConnection, given: Sequence[Given], examine: Callable[[Table], T | list[str]]
) -> tuple[list[T], list[str]]:
    """Open and check every table; a broken one does not keep the others from being checked.

    Args:
        db: the database.
        given: the tables.
        examine: gives what was found in a table that is in order, else every complaint about it.

    Returns:
        What was found, and all complaints.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    results: list[T] = []
    complaints: list[str] = []
    for number, one in enumerate(given):
        try:
            found = examine(open_table(db, one, number))
        except Unreadable as error:
            complaints.append(f"{one.title}: {error}")
        except duckdb.Error as error:
            complaints.append(f"{one.title}: {rephrase(error, one)}")
        except OSError as error:
            complaints.append(f"{one.title}: cannot be read ({error.strerror or error}).")
        else:
            if isinstance(found, list):
                complaints += found
            else:
                results.append(found)
    return results, complaints


def stage(db: DuckDBPyConnection, table: Table, needed: list[str], where: str) -> Table:
    """Keep the needed columns of the wanted rows: parsed text as a copy, all else as a view."""
    chosen = ", ".join(table.columns[name] for name in needed) or "1 AS nothing"
    kind = "TABLE" if table.staged else "VIEW"
    db.execute(f"CREATE TEMP {kind} t{table.number} AS SELECT {chosen} FROM {table.relation} WHERE {where}")
    return replace(table, relation=f"t{table.number}")


def _pattern(path: Path) -> str:
    """A path as SQL that stands for this one file, though its name may have stars or brackets."""
    text = str(path.absolute())
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Unreadable("has a name that is not UTF-8; rename it.")
    return literal(re.sub(r"([*?\[])", r"[\1]", text))


def _named(table: Table, names: list[str], types: list[str], relation: str, staged: bool) -> Table:
    """The table with its columns, unless two have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Unreadable(f"has more than one column called {', '.join(map(repr, twice))}.")
    columns = {name: f"c{i}" for i, name in enumerate(names)}
    aliases = ", ".join(columns.values())
    return replace(
        table, columns=columns, types=dict(zip(names, types, strict=True)),
        relation=f"{relation} AS x({aliases})", staged=staged,
    )  # fmt: skip


def _describe(db: DuckDBPyConnection, relation: str) -> tuple[list[str], list[str]]:
    """Names and types of a relation's columns."""
    rows = db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def _parquet(db: DuckDBPyConnection, table: Table) -> Table:
    assert table.given.path is not None
    file = _pattern(table.given.path)
    relation = f"read_parquet({file}, binary_as_string = true, hive_partitioning = false)"
    _, types = _describe(db, relation)
    nodes = db.execute(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file})").fetchall()
    names, skip = [], 0
    for name, children in nodes[1:]:
        if skip == 0:
            names.append(name)
        skip = skip + children - (1 if skip else 0)
    return _named(table, names, types, relation, staged=False)


def _csv(db: DuckDBPyConnection, table: Table) -> Table:
    assert table.given.path is not None
    names, delimiter = _header(table.given)
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    relation = (
        f"read_csv({_pattern(table.given.path)}, auto_detect = false, header = true, columns = {{{types}}}, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', strict_mode = true, "
        "null_padding = false, hive_partitioning = false)"
    )
    return _named(table, names, ["VARCHAR"] * len(names), relation, staged=True)


def _header(given: Given) -> tuple[list[str], str]:
    """Column names and delimiter of a CSV file."""
    assert given.path is not None
    try:
        with gzip.open(given.path) if given.ending.endswith(".gz") else given.path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except (OSError, EOFError) as error:
        raise Unreadable(f"is cut short or is no gzip file ({error}).") from None
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:200]:
        raise Unreadable(NOT_UTF8.format("UTF-16"))
    first = head.removeprefix(b"\xef\xbb\xbf")
    if first.startswith((b"\r", b"\n")):
        raise Unreadable("begins with an empty line; its first line must name the columns.")
    try:
        line = re.split(rb"[\r\n]", first, maxsplit=1)[0].decode("utf-8")
        text = first.decode("utf-8", errors="ignore")
    except UnicodeDecodeError:
        raise Unreadable(NOT_UTF8.format("LATIN1")) from None
    delimiter = "\t" if ".tsv" in given.ending else ","
    if delimiter not in line:
        delimiter = next((d for d in _DELIMITERS if d in line), delimiter)
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise Unreadable(f"has no readable header line ({error}).") from None
    if not names:
        raise Unreadable("has no header line.")
    return names, delimiter


def _json(db: DuckDBPyConnection, table: Table) -> Table:
    assert table.given.path is not None
    layout = (
        "auto"
        if table.given.ending.startswith(".json") and "jsonl" not in table.given.ending
        else "newline_delimited"
    )
    options = f"{_pattern(table.given.path)}, format = '{layout}', hive_partitioning = false"
    names, types = _describe(db, f"read_json({options}, sample_size = -1, maximum_depth = 3)")
    if names == ["json"]:
        raise Unreadable('is no list of records: every row must be an object such as {"label": 1}.')
    as_text = ", ".join(f"{ident(name)}: 'VARCHAR'" for name in names)
    relation = f"read_json({options}, columns = {{{as_text}}})"
    kinds = [kind if kind.startswith(("STRUCT", "MAP")) else "VARCHAR" for kind in types]
    return _named(table, names, kinds, relation, staged=True)


def _in_memory(db: DuckDBPyConnection, given: Given, number: int) -> Table:
    """Open a table in memory by way of Arrow."""
    import pyarrow as pa  # noqa: PLC0415  (only this door needs it)

    try:
        table = _arrow(given.table)
    except Unreadable:
        raise
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, KeyError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unreadable(f"cannot be read as a table ({first.rstrip('. ')}).") from None
    names = [str(name) for name in table.column_names]
    if not names:
        raise Unreadable("has no columns.")
    db.register(f"arrow{number}", table.rename_columns([f"c{i}" for i in range(len(names))]))
    _, types = _describe(db, f"arrow{number}")
    return _named(Table(given, number, {}, {}, ""), names, types, f"arrow{number}", staged=False)


def _arrow(given: object) -> Any:  # noqa: ANN401  (pyarrow has no types)
    """A `pyarrow.Table` of anything that is a table."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(given, pa.Table):
        return given
    if isinstance(given, Mapping):
        return _from_columns(given)
    if hasattr(given, "__arrow_c_stream__"):
        return pa.table(given)
    from pyarrow.interchange import from_dataframe  # noqa: PLC0415

    return from_dataframe(given)


def _from_columns(given: Mapping[object, object]) -> Any:  # noqa: ANN401  (pyarrow has no types)
    """A `pyarrow.Table` of a dict of columns: lists, numpy arrays, series of any library."""
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, Any] = {}
    for name, values in given.items():
        try:
            if hasattr(type(values), "__arrow_c_stream__"):
                columns[str(name)] = pa.chunked_array(values)
                continue
            array = values if isinstance(values, list | tuple) else np.asarray(values)
            if isinstance(array, np.ndarray) and array.ndim != 1:
                if array.ndim != 2:
                    raise Unreadable(
                        f"column '{name}' is no list of values (it has {array.ndim} dimensions)."
                    )
                array = list(array)
            columns[str(name)] = pa.array(array)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Unreadable(f"column '{name}' cannot be read ({first.rstrip('. ')}).") from None
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"'{name}': {length}" for name, length in list(lengths.items())[:20])
        raise Unreadable(f"its columns differ in length ({shown}).")
    return pa.table(columns)


_OPENERS: dict[str, Callable[[DuckDBPyConnection, Table], Table]] = {
    ending: _parquet if ending in {".parquet", ".pq"} else _json if "json" in ending else _csv
    for ending in ENDINGS
}
