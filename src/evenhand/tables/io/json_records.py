"""Open JSON as rows: one record a line, a list of records, or one object that holds columns.

Keys are case-sensitive: `Label` is not `label`. The database's own JSON reader merges names that differ in
case, so records are read as JSON values, and values are extracted by exact key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenhand.tables.io.containers import HEAD_BYTES, MARK, head_of, plain_text
from evenhand.tables.io.database import pattern, scratch
from evenhand.tables.io.sources import TableSource
from evenhand.tables.values import Unreadable, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NO_RECORDS = 'is not a list of records: every row must be an object such as {"label": 1}'
_AS_RECORDS = "write one record a line (pandas: to_json(orient='records', lines=True))"
_MAX_INSPECTED_ROWS = 10_000


@dataclass(frozen=True)
class Records:
    """JSON as a relation of texts.

    Attributes:
        names: keys of the records, each once.
        types: `STRUCT` of keys that hold records, else `VARCHAR`.
        relation: the FROM clause, with the columns in the order of the names.
        doubled: keys that occur twice in one record.
    """

    names: list[str]
    types: list[str]
    relation: str
    doubled: frozenset[str]


def open_records(db: DuckDBPyConnection, source: TableSource, number: int) -> Records:
    """Open a JSON file.

    Raises:
        Unreadable: it holds no records.
        duckdb.Error: it is not valid JSON.
        OSError: it cannot be opened.
    """
    head = head_of(source)
    if not head.strip():
        raise Unreadable("has no rows.")
    document = _read_single_object(source, head)
    path, layout = plain_text(db, source, number), layout_of(head)
    if document is not None and (rows := _rows_of(document)) is not None:
        path, layout = scratch(db, number).with_suffix(".rows"), "newline_delimited"
        with path.open("w", encoding="ascii") as file:
            file.writelines(rows)
    objects = f"read_json_objects({pattern(path)}, format = '{layout}', hive_partitioning = false)"
    key_counts = db.execute(
        f"SELECT json_keys(json) AS k, count(*) AS n FROM {objects} GROUP BY k"
    ).fetchall()
    lists = [keys for keys, _ in sorted(key_counts, key=lambda entry: (-entry[1], entry[0] or []))]
    if any(not keys for keys in lists):
        _refuse_others(db, objects)
    names = list(dict.fromkeys(key for keys in lists for key in keys))
    if not key_counts:
        raise Unreadable("has no rows.")
    if not names:
        raise Unreadable("has no columns.")
    doubled = {key for keys in lists if len(set(keys)) < len(keys) for key in keys if keys.count(key) > 1}
    pointers = ", ".join(literal("/" + n.replace("~", "~0").replace("/", "~1")) for n in names)
    values = ", ".join(f"v[{i}]" for i in range(1, len(names) + 1))
    relation = f"(SELECT {values} FROM (SELECT json_extract_string(json, [{pointers}]) AS v FROM {objects}))"
    return Records(names, _types(db, objects, pointers, len(names)), relation, frozenset(doubled))


def layout_of(head: bytes) -> str:
    """Detect the layout of records in a file, by its name in the database."""
    line, _, rest = head.strip().partition(b"\n")
    if line.startswith(b"[") and not (rest.strip() and _is_json(line)):
        return "array"
    if line.startswith(b"{") and not line.strip().endswith(b"}"):
        return "unstructured"  # records of several lines each
    return "newline_delimited"


def keys_at_start(source: TableSource) -> set[str]:
    """Read the names of columns from the first records; the file is not read to its end.

    Raises:
        Unreadable: it holds something else.
        OSError: it cannot be opened.
    """
    text = head_of(source).decode("utf-8", "ignore").lstrip()
    names: set[str] = set()
    document = _read_single_object(source, text.encode())
    if document is not None and (rows := _rows_of(document)) is not None:
        return {key for row in rows[:100] for key in json.loads(row)}
    decoder, position = json.JSONDecoder(), 0
    for _ in range(_MAX_INSPECTED_ROWS):
        while position < len(text) and text[position] in " \t\r\n,[":
            position += 1
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        if isinstance(value, dict):
            names |= value.keys()
    return names


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _types(db: DuckDBPyConnection, objects: str, pointers: str, width: int) -> list[str]:
    """Return the type of each key in the first rows: `STRUCT` of records only, else `VARCHAR`."""
    rows = db.execute(
        f"SELECT DISTINCT json_type(json, [{pointers}]) AS v "
        f"FROM (FROM {objects} LIMIT {_MAX_INSPECTED_ROWS})"
    ).fetchall()
    kinds: list[set[str]] = [{row[0][i] for row in rows} - {None, "NULL"} for i in range(width)]
    return ["STRUCT" if kind == {"OBJECT"} else "VARCHAR" for kind in kinds]


def _refuse_others(db: DuckDBPyConnection, objects: str) -> None:
    """Raise if a row is not a record."""
    rows = db.execute(
        f"SELECT CAST(json AS VARCHAR) FROM {objects} WHERE json_type(json) <> 'OBJECT' LIMIT 1"
    ).fetchall()
    if rows:
        text = rows[0][0]
        row = text if len(text) <= 60 else f"{text[:57]}..."
        raise Unreadable(f"{_NO_RECORDS}, but one is {row}; {_AS_RECORDS}.")


def _read_single_object(source: TableSource, head: bytes) -> Mapping[str, Any] | None:
    """Read a file that is one JSON object; None where it holds more, or something else."""
    head = head.strip()
    line, _, rest = head.partition(b"\n")
    if not head.startswith(b"{") or (rest.strip() and _is_json(line)):
        return None
    text = head.decode("utf-8", "ignore")
    if len(head) >= HEAD_BYTES - 1000:
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            text = _read_text(source)
        else:
            if text[end:].strip():
                return None
            text = _read_text(source)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_text(source: TableSource) -> str:
    import gzip  # noqa: PLC0415  (seldom needed)

    assert source.path is not None
    with gzip.open(source.path) if source.ending.endswith(".gz") else source.path.open("rb") as file:
        return file.read().removeprefix(MARK).decode("utf-8", "replace")


def _rows_of(document: Mapping[str, Any]) -> list[str] | None:
    """Return the rows of an object that holds a table, as lines of JSON; None where it is a row itself.

    Supported are the tables of W&B and pandas' `split` (`columns` and `data`), pandas' `table` (`schema` and
    `data`), columns by name as lists, and columns by name or rows by index as objects (pandas' `columns`
    and `index`).

    Raises:
        Unreadable: it holds a table in an ambiguous or unsupported form.
    """
    names, data = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(data, list):
        if any(not isinstance(row, list) or len(row) != len(names) for row in data):
            raise Unreadable(
                "holds one object with 'columns' and 'data', whose rows do not have one value for each "
                f"column; {_AS_RECORDS}."
            )
        return [_line(zip(map(_name, names), row, strict=True)) for row in data]
    if isinstance(data, list) and isinstance(document.get("schema"), dict) and all(map(_is_record, data)):
        return [_line(row.items()) for row in data]
    values = list(document.values())
    lists = values and all(isinstance(v, list) for v in values) and len(set(map(len, values))) == 1
    if lists and (len(values) > 1 or not all(map(_is_record, values[0]))):
        return [_line(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    if values and all(map(_is_record, values)):
        return _transposed(document)
    inner = [
        key for key, value in document.items() if isinstance(value, list) and value and _is_record(value[0])
    ]
    if inner:
        raise Unreadable(
            f"holds one object, whose key '{inner[0]}' has the rows; write them alone, one record a line "
            f"(`jq -c '.[\"{inner[0]}\"][]'`)."
        )
    return None


def _transposed(document: Mapping[str, Mapping[str, Any]]) -> list[str] | None:
    """Return rows as lines of JSON, from columns as objects by row, or rows as objects by column."""
    first = next(iter(document.values()))
    if not first or any(value.keys() != first.keys() for value in document.values()):
        return None
    by_row = all(key.isdigit() for key in first)
    if by_row == all(key.isdigit() for key in document):
        shown = json.dumps({next(iter(document)): first}, ensure_ascii=False)[:60]
        raise Unreadable(
            f"holds one object whose values are objects ({shown}...): it is unclear whether these are "
            f"its columns or its rows; {_AS_RECORDS}."
        )
    if by_row:
        return [_line((name, column[key]) for name, column in document.items()) for key in first]
    return [_line(row.items()) for row in document.values()]


def _is_record(value: object) -> bool:
    return isinstance(value, dict)


def _name(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _line(pairs: Iterator[tuple[str, Any]] | Sequence[Any] | Any) -> str:  # noqa: ANN401  (items of any mapping)
    """Format a record as a line of JSON; a key may occur twice."""
    return "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}\n"


def line_of_fault(source: TableSource) -> tuple[int, int] | None:
    """Find the line and column (from 1) at which a file stops being valid JSON; None where it is unclear."""
    import gzip  # noqa: PLC0415

    assert source.path is not None
    with gzip.open(source.path) if source.ending.endswith(".gz") else source.path.open("rb") as file:
        head = file.read(HEAD_BYTES).removeprefix(MARK)
        file.seek(0)
        if layout_of(head) == "newline_delimited":
            for number, line in enumerate(file, 1):
                text = line.removeprefix(MARK).strip()
                if text and (fault := _fault(text)):
                    return number, fault[1]
            return None
        return _fault(file.read().removeprefix(MARK))


def _fault(text: bytes) -> tuple[int, int] | None:
    """Find the line and column at which a text stops being valid JSON; None for valid JSON."""
    try:
        value = json.loads(text)
        if b"\\u" in text:  # a lone surrogate is a valid str in Python, but not valid UTF-8
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return error.lineno, error.colno
    except UnicodeEncodeError as error:
        return 1, error.start + 1
    except UnicodeDecodeError as error:
        return text[: error.start].count(b"\n") + 1, error.start - text.rfind(b"\n", 0, error.start)
    except RecursionError:
        return None
    return None
