"""The in-memory database that reads tables; its tables, names and errors."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.tables.io.sources import TableSource
from evenhand.tables.values import Column, Unreadable, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOT_UTF8 = "is not encoded in UTF-8; save it as UTF-8 (for example with `iconv -f {} -t UTF-8`)."


@dataclass(frozen=True)
class Table:
    """One opened table.

    Attributes:
        source: the file or table in memory.
        number: its index among all tables, which makes the names of its relations unique.
        columns: its columns, by name.
        relation: the FROM clause.
        staged: True if the relation is text that must be parsed, so that one copy saves time.
    """

    source: TableSource
    number: int
    columns: Mapping[str, Column]
    relation: str
    staged: bool = False

    def complaint(self, what: str) -> str:
        """Format a complaint about this table."""
        return f"{self.source.title}: {what}"


@contextlib.contextmanager
def session() -> Iterator[DuckDBPyConnection]:
    """Open a database in memory that accesses only the files that a query names."""
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
            db.execute("SET enable_progress_bar = false")  # it would be printed among the results
            db.execute("SET TimeZone = 'UTC'")  # a time's text is the same on every machine
            yield db
        finally:
            db.close()


def scratch(db: DuckDBPyConnection, number: int) -> Path:
    """Name a temporary file of this session for a readable copy of table `number`."""
    (spill,) = single_row(db, "SELECT current_setting('temp_directory')")
    return Path(spill).parent / f"table-{number}"


def pattern(path: Path) -> str:
    """Return a path as a SQL literal that matches this file only, even if its name has stars or brackets."""
    text = str(path.absolute())
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Unreadable("has a name that is not UTF-8; rename it.")
    return literal(re.sub(r"([*?\[])", r"[\1]", text))


def single_row(db: DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Return the only row of a result.

    The result is read to its end, since an open result would block the next statement.

    Raises:
        Unreadable: the result does not have exactly one row.
    """
    rows = db.execute(sql).fetchall()
    if len(rows) != 1:  # a count over a file whose metadata contradict each other
        raise Unreadable("is damaged: its metadata contradict each other; make it again.")
    return tuple(rows[0])
