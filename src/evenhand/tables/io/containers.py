"""Identify the content of files by their first bytes, and unpack compressed ones."""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from evenhand.tables.io.database import NOT_UTF8, scratch
from evenhand.tables.io.sources import TableSource
from evenhand.tables.values import Unreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 20
_CHUNK = 1 << 22
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"

#: First bytes of files that often have a wrong ending, their format, and the next step.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (_GZIP, "gzip data", "rename it to {name}.gz"),
    (_PARQUET, "parquet data", "rename it to {stem}.parquet"),
    (b"PARE", "encrypted parquet data", "write it without encryption"),
    (b"BZh", "bzip2 data", "unpack it first (`bunzip2`)"),
    (b"\xfd7zXZ\x00", "xz data", "unpack it first (`unxz`)"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it first (`unzstd`)"),
    (b"\x04\x22\x4d\x18", "lz4 data", "unpack it first (`unlz4`)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and give the file in it"),
    (b"Rar!", "a rar archive", "unpack it, and give the file in it"),
    (b"ARROW1", "an Arrow (feather) file", "write it as parquet"),
    (b"FEA1", "a feather file", "write it as parquet"),
    (b"ORC", "ORC data", "write it as parquet"),
    (b"Obj\x01", "Avro data", "write it as parquet"),
    (b"\x89HDF", "an HDF5 file", "write its table as parquet or CSV"),
    (b"\x93NUMPY", "a numpy array", "write a table with named columns, as CSV or parquet"),
    (b"SQLite format 3", "a SQLite database", "export its table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "save it in Excel as 'CSV UTF-8'"),
    (b"%PDF", "a PDF document", "give the table itself, as CSV or parquet"),
    (b"\x80\x04\x95", "a Python pickle", "write the table as parquet or CSV"),
    (b"\x80\x05\x95", "a Python pickle", "write the table as parquet or CSV"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS instead of the data",
        "fetch them with `git lfs pull`",
    ),
)
_LINES = re.compile(rb"\A[^\r\n\x00-\x08\x0e-\x1f]*[,;\t|{\[][^\r\n\x00-\x08\x0e-\x1f]*[\r\n]")
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_ENCODINGS = {
    b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip


def head_of(source: TableSource) -> bytes:
    """Read the first bytes of a text file, unpacked, without a byte order mark.

    Raises:
        Unreadable: it is not text, is damaged, or is not encoded in UTF-8.
        OSError: it cannot be opened.
    """
    assert source.path is not None
    with source.path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
        packed = source.ending.endswith(".gz")
        if packed and not raw.startswith(_GZIP):
            kind = identify(source, raw)
            if kind is None and is_text(raw):
                plain = source.path.name[: -len(".gz")]
                raise Unreadable(
                    f"is cut short or is not a gzip file: it holds plain text; rename it to {plain}."
                )
            raise Unreadable(f"is cut short or is not a gzip file{f': it holds {kind}' if kind else '.'}")
        if packed:
            file.seek(0)
            raw = _unpacked(file)
    kind = identify(source, raw)
    if kind:
        raise Unreadable(f"holds {kind}")
    encoding = _wide_encoding(raw)
    if encoding:
        raise Unreadable(NOT_UTF8.format(encoding))
    return raw.removeprefix(MARK)


def plain_text(db: DuckDBPyConnection, source: TableSource, number: int) -> Path:
    """Return the file itself, or a copy that is unpacked and has no byte order mark.

    Unpacking here verifies the checksums of a gzip file; the database does not, and would read damaged data.

    Raises:
        Unreadable: the file is damaged.
    """
    assert source.path is not None
    packed = source.ending.endswith(".gz")
    with source.path.open("rb") as file:
        marked = not packed and file.read(len(MARK)) == MARK
        if not (packed or (marked and "json" in source.ending)):
            return source.path
        copy = scratch(db, number)
        with copy.open("wb") as target:
            if not packed:
                shutil.copyfileobj(file, target, _CHUNK)
                return copy
            try:
                with gzip.open(file) as unpacked:
                    start = unpacked.read(len(MARK))
                    target.write(start if "json" not in source.ending else start.removeprefix(MARK))
                    shutil.copyfileobj(unpacked, target, _CHUNK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise Unreadable(_damage(error)) from None
    return copy


def is_text(head: bytes) -> bool:
    """Return True if the first bytes of a file are lines of text, such as CSV."""
    return bool(head.strip()) and b"\0" not in head and head[:3] != b"PAR" and bool(_LINES.search(head))


def identify(source: TableSource, head: bytes) -> str | None:
    """Identify a file by its first bytes, and advise the next step; None for text and unknown content."""
    assert source.path is not None
    name = source.path.name
    stem = (name[: -len(source.ending)] if source.ending else source.path.stem).removesuffix(".parquet")
    if head.startswith(_GZIP) and (source.ending in {".parquet", ".pq", ""} or source.ending.endswith(".gz")):
        return "gzip data; unpack it first (`gunzip`)."
    for start, what, step in _KINDS:
        if head.startswith(start):
            return f"{what}; {step.format(name=name, stem=stem)}."
    if head.startswith(b"PK\x03\x04"):
        return _identify_zip(source.path)
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it, and give the file in it."
    if head[:200].removeprefix(MARK).lstrip().lower().startswith(_PAGES):
        return "a web page or XML instead of a table; was it downloaded without logging in?"
    return None


def _identify_zip(path: Path) -> str:
    """Identify the content of a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook; save it in Excel as 'CSV UTF-8'."
    if "content.xml" in names:
        return "an OpenDocument table; save it as CSV."
    if names and all(name.endswith(".npy") for name in names):
        return "numpy arrays; write a table with named columns, as CSV or parquet."
    listed = f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
    return f"a zip archive; unpack it, and give the file in it{listed}."


def _unpacked(file: IO[bytes]) -> bytes:
    """Read the first bytes of the content of a gzip file."""
    try:
        with gzip.open(file) as source:
            return source.read(HEAD_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unreadable(_damage(error)) from None


def _damage(error: Exception) -> str:
    """Describe the damage of a gzip file."""
    if isinstance(error, EOFError):
        return "is cut short or is not a gzip file; copy it or make it again."
    return "is damaged: the checksum of its gzip data does not match; copy it or make it again."


def _wide_encoding(head: bytes) -> str | None:
    """Detect an encoding with two or four bytes per character; None for others."""
    for mark, encoding in _ENCODINGS.items():
        if head.startswith(mark):
            return encoding
    line = head[:400]
    if line.count(0) < len(line) // 4:  # a text may have single null bytes
        return None
    zeros = [sum(byte == 0 for byte in line[i::4]) > len(line) // 8 for i in range(4)]
    known = {
        (False, True, True, True): "UTF-32LE", (True, True, True, False): "UTF-32BE",
        (False, True, False, True): "UTF-16LE", (True, False, True, False): "UTF-16BE",
    }  # fmt: skip
    return known.get((zeros[0], zeros[1], zeros[2], zeros[3]))
