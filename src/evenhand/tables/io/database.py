"""The database in memory that reads tables, and how its tables, names and errors are spoken of."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.tables.io.sources import TableSource

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NOT_UTF8 = "is not encoded in UTF-8; save it as UTF-8 (for example with `iconv -f {} -t UTF-8`)."


class Unreadable(Exception):
    """A table cannot be read; the message goes on where the table's title ends."""


class Names(dict[str, str]):
    """What SQL calls the columns of a table, by name.

    A column with a flaw is a column like any other until SQL is made of it: then the flaw is the complaint.
    So a flaw in a column that nobody names stops nobody, and none is read in spite of it.
    """

    def __init__(self, columns: Mapping[str, str], flaws: Mapping[str, str]) -> None:
        super().__init__(columns)
        self.flaws = flaws

    def __getitem__(self, name: str) -> str:
        if name in self.flaws:
            raise Unreadable(f"column '{name}' {self.flaws[name]}")
        return super().__getitem__(name)


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
        flaws: why single columns cannot be read, by name; they are among `columns`, and complain when used.
    """

    source: TableSource
    number: int
    columns: Mapping[str, str]
    types: Mapping[str, str]
    relation: str
    staged: bool = False
    flaws: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", Names(self.columns, self.flaws))

    def say(self, what: str) -> str:
        """A complaint about this table."""
        return f"{self.source.title}: {what}"


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
            db.execute("SET TimeZone = 'UTC'")  # a time's text is the same on every machine
            yield db
        finally:
            db.close()


def scratch(db: DuckDBPyConnection, number: int) -> Path:
    """A file of this session alone, for a copy of table `number` in a form that the database can read."""
    (spill,) = single_row(db, "SELECT current_setting('temp_directory')")
    return Path(spill).parent / f"table-{number}"


def pattern(path: Path) -> str:
    """A path as SQL that stands for this one file, though its name may have stars or brackets."""
    text = str(path.absolute())
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Unreadable("has a name that is not UTF-8; rename it.")
    return literal(re.sub(r"([*?\[])", r"[\1]", text))


def single_row(db: DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The only row of a result, which is read to its end: an open result would block the next statement."""
    rows = db.execute(sql).fetchall()
    if len(rows) != 1:  # a count of a file whose facts contradict each other
        raise Unreadable("is damaged: what it says of its rows does not fit together; make it again.")
    return tuple(rows[0])


def quote_identifier(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
