"""Accuracy by group of a file, read by other readers and worked out in plain Python."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DELIMITERS = (",", ";", "\t", "|")
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nat", "\\n"})
_ZERO = re.compile(r"(-?(?:0|[1-9][0-9]*))[.,]0+")


class NoTableError(Exception):
    """The other reader refuses the file, too, or cannot tell what it says."""


@dataclass(frozen=True)
class Table:
    """What another reader makes of a file.

    Attributes:
        rows: every row.
        flaw: why nobody should take these rows for a proper table; empty when there is no reason.
    """

    rows: list[dict[str, Any]]
    flaw: str = ""


def read(path: Path, needed: Sequence[str]) -> Table:
    """Read a file with Python's own readers, or with pyarrow.

    Raises:
        NoTableError: it cannot be read.
    """
    data = path.read_bytes()
    name = path.name.lower()
    if name.endswith(".parquet"):
        try:
            return Table(pq.read_table(io.BytesIO(data), columns=list(needed)).to_pylist())
        except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, KeyError) as error:
            raise NoTableError(str(error)) from None
    try:
        text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise NoTableError(str(error)) from None
    return _json(text, lines="jsonl" in name) if "json" in name else _csv(text, needed)


def _json(text: str, *, lines: bool) -> Table:
    def record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({k for k, _ in pairs}) < len(pairs):
            raise NoTableError("a key stands twice")
        return dict(pairs)

    try:
        if lines:
            rows = [json.loads(s, object_pairs_hook=record) for s in text.split("\n") if s.strip()]
        else:
            rows = json.loads(text, object_pairs_hook=record)
    except (ValueError, RecursionError) as error:
        raise NoTableError(str(error)) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NoTableError("no records")
    return Table(rows)


def _csv(text: str, needed: Sequence[str]) -> Table:
    for delimiter in DELIMITERS:
        try:
            lines = [
                row
                for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
                if row
            ]
        except csv.Error as error:
            raise NoTableError(str(error)) from None
        if lines and {*needed} <= {name.strip() for name in lines[0]}:
            break
    else:
        raise NoTableError("not all columns")
    names = [name.strip() for name in lines[0]]
    if len(set(names)) < len(names):
        raise NoTableError("a name stands twice")
    ragged = any(len(row) != len(names) for row in lines[1:])
    rows = [dict(zip(names, row, strict=False)) for row in lines[1:]]
    header = any(row == lines[0] for row in lines[1:])
    flaw = (
        "a row has another number of values"
        if ragged
        else "the header stands among the rows"
        if header
        else ""
    )
    return Table(rows, flaw)


def tidy(value: Any) -> str:
    """The text that stands for a value, as any reader of the file would take it."""
    text = unicodedata.normalize("NFC", str(value)).strip(" \t\u00a0\u200b\ufeff\r\n")
    if text.lower() in {"true", "false"}:
        return text.lower()
    whole = _ZERO.fullmatch(text)
    return whole[1].replace("-0", "0") if whole else text


def truth(value: Any) -> str:
    """The same for labels, where true is 1."""
    text = tidy(value)
    return {"true": "1", "false": "0"}.get(text, text)


def flaws(
    table: Table, *, weight: str | None = None, score: str | None = None, member: str | None = None
) -> str:
    """Why a table must be refused, or at least remarked upon; empty when there is no reason."""
    if table.flaw:
        return table.flaw
    rows = table.rows
    ids = [tidy(row.get("example_id")) for row in rows]
    if len(set(ids)) < len(ids):
        return "an id stands twice"
    for name in ("label", "prediction", "g"):
        if any(row.get(name) is None or str(row[name]).strip() == "" for row in rows):
            return f"{name} is missing"
    if weight and not all(_finite(row.get(weight)) >= 0 for row in rows):
        return "a weight is no number of at least 0"
    if score and not all(-1e-6 <= _finite(row.get(score)) <= 1 + 1e-5 for row in rows):
        return "a score is no probability"
    if member and not all(truth(row.get(member)) in {"0", "1"} for row in rows):
        return "a membership is neither 0 nor 1"
    return ""


def _finite(value: Any) -> float:
    """A finite number; NaN for anything else."""
    try:
        number = float(str(value).strip(" \t\u00a0\u200b\ufeff\r\n").replace(",", "."))
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def accuracies(rows: Sequence[Mapping[str, Any]], weight: str | None) -> dict[str | None, tuple[int, float]]:
    """Rows and accuracy of all rows (None) and of every group."""
    sums: dict[str | None, list[float]] = {}
    for row in rows:
        w = _finite(row[weight]) if weight else 1.0
        right = w * (truth(row["label"]) == truth(row["prediction"]))
        for group in (None, tidy(row["g"])):
            own = sums.setdefault(group, [0, 0.0, 0.0])
            own[0] += 1
            own[1] += w
            own[2] += right
    return {g: (int(n), right / w if w else math.nan) for g, (n, w, right) in sums.items()}
