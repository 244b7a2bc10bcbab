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
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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


class Unreadable(Exception):
    """A table cannot be read; the message continues a sentence that begins with the table's title."""


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


def literal(text: str) -> str:
    """Quote a text for SQL."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"


@dataclass(frozen=True)
class Column:
    """One column of an opened table. Its properties are SQL for its values, in every way to read them.

    Attributes:
        name: its name in the table.
        identifier: its name in SQL.
        type: its SQL type.
        flaw: the reason why it cannot be read; empty if it can. A flaw in an unused column does no harm, and
            no column is read in spite of its flaw, since `sql` raises it.
    """

    name: str
    identifier: str
    type: str = "VARCHAR"
    flaw: str = ""

    @property
    def sql(self) -> str:
        """SQL for a value as the table has it.

        Raises:
            Unreadable: the column has a flaw.
        """
        if self.flaw:
            raise Unreadable(f"column '{self.name}' {self.flaw}")
        return self.identifier

    def of(self, relation: str) -> Column:
        """Return the column with the name of its relation before its own."""
        return replace(self, identifier=f"{relation}.{self.identifier}")

    @property
    def is_nested(self) -> bool:
        """True if a value holds more than one value."""
        return _NESTED.search(self.type) is not None

    @property
    def is_list(self) -> bool:
        """True if a value is a list of single values."""
        kind = self.type
        return kind.endswith("]") and kind.count("[") == 1 and not kind.startswith(("STRUCT", "MAP", "UNION"))

    @property
    def is_integer(self) -> bool:
        """True if values are integers of at most 64 bits."""
        return self.type in _INTEGERS

    @property
    def shape(self) -> str:
        """Noun for the values of a nested column."""
        if self.type.startswith(("STRUCT", "MAP", "UNION")):
            return "records" if self.type.endswith(")") else "lists of records"
        return "lists of lists" if self.type.count("[") > 1 else "lists"

    @property
    def text_sql(self) -> str:
        """SQL for the text of a value, which `tidy` normalizes for every format."""
        text = f"CAST({self.sql} AS VARCHAR)"
        if not self.type.startswith(_FLOATS):
            return text
        number = f"CAST({self.sql} AS DOUBLE)"
        if self.type.startswith("DECIMAL"):  # 0.50 is 0.5
            text = f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        return (
            f"CASE WHEN isnan({number}) THEN NULL WHEN abs({number}) <= {LARGEST_EXACT} "
            f"AND {number} = trunc({number}) "
            f"THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE {text} END"
        )

    @property
    def name_sql(self) -> str:
        """SQL for the name of a row (an id, a cluster) as normalized by `tidy`; NULL if it is missing.

        `tidy` handles the few values of a group in Python; ids are millions, so SQL must give the same
        result. Nearly all ids remain unchanged, and cheap tests find these first.
        """
        sql = self.sql
        if self.type.startswith("TIMESTAMP") and "ZONE" not in self.type:
            text = self.text_sql
            return f"CASE WHEN suffix({text}, ' 00:00:00') THEN left({text}, 10) ELSE {text} END"
        if self.type != "VARCHAR":
            return self.text_sql
        bare = bare_sql(sql)
        moment = f"substr({bare}, 5, 1) = '-' AND regexp_full_match({bare}, {literal(_MOMENT.pattern)})"
        zoned = f"regexp_matches({bare}, '(Z|UTC|[+-]\\d\\d(:?\\d\\d)?)$') AND length({bare}) > 16"
        stamp = f"CAST(TRY_CAST({bare} AS TIMESTAMP) AS VARCHAR)"
        return (
            f"CASE WHEN {_plain_sql(sql)} THEN {sql} WHEN {_missing_text_sql(sql)} THEN NULL "
            f"WHEN suffix({bare}, '.0') AND regexp_full_match({bare}, '-?(0|[1-9][0-9]*)\\.0') "
            f"THEN left({bare}, length({bare}) - 2) "
            f"WHEN contains({bare}, 'e+') AND regexp_full_match({bare}, {literal(_R_INTEGER.pattern)}) "
            f"THEN CAST(CAST(CAST({bare} AS DOUBLE) AS BIGINT) AS VARCHAR) "
            f"WHEN {moment} THEN coalesce("
            f"CASE WHEN {zoned} THEN CAST(TRY_CAST({bare} AS TIMESTAMPTZ) AS VARCHAR) "
            f"WHEN suffix({stamp}, ' 00:00:00') THEN left({stamp}, 10) ELSE {stamp} END, {bare}) "
            f"ELSE {bare} END"
        )

    @property
    def number_sql(self) -> str:
        """SQL for a number; NULL for other values.

        Texts may have a decimal comma and a percent sign. `1,234` is about one in some countries and above a
        thousand in others, so it is not read as a number; `0,234` is.
        """
        if self.type != "VARCHAR":
            return f"TRY_CAST({self.sql} AS DOUBLE)"
        text = f"trim({self.sql}, {literal(_BLANKS)})"
        comma = f"regexp_full_match({text}, '[+-]?[0-9]*,[0-9]+ ?%?')"
        thousands = f"regexp_full_match({text}, '[+-]?[1-9][0-9]{{0,2}},[0-9]{{3}} ?%?')"
        point = f"CASE WHEN {comma} AND NOT {thousands} THEN replace({text}, ',', '.') ELSE {text} END"
        share = f"TRY_CAST(trim(left({point}, length({point}) - 1)) AS DOUBLE) / 100"
        return (
            f"coalesce(TRY_CAST({self.sql} AS DOUBLE), TRY_CAST({text} AS DOUBLE), "
            f"CASE WHEN suffix({text}, '%') THEN {share} ELSE TRY_CAST({point} AS DOUBLE) END)"
        )

    @property
    def flag_sql(self) -> str:
        """SQL for a flag, 0 or 1; NULL for other values."""
        text = f"lower(trim({self.text_sql}, {literal(_BLANKS)}))"
        ones, zeros = "('1', 'true', '1.0', '1,0')", "('0', 'false', '0.0', '0,0')"
        return f"CASE WHEN {text} IN {ones} THEN 1 WHEN {text} IN {zeros} THEN 0 END"

    @property
    def missing_sql(self) -> str:
        """SQL for the test that a value is missing."""
        if self.type.startswith(_FLOATS):
            return f"({self.sql} IS NULL OR isnan(CAST({self.sql} AS DOUBLE)))"
        return f"({self.sql} IS NULL OR {_missing_text_sql(f'CAST({self.sql} AS VARCHAR)')})"


def bare_sql(sql: str) -> str:
    """Return SQL for a text without the blanks around it, with letters composed as by `tidy`.

    Few texts need it, and trimming ten million takes seconds; so a cheap test of both ends comes first.
    """
    odd = f"strlen({sql}) <> length({sql}) OR {sql} < '!' OR right({sql}, 1) < '!'"
    return f"CASE WHEN {odd} THEN nfc_normalize(trim({sql}, {literal(_BLANKS)})) ELSE {sql} END"


def _plain_sql(sql: str) -> str:
    """Return SQL for a sufficient, not necessary, condition that `tidy` leaves a text unchanged."""
    return (
        f"(strlen({sql}) = length({sql}) AND {sql} >= '!' AND right({sql}, 1) >= '!' "
        f"AND (strlen({sql}) > {max(map(len, MISSING))} OR {sql} < ':' AND {sql} >= '0') "
        f"AND NOT suffix({sql}, '.0') AND NOT contains({sql}, 'e+') AND substr({sql}, 5, 1) <> '-')"
    )


def _missing_text_sql(sql: str) -> str:
    """Return SQL for the test that a text means a missing value."""
    words = ", ".join(literal(word) for word in sorted(MISSING))
    return f"(NOT {_plain_sql(sql)} AND lower({bare_sql(sql)}) IN ({words}))"


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
