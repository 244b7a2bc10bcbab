"""Rephrase errors of the database as complaints about a table."""

from __future__ import annotations

import contextlib
import gzip
import re
from itertools import islice

from evenhand.tables.io.database import NOT_UTF8
from evenhand.tables.io.quoted import shorten
from evenhand.tables.io.sources import TableSource
from evenhand.tables.values import literal

_DAMAGED = "is damaged, or written in a way that is not supported; copy it or make it again."
#: Parts of the database's messages, and the complaints in their place.
_KNOWN = {
    "unterminated quote": "{at} opens a quote that is never closed.",
    "Maximum line size": "{at} is longer than 2 MB (is a quote not closed?).",
    "not utf-8 encoded": NOT_UTF8.format("LATIN1") + " The first other letter is in {at}.",
    "Invalid unicode": NOT_UTF8.format("LATIN1"),
    "state machine reached an invalid state": "is not valid CSV (are its line ends or quotes mixed?).",
    "magic bytes": "is not a parquet file, or is cut short.",
    "too small to be a Parquet": "is not a parquet file, or is cut short.",
    "maximum_object_size": "has a record that is too long to be read; is a bracket not closed?",
    "encrypted": "is encrypted; write it without encryption.",
    "No space left": "needs more disk space for temporary files than is free.",
    "Permission denied": "cannot be read (Permission denied).",
}


def rephrase(error: Exception, source: TableSource) -> str:
    """Explain in one sentence why the database could not read a table.

    Raises:
        duckdb.ParserException: the SQL itself is wrong, which is a bug of this package and not of the file.
    """
    if type(error).__name__ == "ParserException":
        raise error
    text = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    at = f"line {line[1]}" if line else "a line"
    shape = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if shape:
        return _other_width(at, int(shape[1]), int(shape[2]))
    if "Malformed JSON" in text or ("JSON" in text and "at byte" in text):
        return _no_json(text, source)
    if source.path is None and re.search("UTF-?8|unicode", text, re.IGNORECASE):
        return _not_utf8_in_memory(source)
    parquet = source.ending in {".parquet", ".pq"}
    if parquet and ("Invalid string encoding" in text or "nvalid unicode" in text):
        return _not_utf8_column(source)
    if type(error).__name__ == "OutOfMemoryException":
        return "needs more memory than is available."
    for sign, message in _KNOWN.items():
        if sign in text:
            return message.format(at=at)
    kind = "parquet file" if parquet else "table"
    return f"cannot be read as a {kind}: it {_DAMAGED}"


def _other_width(at: str, expected: int, actual: int) -> str:
    """Report a line whose number of values differs from the header's."""
    message = f"{at} has {actual} values, but the header names {expected} columns"
    if at == "line 2" and actual == expected + 1:
        return f"{message} (does the header lack the name of R's row names? write with row.names = FALSE)."
    return f"{message}."


def _no_json(text: str, source: TableSource) -> str:
    """Report where a file stops being valid JSON.

    Lines are counted anew, since the database counts lines and records from another start.
    """
    from evenhand.tables.io.json_records import line_of_fault  # noqa: PLC0415

    position = re.search(r"at byte (\d+) in (line|record/value) \d+: ([^.\n]*)", text)
    fault = line_of_fault(source) if source.path is not None else None
    if position is None:
        where = f", at line {fault[0]}" if fault else ""
        return f"is not valid JSON{where}."
    if fault is None:
        return f"is not valid JSON ({position[3].strip()})."
    if message := _usual_fault(source, fault[0]):
        return message
    byte = position[1] if position[2] == "line" else fault[1]
    return f"is not valid JSON, at byte {byte} in line {fault[0]}: {position[3].strip()}."


def _usual_fault(source: TableSource, number: int) -> str | None:
    """Describe a common error in a line that is not valid JSON; None for other errors."""
    assert source.path is not None
    with gzip.open(source.path) if source.ending.endswith(".gz") else source.path.open("rb") as file:
        line = next(islice(file, number - 1, None), b"").strip()
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8.format("LATIN1") + f" The first other letter is in line {number}."
    shown = shorten(text)
    if text.startswith("{") and text.endswith("},"):
        return f"is not valid JSON, at line {number}: it ends with a comma ({shown}); remove it."
    if re.match(r"[{\[]\s*'", text):
        return (
            f"is not valid JSON, at line {number}: names and texts must be in double quotes, but the line is "
            f"{shown}; write it with json.dumps."
        )
    if number == 1 and re.match(r"[^{\[]*[,;\t|]", text):
        target = _as_csv(source)
        return f"holds no JSON, but text such as CSV (it begins with {shown}); rename it to {target}."
    return None


def _as_csv(source: TableSource) -> str:
    assert source.path is not None
    return source.path.name[: -len(source.ending)] + (".csv.gz" if source.ending.endswith(".gz") else ".csv")


def _not_utf8_in_memory(source: TableSource) -> str:
    """Name the columns of a table in memory whose texts are not encoded in UTF-8."""
    import pyarrow as pa  # noqa: PLC0415

    from evenhand.tables.io.in_memory import as_arrow  # noqa: PLC0415

    table, columns, _ = as_arrow(source.table)
    names = []
    for name, column in zip(columns, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            names.append(name)
    listed = ", ".join(f"'{name}'" for name in names)
    who = f"column {listed} holds" if len(names) == 1 else f"columns {listed} hold" if names else "it holds"
    return f"{who} texts that are not encoded in UTF-8; decode the bytes with their own encoding first."


def _not_utf8_column(source: TableSource) -> str:
    """Name the columns of a parquet file whose texts are not encoded in UTF-8."""
    import duckdb  # noqa: PLC0415  (0.1 s)

    names = []
    with duckdb.connect(":memory:") as db, contextlib.suppress(duckdb.Error):
        relation = (
            f"read_parquet({literal(str(source.path))}, binary_as_string = true, hive_partitioning = false)"
        )
        for name, *_ in db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall():
            column = '"' + name.replace('"', '""') + '"'
            try:
                db.execute(f"SELECT max({column}::VARCHAR) FROM {relation}").fetchall()
            except duckdb.Error as error:
                names += [name] if re.search("UTF8|unicode", str(error)) else []
    listed = ", ".join(f"'{name}'" for name in names)
    many = f"columns {listed} are" if len(names) > 1 else f"column {listed} is"
    return f"{many if names else 'a text is'} not encoded in UTF-8; write it again as text in UTF-8."
