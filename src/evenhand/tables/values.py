r"""Normalize values: the same text, number, flag or name in every format.

CSV has text only, parquet has types, and every program has its own notation. `1`, `1.0`, ` 1` and an integer
1 are one value; so are `TRUE` and `True`, and 08:00 in Tokyo and 23:00 UTC.

**Missing values.** A null, a floating-point NaN, an empty or blank text and the texts `nan`, `NaT`, `<NA>`,
`null`, `#N/A` and `\N`, in lower or upper case, are missing in every column. `NA`, `N/A`, `None`, `?`
and `.` are also names (Namibia, no religion): `MAYBE_MISSING` explains when they are missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from evenhand.tables.io.database import Table, Unreadable, literal, single_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: Lower-case texts that mean a missing value in every column.
MISSING = frozenset(
    {"", "nan", "-nan", "nat", "<na>", "null", "(null)", "#n/a", "#na", "\\n"}
    | {"#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!"}
)

#: Words for a missing value that are also names. As a group they remain, with a remark. As a label or a
#: prediction they are a class only if both a label and a prediction (or a column of scores) have them; else
#: they are refused.
MAYBE_MISSING = frozenset(
    {"NA", "na", "N/A", "n/a", "N.A.", "n.a.", "None", "nil", "NIL", "undefined", "?", "."}
)

#: Characters around a value that are not part of it: blanks of all widths, and marks of zero width.
_BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    "\xad\u180e\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_INTEGER = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0+|,0)")
#: R writes the number 100000 as 1e+05.
_R_INTEGER = re.compile(r"[1-9](?:\.[0-9]*[1-9])?e\+(?:0[0-9]|1[0-5])")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(\.\d+)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?")
_FLOATS = ("FLOAT", "DOUBLE", "DECIMAL", "HALF")
#: Floating-point numbers represent every integer up to here.
LARGEST_EXACT = 2**53
_NESTED = re.compile(r"STRUCT|MAP|UNION|\[|LIST|VARIANT")
_INTEGERS = frozenset(["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"])


@dataclass(frozen=True)
class Distinct:
    """The distinct values of one column.

    Attributes:
        relation: temporary table of (raw, text): each value and its text, without missing ones.
        counts: number of rows by text, as normalized by `tidy`.
        missing: number of rows without a value.
    """

    relation: str
    counts: Mapping[str, int]
    missing: int


def is_nested(kind: str) -> bool:
    """Return True if a SQL type holds more than one value."""
    return _NESTED.search(kind) is not None


def shape_of(kind: str) -> str:
    """Describe in words the rows of a nested SQL type."""
    if kind.startswith(("STRUCT", "MAP", "UNION")):
        return "records" if kind.endswith(")") else "lists of records"
    return "lists of lists" if kind.count("[") > 1 else "lists"


def is_list(kind: str) -> bool:
    """Return True if a SQL type is a list of single values."""
    return kind.endswith("]") and kind.count("[") == 1 and not kind.startswith(("STRUCT", "MAP", "UNION"))


def is_integer(kind: str) -> bool:
    """Return True if a SQL type holds integers of at most 64 bits."""
    return kind in _INTEGERS


def tidy(text: str | None) -> str | None:
    """Normalize a value to one text for every format; None if the value is missing.

    Blanks around a text are removed, letters with marks are composed (NFC), integers lose their `.0`, `TRUE`
    and `True` become `true`, and points in time get one notation: in UTC if they name a time zone, and as a
    day if they are midnight without one.
    """
    if text is None:
        return None
    text = text.strip(_BLANKS)
    small = text.lower()
    if small in MISSING:
        return None
    if small in {"true", "false"}:
        return small
    if not text.isascii():
        return unicodedata.normalize("NFC", text)
    if integer := _INTEGER.fullmatch(text):
        return "0" if integer[1] == "-0" else integer[1]
    if _R_INTEGER.fullmatch(text):
        return str(int(float(text)))
    moment = _MOMENT.fullmatch(text)
    return text if moment is None else _moment(text, moment)


def _moment(text: str, parts: re.Match[str]) -> str:
    """Write a point in time as the database does; return other texts unchanged."""
    day, minute, second, fraction, zone = parts.groups()
    try:
        point = datetime.fromisoformat(f"{day} {minute}{second or ':00'}+00:00")
    except ValueError:
        return text
    small = (fraction or "").rstrip("0").rstrip(".")
    if zone is None:
        return (
            f"{point:%Y-%m-%d}"
            if f"{point:%H:%M:%S}{small}" == "00:00:00"
            else f"{point:%Y-%m-%d %H:%M:%S}{small}"
        )
    if zone not in {"Z", "UTC"}:
        minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        try:
            point -= timedelta(minutes=minutes if zone[0] == "+" else -minutes)
        except OverflowError:
            return text
    return f"{point:%Y-%m-%d %H:%M:%S}{small}+00"


def text_sql(sql: str, kind: str) -> str:
    """Return SQL for the text of a value, which `tidy` normalizes for every format."""
    if kind.startswith(_FLOATS):
        number, text = f"CAST({sql} AS DOUBLE)", f"CAST({sql} AS VARCHAR)"
        if kind.startswith("DECIMAL"):  # 0.50 is 0.5
            text = f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        return (
            f"CASE WHEN isnan({number}) THEN NULL WHEN abs({number}) <= {LARGEST_EXACT} "
            f"AND {number} = trunc({number}) "
            f"THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE {text} END"
        )
    return f"CAST({sql} AS VARCHAR)"


def bare_sql(sql: str) -> str:
    """Return SQL for a text without the blanks around it, with letters composed as by `tidy`.

    Few texts need it, and trimming ten million takes seconds; so a cheap test of both ends comes first.
    """
    odd = f"strlen({sql}) <> length({sql}) OR {sql} < '!' OR right({sql}, 1) < '!'"
    return f"CASE WHEN {odd} THEN nfc_normalize(trim({sql}, {literal(_BLANKS)})) ELSE {sql} END"


def name_sql(sql: str, kind: str) -> str:
    """Return SQL for the name of a row (an id, a cluster) as normalized by `tidy`; NULL if it is missing.

    `tidy` handles the few values of a group in Python; ids are millions, so SQL must give the same result.
    Nearly all ids remain unchanged, and cheap tests find these first.
    """
    if kind.startswith("TIMESTAMP") and "ZONE" not in kind:
        text = text_sql(sql, kind)
        return f"CASE WHEN suffix({text}, ' 00:00:00') THEN left({text}, 10) ELSE {text} END"
    if kind != "VARCHAR":
        return text_sql(sql, kind)
    bare = bare_sql(sql)
    moment = f"substr({bare}, 5, 1) = '-' AND regexp_full_match({bare}, {literal(_MOMENT.pattern)})"
    zoned = f"regexp_matches({bare}, '(Z|UTC|[+-]\\d\\d(:?\\d\\d)?)$') AND length({bare}) > 16"
    stamp = f"CAST(TRY_CAST({bare} AS TIMESTAMP) AS VARCHAR)"
    return (
        f"CASE WHEN {_plain_sql(sql)} THEN {sql} WHEN {missing_text_sql(sql)} THEN NULL "
        f"WHEN suffix({bare}, '.0') AND regexp_full_match({bare}, '-?(0|[1-9][0-9]*)\\.0') "
        f"THEN left({bare}, length({bare}) - 2) "
        f"WHEN contains({bare}, 'e+') AND regexp_full_match({bare}, {literal(_R_INTEGER.pattern)}) "
        f"THEN CAST(CAST(CAST({bare} AS DOUBLE) AS BIGINT) AS VARCHAR) "
        f"WHEN {moment} THEN coalesce("
        f"CASE WHEN {zoned} THEN CAST(TRY_CAST({bare} AS TIMESTAMPTZ) AS VARCHAR) "
        f"WHEN suffix({stamp}, ' 00:00:00') THEN left({stamp}, 10) ELSE {stamp} END, {bare}) "
        f"ELSE {bare} END"
    )


def _plain_sql(sql: str) -> str:
    """Return SQL for a sufficient, not necessary, condition that `tidy` leaves a text unchanged."""
    return (
        f"(strlen({sql}) = length({sql}) AND {sql} >= '!' AND right({sql}, 1) >= '!' "
        f"AND (strlen({sql}) > {max(map(len, MISSING))} OR {sql} < ':' AND {sql} >= '0') "
        f"AND NOT suffix({sql}, '.0') AND NOT contains({sql}, 'e+') AND substr({sql}, 5, 1) <> '-')"
    )


def missing_text_sql(sql: str) -> str:
    """Return SQL for the test that a text means a missing value."""
    words = ", ".join(literal(word) for word in sorted(MISSING))
    return f"(NOT {_plain_sql(sql)} AND lower({bare_sql(sql)}) IN ({words}))"


def missing_sql(sql: str, kind: str) -> str:
    """Return SQL for the test that a value is missing."""
    if kind.startswith(_FLOATS):
        return f"({sql} IS NULL OR isnan(CAST({sql} AS DOUBLE)))"
    return f"({sql} IS NULL OR {missing_text_sql(f'CAST({sql} AS VARCHAR)')})"


def example_sql(table: Table, column: str) -> str:
    """Return SQL for the name of a row's example; NULL if the table does not have the column."""
    return name_sql(table.columns[column], table.types[column]) if column in table.columns else "NULL"


def offending(
    db: DuckDBPyConnection, table: Table, tests: Sequence[str], example: str, *, value: str = ""
) -> list[tuple[int, str]]:
    """Count the rows that meet each condition, and name the first of them.

    Args:
        db: the database.
        table: a staged table.
        tests: conditions in SQL.
        example: SQL for the name of an example, or NULL.
        value: SQL for the value at fault, which the sentence shows; empty to omit it.

    Returns:
        Counts, and texts such as ` (first: example 'r0', '7')`; empty without both name and value.
    """
    if not tests:
        return []
    parts = ", ".join(f"count(*) FILTER ({test})" for test in tests)
    counts = single_row(db, f"SELECT {parts} FROM {table.relation}")
    results = []
    for test, count in zip(tests, counts, strict=True):
        first = ""
        if count and (example != "NULL" or value):
            name, odd = single_row(
                db,
                f"SELECT name, CAST({value or 'NULL'} AS VARCHAR) FROM (SELECT *, {example} AS name FROM "
                f"{table.relation} WHERE {test}) ORDER BY name LIMIT 1",
            )
            parts_of_first = [f"example '{name}'"] if name is not None else []
            parts_of_first += [f"'{_short(odd)}'" if odd is not None else "no value"] if value else []
            first = f" (first: {', '.join(parts_of_first)})" if parts_of_first else ""
        results.append((int(count), first))
    return results


def _short(text: str) -> str:
    """Shorten a value for a sentence: numbers to six digits, texts to 40 characters."""
    try:
        return text if len(text) <= 8 else f"{float(text):.6g}"
    except ValueError:
        return text[:40]


def number_sql(sql: str, kind: str) -> str:
    """Return SQL for a number; NULL for other values.

    Texts may have a decimal comma and a percent sign. `1,234` is about one in some countries and above a
    thousand in others, so it is not read as a number; `0,234` is.
    """
    if kind != "VARCHAR":
        return f"TRY_CAST({sql} AS DOUBLE)"
    text = f"trim({sql}, {literal(_BLANKS)})"
    comma = f"regexp_full_match({text}, '[+-]?[0-9]*,[0-9]+ ?%?')"
    thousands = f"regexp_full_match({text}, '[+-]?[1-9][0-9]{{0,2}},[0-9]{{3}} ?%?')"
    point = f"CASE WHEN {comma} AND NOT {thousands} THEN replace({text}, ',', '.') ELSE {text} END"
    share = f"TRY_CAST(trim(left({point}, length({point}) - 1)) AS DOUBLE) / 100"
    return (
        f"coalesce(TRY_CAST({sql} AS DOUBLE), TRY_CAST({text} AS DOUBLE), "
        f"CASE WHEN suffix({text}, '%') THEN {share} ELSE TRY_CAST({point} AS DOUBLE) END)"
    )


def parse_numbers(db: DuckDBPyConnection, table: Table, names: Sequence[str]) -> Table:
    """Convert text columns of a staged table to numbers where every value is one.

    Later steps read them several times, and parsing text is the slowest part. A column with a value that is
    not a number remains text, so that the complaint can quote it.
    """
    if not table.staged:
        return table
    types = dict(table.types)
    for name in names:
        sql = table.columns[name]
        if types[name] != "VARCHAR":
            continue
        for number in (f"TRY_CAST({sql} AS DOUBLE)", number_sql(sql, "VARCHAR")):
            odd = f"{number} IS NULL OR NOT isfinite({number})"
            if not single_row(db, f"SELECT count(*) FILTER ({odd}) FROM {table.relation}")[0]:
                db.execute(f"ALTER TABLE {table.relation} ALTER {sql} TYPE DOUBLE USING {number}")
                types[name] = "DOUBLE"
                break
    return replace(table, types=types)


def flag_sql(sql: str, kind: str) -> str:
    """Return SQL for a flag, 0 or 1; NULL for other values."""
    text = f"lower(trim({text_sql(sql, kind)}, {literal(_BLANKS)}))"
    ones, zeros = "('1', 'true', '1.0', '1,0')", "('0', 'false', '0.0', '0,0')"
    return f"CASE WHEN {text} IN {ones} THEN 1 WHEN {text} IN {zeros} THEN 0 END"


def distinct(db: DuckDBPyConnection, table: Table, column: str, limit: int) -> Distinct:
    """Read the distinct values of a column.

    Raises:
        Unreadable: the column has more than `limit`.
    """
    sql, kind = table.columns[column], table.types[column]
    # At most limit + 1 distinct values leave the database, however many rows the table has.
    relation = f"d{table.number}_{sql}"
    db.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {relation} AS SELECT raw, {text_sql('raw', kind)} AS text, n "
        f"FROM (SELECT {sql} AS raw, count(*) AS n FROM {table.relation} GROUP BY {sql}) LIMIT {limit + 1}"
    )
    counts: dict[str, int] = {}
    missing = 0
    rows = db.execute(f"SELECT text, n FROM {relation} ORDER BY text").fetchall()
    if len(rows) > limit:
        raise Unreadable(f"more than {limit} different values")
    for text, n in rows:
        name = tidy(text)
        if name is None:
            missing += n
        else:
            counts[name] = counts.get(name, 0) + n
    return Distinct(relation, counts, missing)


def code(db: DuckDBPyConnection, values: Distinct, codes: Mapping[str, int], relation: str) -> str:
    """Create the temporary table `relation` of (raw, code), and return its name."""
    rows = db.execute(f"SELECT DISTINCT text FROM {values.relation} WHERE text IS NOT NULL").fetchall()
    known = [(text, codes[name]) for (text,) in rows if (name := tidy(text)) is not None and name in codes]
    db.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT raw, code FROM {values.relation} JOIN "
        "(SELECT unnest(?::VARCHAR[]) AS text, unnest(?::SMALLINT[]) AS code) USING (text)",
        [[text for text, _ in known], [number for _, number in known]],
    )
    return relation


def in_order(names: Iterable[str]) -> list[str]:
    """Sort distinct names, as numbers if all are numbers, else as text."""
    ordered = sorted(set(names))
    try:
        return sorted(ordered, key=float)
    except ValueError:
        return ordered


def shown(values: Iterable[str], most: int = 10) -> str:
    """Format a list of quoted values for a sentence, at most `most` of them."""
    listed = list(values)
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(f"'{v}'" for v in listed[:most]) + more
