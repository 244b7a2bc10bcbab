"""Open tables of every format as relations of one database.

Columns are renamed `c0, c1, ...` here, so that no name from a file ever occurs in SQL.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from evenhand.tables.io.containers import identify, is_text, plain_text
from evenhand.tables.io.database import Table, pattern, scratch
from evenhand.tables.io.dialects import Dialect, dialect_of, has_escapes, with_even_breaks, without_blanks
from evenhand.tables.io.in_memory import as_arrow, extension_of
from evenhand.tables.io.json_records import open_records
from evenhand.tables.io.rephrasing import rephrase
from evenhand.tables.io.sources import ENDINGS, TableSource
from evenhand.tables.values import Column, Unreadable, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
#: Invisible characters around a name: characters of zero width.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
#: A folder that names a value that all its rows share, as Spark and Hive write it.
_PARTITION = re.compile(r"([A-Za-z_]\w*)=([^=]*)")
#: The database's message on a CSV file in which a lone carriage return seems to end a row.
_BROKEN_ROWS = re.compile("invalid state|Expected Number of Columns")
#: Its message on one whose quotes end elsewhere than it expects.
_BROKEN_QUOTES = re.compile(
    "unterminated quote|invalid state|Expected Number of Columns|quote", re.IGNORECASE
)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def open_table(db: DuckDBPyConnection, source: TableSource, number: int) -> Table:
    """Open a table: find its columns and their types.

    Raises:
        Unreadable: it cannot be read, or has no rows.
        duckdb.Error: it cannot be read; `rephrase` explains the error.
    """
    if source.path is None:
        return _in_memory(db, source, number)
    if source.path.stat().st_size == 0:
        raise Unreadable("is empty (0 bytes).")
    if source.ending not in _OPENERS:
        raise Unreadable(
            f"has an unknown format; {_describe_content(source)}readable are {', '.join(ENDINGS)}."
        )
    return _OPENERS[source.ending](db, Table(source, number, {}, ""))


def use_table(
    db: DuckDBPyConnection, source: TableSource, number: int, use: Callable[[Table], T], complaints: list[str]
) -> list[T]:
    """Open a table and apply `use` to it; on an error, add a complaint and return an empty list.

    A CSV file whose line breaks or escapes the database cannot parse is read again in a normalized form.
    """
    import duckdb  # noqa: PLC0415  (0.1 s)

    try:
        table = open_table(db, source, number)
        try:
            return [use(table)]
        except duckdb.Error as error:
            other = _reopen(db, table, error)
            if other is None:
                raise
            return [use(other)]
    except Unreadable as error:
        complaints.append(f"{source.title}: {error}")
    except duckdb.Error as error:
        complaints.append(f"{source.title}: {rephrase(error, source)}")
    except OSError as error:
        complaints.append(f"{source.title}: cannot be read ({error.strerror or error}).")
    return []


def validate_each(
    db: DuckDBPyConnection, sources: Sequence[TableSource], validate: Callable[[Table], T | list[str]]
) -> tuple[list[T], list[str]]:
    """Open and validate every table, so that all complaints about all tables are reported together.

    Args:
        db: the database.
        sources: the tables.
        validate: returns the validated table, or every complaint about it.

    Returns:
        The validated tables, and all complaints.
    """
    results: list[T] = []
    complaints: list[str] = []
    for number, source in enumerate(sources):
        for outcome in use_table(db, source, number, validate, complaints):
            if isinstance(outcome, list):
                complaints += outcome
            else:
                results.append(outcome)
    return results, complaints


def stage(db: DuckDBPyConnection, table: Table, needed: list[str], where: str) -> Table:
    """Select columns and rows: as a copy where text must be parsed, else as a view.

    Args:
        db: the database.
        table: an opened table.
        needed: the columns.
        where: SQL condition of the rows.
    """
    chosen = ", ".join(table.columns[name].sql for name in needed) or "1 AS placeholder"
    kind = "TABLE" if table.staged else "VIEW"
    db.execute(f"CREATE TEMP {kind} t{table.number} AS SELECT {chosen} FROM {table.relation} WHERE {where}")
    return replace(table, relation=f"t{table.number}")


def tidy_names(names: Sequence[str]) -> list[str]:
    """Strip blanks and invisible characters around names, unless that makes two names equal."""
    plain = [unicodedata.normalize("NFC", name).strip().strip(_INVISIBLE).strip() for name in names]
    taken = Counter(names)
    often = Counter(plain)
    return [
        short if short == name or not (taken[short] or often[short] > 1) else name
        for name, short in zip(names, plain, strict=True)
    ]


def _table(
    table: Table,
    names: Sequence[str],
    types: Sequence[str],
    relation: str,
    *,
    staged: bool,
    flaws: Mapping[str, str] | None = None,
) -> Table:
    """Add the columns of a table, and those that the folders of its file name."""
    tidied, times = tidy_names(names), Counter(tidy_names(names))
    columns: dict[str, Column] = {}
    for i, (name, short, kind) in enumerate(zip(names, tidied, types, strict=True)):
        flaw = (flaws or {}).get(name, "")
        if times[short] > 1:
            flaw = (
                f"occurs {times[short]} times: the table has more than one column called '{short}'; rename "
                "one."
            )
        columns[short] = Column(short, f"c{i}", "VARCHAR" if flaw else kind, flaw)
    from_clause = f"{relation} AS x({', '.join(f'c{i}' for i in range(len(tidied)))})"
    parts = _partitions(table.source, columns)
    if parts:
        values = ", ".join(
            f"{'NULL::VARCHAR' if value is None else literal(value)} AS p{i}"
            for i, value in enumerate(parts.values())
        )
        from_clause = f"(SELECT *, {values} FROM {from_clause})"
        columns |= {name: Column(name, f"p{i}") for i, name in enumerate(parts)}
    return replace(table, columns=columns, relation=from_clause, staged=staged)


def _partitions(source: TableSource, known: Collection[str]) -> dict[str, str | None]:
    """Read columns from the folders of a file (`race=a/part-0.parquet`), unless the file has them."""
    if source.path is None:
        return {}
    matches = [_PARTITION.fullmatch(part) for part in source.path.parts[:-1]]
    values = {match[1]: unquote(match[2]) for match in matches if match}
    return {name: None if v == _NO_VALUE else v for name, v in values.items() if name not in known}


def _describe_content(source: TableSource) -> str:
    """Describe the content of a file with an unknown ending, where its first bytes identify it."""
    assert source.path is not None
    with source.path.open("rb") as file:
        kind = identify(source, file.read(512))
    return f"it holds {kind.rstrip('.')}; " if kind else ""


def _describe(db: DuckDBPyConnection, relation: str) -> tuple[list[str], list[str]]:
    """Return names and types of a relation's columns."""
    rows = db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def _parquet(db: DuckDBPyConnection, table: Table) -> Table:
    path = table.source.path
    assert path is not None
    with path.open("rb") as opened:
        head = opened.read(1 << 14)
        kind = identify(table.source, head[:512])
    if kind is None and is_text(head):
        ending = ".jsonl" if head.lstrip().startswith((b"{", b"[")) else ".csv"
        what = "JSON" if ending == ".jsonl" else "text such as CSV"
        raise Unreadable(
            f"is not a parquet file, or is cut short: it holds {what}; rename it to {path.stem}{ending}."
        )
    if kind and not kind.startswith("parquet"):
        raise Unreadable(f"is not a parquet file, or is cut short: it holds {kind}")
    file = pattern(path)
    relation = f"read_parquet({file}, binary_as_string = true, hive_partitioning = false)"
    _, types = _describe(db, relation)
    nodes = db.execute(f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file})").fetchall()
    # The schema lists nested fields after their parent; only top-level names are columns. DESCRIBE would
    # rename columns whose names differ in case only.
    names, skip = [], 0
    for name, children in nodes[1:]:
        if skip == 0:
            names.append(name)
        skip = skip + children - (1 if skip else 0)
    return _table(table, names, types, relation, staged=False, flaws=_extensions(db, path))


def _extensions(db: DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Explain, by name, which columns of a parquet file have an extension type that cannot be read."""
    stored = db.execute(
        f"SELECT value FROM parquet_kv_metadata({pattern(path)}) WHERE key = 'ARROW:schema'"
    ).fetchall()
    if not any(b"ARROW:extension:name" in _decoded(value) for (value,) in stored):
        return {}
    import pyarrow.parquet as pq  # noqa: PLC0415  (seldom needed)

    flaws = {}
    for column in pq.read_schema(path):
        name = (column.metadata or {}).get(b"ARROW:extension:name", b"").decode("utf-8", "replace")
        name = name or extension_of(column.type) or ""
        if name and not name.startswith("arrow."):
            flaws[column.name] = (
                f"holds values of type {name}, of which the file has the storage only; write them as text "
                "(pandas: astype(str))."
            )
    return flaws


def _decoded(value: bytes) -> bytes:
    try:
        return base64.b64decode(value)
    except ValueError:
        return b""


def _csv(db: DuckDBPyConnection, table: Table) -> Table:
    dialect = dialect_of(table.source)
    path = plain_text(db, table.source, table.number)
    if dialect.blanks:
        path = without_blanks(db, path, table.number, dialect)
    elif dialect.uneven:
        path = with_even_breaks(db, path, table.number, dialect.delimiter) or path
    return _as_csv(table, path, dialect)


def _as_csv(table: Table, path: Path, dialect: Dialect, escape: str = '"') -> Table:
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(dialect.names)))
    relation = (
        f"read_csv({pattern(path)}, auto_detect = false, header = true, columns = {{{types}}}, "
        f"delim = {literal(dialect.delimiter)}, quote = '\"', escape = {literal(escape)}, "
        f"strict_mode = true, null_padding = false, skip = {dialect.skip}, compression = 'none', "
        "hive_partitioning = false)"
    )
    return _table(table, dialect.names, ["VARCHAR"] * len(dialect.names), relation, staged=True)


def _reopen(db: DuckDBPyConnection, table: Table, error: Exception) -> Table | None:
    r"""Reopen a CSV file whose quotes or line breaks caused an error; None where they did not.

    It is read with \" as the escape of quotes, or from a copy with even line breaks.
    """
    path, ending, fault = table.source.path, table.source.ending, str(error)
    if _OPENERS.get(ending) is not _csv:
        return None
    assert path is not None
    dialect, zipped = dialect_of(table.source), ending.endswith(".gz")
    if _BROKEN_QUOTES.search(fault) and not (zipped or dialect.blanks) and has_escapes(path):
        return _as_csv(table, path, dialect, "\\")
    if not _BROKEN_ROWS.search(fault):
        return None
    plain = scratch(db, table.number) if zipped else path
    copy = with_even_breaks(db, plain, table.number, dialect.delimiter)
    return _as_csv(table, copy, dialect) if copy else None


def _json(db: DuckDBPyConnection, table: Table) -> Table:
    records = open_records(db, table.source, table.number)
    flaws = dict.fromkeys(records.doubled, "is ambiguous: the file names a column twice in one record.")
    return _table(table, records.names, records.types, records.relation, staged=True, flaws=flaws)


def _in_memory(db: DuckDBPyConnection, source: TableSource, number: int) -> Table:
    """Open a table in memory through Arrow."""
    arrow, names, flaws = as_arrow(source.table)
    db.register(f"arrow{number}", arrow)
    _, types = _describe(db, f"arrow{number}")
    flaws_by_name = {names[i]: why for i, why in flaws.items()}
    return _table(
        Table(source, number, {}, ""), names, types, f"arrow{number}", staged=False, flaws=flaws_by_name
    )


_OPENERS: dict[str, Callable[[DuckDBPyConnection, Table], Table]] = {
    ending: _parquet if ending in {".parquet", ".pq"} else _json if "json" in ending else _csv
    for ending in ENDINGS
}
