"""The dialect of a CSV file: header, delimiter, lines before the header, line breaks in fields."""

from __future__ import annotations

import csv
import io
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from evenhand.tables.io.containers import head_of
from evenhand.tables.io.database import NOT_UTF8, scratch
from evenhand.tables.io.sources import TableSource
from evenhand.tables.values import Unreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DELIMITERS = (",", ";", "\t", "|")
#: Excel's own first line, which says how the values are separated.
_SEPARATOR = re.compile(r'\ufeff?"?sep=(.)"?[,;\t|]*', re.IGNORECASE)
_BREAK = re.compile(r"\r\n|\r|\n")
_MAX_INSPECTED_ROWS = 20
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Dialect:
    """The dialect of a CSV file.

    Attributes:
        names: columns, as the header names them.
        delimiter: the character between values.
        skip: lines before the header.
        uneven: True if the lines before the header have other line breaks than those after it.
        blanks: True if there is a blank between a delimiter and the quotes of a value.
    """

    names: list[str]
    delimiter: str
    skip: int = 0
    uneven: bool = False
    blanks: bool = False


def dialect_of(source: TableSource) -> Dialect:
    """Detect the dialect of a CSV file.

    Raises:
        Unreadable: it has no header line, or is not CSV.
        OSError: it cannot be opened.
    """
    head = head_of(source)
    if not head:
        raise Unreadable("has no header line.")
    text = head.decode("utf-8", errors="ignore")
    skip, rest, separator = _preamble(text)
    if rest.startswith(("\r", "\n")):
        raise Unreadable("begins with an empty line; its first line must name the columns.")
    first = _BREAK.split(rest, maxsplit=1)[0]
    if first.startswith(('{"', "[{", "[[")) and "json" not in source.ending:
        raise Unreadable("holds JSON; rename it, so that it ends in .jsonl or .json.")
    _refuse_other_encoding(head, skip)
    usual = "\t" if ".tsv" in source.ending else ","
    delimiter = separator or _delimiter(rest, usual)
    try:
        names = next(csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise Unreadable(f"has no readable header line ({error}).") from None
    if not any(name.strip() for name in names):
        raise Unreadable("has no header line.")
    uneven = skip > 0 and len(set(_BREAK.findall(text)[: skip + _MAX_INSPECTED_ROWS])) > 1
    blanks = any(name.startswith(' "') and name.rstrip().endswith('"') for name in names)
    if blanks:
        names = next(csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter, skipinitialspace=True))
    return Dialect(names, delimiter, skip, uneven, blanks)


def has_escapes(path: Path) -> bool:
    r"""Return True if quotes within values are escaped as \", as Spark does, and not doubled."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b'\\"') >= 0


def without_blanks(db: DuckDBPyConnection, path: Path, number: int, dialect: Dialect) -> Path:
    """Copy a CSV file without the blanks between delimiters and the quotes of values."""
    copy = scratch(db, number).with_suffix(".close")
    apart = dialect.delimiter
    with (
        path.open(encoding="utf-8-sig", newline="") as file,
        copy.open("w", encoding="utf-8", newline="") as to,
    ):
        try:
            for _ in range(dialect.skip):
                to.write(file.readline())
            rows = csv.reader(file, skipinitialspace=True, strict=True, delimiter=apart)
            csv.writer(to, lineterminator="\n", delimiter=apart).writerows(rows)
        except UnicodeDecodeError:
            raise Unreadable(NOT_UTF8.format("LATIN1")) from None
        except csv.Error as error:
            raise Unreadable(f"is not valid CSV ({error}).") from None
    return copy


def _refuse_other_encoding(head: bytes, skip: int) -> None:
    """Raise if the header is not encoded in UTF-8."""
    lines = re.split(rb"\r\n|\r|\n", head, maxsplit=skip + 1)
    try:
        lines[min(skip, len(lines) - 1)].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head):  # else the head ends within a letter
            raise Unreadable(NOT_UTF8.format("LATIN1")) from None


def _preamble(text: str) -> tuple[int, str, str | None]:
    """Count the lines before the header (`sep=;`, `# comment`).

    Returns:
        The number of lines, the text after them, and the delimiter that `sep=` declares.
    """
    lines, rest, separator = 0, text, None
    while rest:
        end = _BREAK.search(rest)
        line, after = (rest, "") if end is None else (rest[: end.start()], rest[end.end() :])
        declared = _SEPARATOR.fullmatch(line)
        if declared and separator is None:
            separator = declared[1]
        elif not (_is_comment(line, after) or (lines and not line.strip() and after)):
            break
        lines, rest = lines + 1, after
    return lines, rest, separator


def _is_comment(line: str, after: str) -> bool:
    """Return True for a comment line, False for a header whose first name begins with #."""
    if not line.startswith("#") or not after:
        return False
    following = next((later for later in _BREAK.split(after, maxsplit=50) if not later.startswith("#")), "")
    fields = {d: (line.count(d), following.count(d)) for d in _DELIMITERS}
    return all(here != below or not here for here, below in fields.values())


def _delimiter(text: str, usual: str) -> str:
    """Detect the delimiter: outside quotes, it splits the header and the rows into equally many values."""
    widths = {d: list(_widths(text, d)) for d in dict.fromkeys((usual, *_DELIMITERS))}
    possible = [d for d, sizes in widths.items() if sizes and sizes[0] > 1]
    regular = [d for d in possible if len(set(widths[d])) == 1]
    if regular:  # the one that makes most columns: `race, ethnicity` may be a name between bars
        return max(regular, key=lambda d: widths[d][0])
    return (possible or [usual])[0]


def _widths(text: str, delimiter: str) -> Iterator[int]:
    """Yield the number of values of the header and of some rows below."""
    try:
        for row in islice(
            csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), _MAX_INSPECTED_ROWS
        ):
            if row:
                yield len(row)
    except csv.Error:
        return


def with_even_breaks(db: DuckDBPyConnection, path: Path, number: int, delimiter: str) -> Path | None:
    r"""Copy a CSV file so that all rows end in \n and fields with a lone \r are in quotes.

    pandas writes a text with a carriage return without quotes, which the database refuses.

    Returns:
        The copy; None where rows end in a lone \r, or all line breaks are the same.
    """
    # Alternatives: a quoted field, a line break \r\n, an unquoted field with a lone \r in it.
    apart = re.escape(delimiter.encode())
    field = re.compile(
        rb'(?<![^%b\r\n])"(?:[^"]|"")*"|\r\n|(?<![^%b\r\n])[^%b\r\n]*+\r(?!\n)[^%b\n]*' % ((apart,) * 4)
    )
    copy = scratch(db, number).with_suffix(".even")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if b"\n" not in data[: 1 << 20]:
            return None
        with copy.open("wb") as target:
            done = 0
            for match in field.finditer(data):
                text = match[0]
                if text == b"\r\n":
                    text = b"\n"
                elif not text.startswith(b'"'):
                    ended = text.endswith(b"\r") and data[match.end() : match.end() + 1] == b"\n"
                    text = text.removesuffix(b"\r" if ended else b"").replace(b'"', b'""')
                    text = b'"' + text + b'"'
                else:
                    continue
                target.write(data[done : match.start()])
                target.write(text)
                done = match.end()
            if not done:
                return None
            for start in range(done, len(data), _CHUNK):
                target.write(data[start : start + _CHUNK])
    return copy
