"""The database in memory that reads tables, and how its tables, names and errors are spoken of."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.tables.sources import Given

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOT_UTF8 = "is not encoded in UTF-8; save it as UTF-8 (for example with `iconv -f {} -t UTF-8`)."


class Unreadable(Exception):
    """A table cannot be read; the message goes on where the table's title ends."""


@dataclass(frozen=True)
class Table:
    """One opened table.

    Attributes:
        given: where it came from.
        number: its place among all tables, which makes the names of its relations unique.
        columns: the names of its columns, and what SQL calls them.
        types: the SQL types of its columns, by name.
        relation: what stands after FROM.
        staged: whether the relation is text that must be parsed, and so is worth copying once.
    """

    given: Given
    number: int
    columns: Mapping[str, str]
    types: Mapping[str, str]
    relation: str
    staged: bool = False

    def say(self, what: str) -> str:
        """A complaint about this table."""
        return f"{self.given.title}: {what}"


@contextlib.contextmanager
def session() -> Iterator[DuckDBPyConnection]:
    """A database in memory that touches nothing but the files it is told to read."""
    import duckdb  # noqa: PLC0415  (0.1 s)

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 << 30
    with tempfile.TemporaryDirectory(prefix="evenhand-", ignore_cleanup_errors=True) as folder:
        db = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "preserve_insertion_order": "false",
                "memory_limit": f"{max(1 << 30, memory // 4) >> 20}MiB",
                "temp_directory": str(Path(folder) / "spill"),
            },
        )
        try:
            db.execute("SET enable_progress_bar = false")  # it would stand among the results
            yield db
        finally:
            db.close()


def rephrase(error: Exception, given: Given) -> str:
    """Say in one sentence why the database could not read a table, without its SQL."""
    text = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    at = f"line {line[1]}" if line else "a line"
    shape = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if shape:
        return f"{at} has {shape[2]} values, but the header names {shape[1]} columns."
    known = {
        "not utf-8 encoded": NOT_UTF8.format("LATIN1"),
        "Invalid unicode": NOT_UTF8.format("LATIN1"),
        "unterminated quote": f"{at} opens a quote that is never closed.",
        "GZIP": "is cut short or is no gzip file.",
        "state machine reached an invalid state": "is no proper CSV (are its line ends or quotes mixed?).",
        "Maximum line size": f"{at} is longer than 2 MB (is a quote not closed?).",
        "magic bytes": "is no parquet file, or is cut short.",
        "too small to be a Parquet": "is no parquet file, or is cut short.",
        "duplicate key": "names a column twice in one record.",
    }
    for sign, sentence in known.items():
        if sign in text:
            return sentence
    place = re.search(r"at byte \d+ in (?:line|record/value) \d+: [^.\n]*", text)
    if "JSON" in text and place:
        return f"is no proper JSON, {place[0]}."
    if type(error).__name__ == "OutOfMemoryException":
        return "needs more memory than there is."
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    kind = "parquet" if given.ending in {".parquet", ".pq"} else "table"
    return f"cannot be read as a {kind} ({first.rstrip('. ')})."


def single_row(db: DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The only row of a result, which is read to its end: an open result would block the next statement."""
    (row,) = db.execute(sql).fetchall()
    return tuple(row)


def ident(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
