"""What a file holds, whatever its ending says: it is read, or named with the next step."""

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.errors import InputError
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

TEXT = "example_id,label,prediction,team\na,1,1,red\nb,0,1,blue\nc,1,0,red\nd,0,0,blue\n"
NAMES, *LINES = (line.split(",") for line in TEXT.split())
ROWS = [dict(zip(NAMES, line, strict=True)) for line in LINES]
BY = Columns(by=("team",))


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def accuracy(source, columns=BY):
    read = load(source, columns, need_scores=False)
    return float(sum(read.count[read.label == read.arms[0].prediction[0]]) / sum(read.count))


def refusal(source, columns=BY):
    with pytest.raises(InputError) as caught:
        load(source, columns, need_scores=False)
    return " / ".join(caught.value.complaints)


def zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, TEXT)
    return stream.getvalue()


def parquet(table=None):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS) if table is None else table, stream)
    return stream.getvalue()


HELD = {
    "gzip.csv": (gzip.compress(TEXT.encode()), "holds gzip data; rename it to gzip.csv.gz"),
    "twice.csv.gz": (gzip.compress(gzip.compress(TEXT.encode())), "holds gzip data; unpack it first"),
    "gzip.parquet": (gzip.compress(parquet()), "holds gzip data; unpack it first"),
    "bzip2.csv": (bz2.compress(TEXT.encode()), "holds bzip2 data; unpack it first (`bunzip2`)"),
    "xz.jsonl": (lzma.compress(TEXT.encode()), "holds xz data"),
    "zstd.tsv": (b"\x28\xb5\x2f\xfd\x24\x10", "holds zstd data"),
    "archive.csv": (zipped("p.csv"), "holds a zip archive; unpack it, and give the file in it (p.csv)"),
    "archive.csv.gz": (zipped("p.csv"), "is not a gzip file: it holds a zip archive"),
    "book.csv": (zipped("xl/workbook.xml"), "holds an Excel workbook; save it in Excel as 'CSV UTF-8'"),
    "book.xlsx": (zipped("xl/workbook.xml"), "has an unknown format; it holds an Excel workbook"),
    "parquet.csv": (parquet(), "holds parquet data; rename it to parquet.parquet"),
    "parquet.jsonl": (parquet(), "holds parquet data; rename it to parquet.parquet"),
    "page.csv": (b"\n<!DOCTYPE html>\n<html>", "holds a web page"),
    "pointer.csv": (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
    "records.csv": (json.dumps(ROWS).encode(), "holds JSON; rename it"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_file_that_holds_something_else(tmp_path, name):
    content, words = HELD[name]
    assert words in refusal(written(tmp_path, name, content))


@pytest.mark.parametrize(
    ("encoding", "called"),
    [
        ("utf-16", "UTF-16 "), ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32 "), ("utf-32-le", "UTF-32LE"), ("utf-32-be", "UTF-32BE"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["csv", "json"])
def test_letters_of_two_or_four_bytes(tmp_path, encoding, called, ending):
    content = (TEXT if ending == "csv" else json.dumps(ROWS)).encode(encoding)
    assert f"iconv -f {called}" in refusal(written(tmp_path, f"p.{ending}", content))


def test_a_damaged_gzip_file(tmp_path):
    rows = TEXT + "".join(f"x{i * 7919 % 100_003},1,0,red\n" for i in range(120_000))
    whole = gzip.compress(rows.encode())
    zeros = bytearray(whole)
    zeros[len(zeros) // 2 : len(zeros) // 2 + 40] = bytes(40)
    start = bytearray(whole)
    start[40:60] = b"\xff" * 20
    checksum = bytearray(whole)
    checksum[-6] ^= 1  # all data are there, and are not what the sum says
    for name, content in {"z": bytes(zeros), "s": bytes(start), "c": bytes(checksum)}.items():
        assert "is damaged" in refusal(written(tmp_path, f"{name}.csv.gz", content))
    assert "is cut short" in refusal(written(tmp_path, "cut.csv.gz", whole[: len(whole) // 2]))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS * 8000).encode()
    lost = bytearray(gzip.compress(lines))
    lost[-6] ^= 1
    assert "is damaged" in refusal(written(tmp_path, "p.jsonl.gz", bytes(lost)))


def test_gzip_files_of_several_parts_and_with_zeros_at_the_end_are_whole(tmp_path):
    head, tail = TEXT.encode()[:50], TEXT.encode()[50:]
    parts = gzip.compress(head) + gzip.compress(tail)
    assert accuracy(written(tmp_path, "parts.csv.gz", parts)) == 0.5
    assert accuracy(written(tmp_path, "padded.csv.gz", parts + bytes(512))) == 0.5


@pytest.mark.parametrize("name", ["p.json", "p.jsonl", "p.json.gz", "p.ndjson"])
def test_a_byte_order_mark_before_json(tmp_path, name):
    lines = "jsonl" in name or "ndjson" in name
    text = "\ufeff" + ("\r\n".join(map(json.dumps, ROWS)) if lines else json.dumps(ROWS))
    content = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    assert accuracy(written(tmp_path, name, content)) == 0.5


def test_parquet_texts_that_are_not_utf8_are_told_by_their_column(tmp_path):
    odd = pa.array([b"caf\xe9"] * 4).view(pa.string())
    table = pa.Table.from_pylist(ROWS).append_column("place", odd).append_column("other", odd)
    path = written(tmp_path, "p.parquet", parquet(table))
    assert accuracy(path) == 0.5
    said = refusal(path, Columns(by=("place",)))
    assert "'place'" in said
    assert "not encoded in UTF-8" in said
    assert "Error" not in said


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "lz4", "none"])
def test_damaged_parquet_files_are_told_in_words(tmp_path, codec):
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS * 300), stream, compression=codec)
    whole = stream.getvalue()
    for place in range(4, len(whole) - 8, max(1, len(whole) // 40)):
        content = bytearray(whole)
        content[place : place + 12] = b"\xa5" * len(content[place : place + 12])
        try:
            load(written(tmp_path, "p.parquet", bytes(content)), BY, need_scores=False)
        except InputError as error:
            said = " ".join(error.complaints)
            for word in ("Error", "Invalid", "Snappy", "thrift", "TProtocol", "duckdb", "read_parquet"):
                assert word not in said, said


def test_the_texts_of_times_do_not_depend_on_the_machine(tmp_path):
    moments = pa.array([0, 0, 3_600_000_000, 0], pa.timestamp("us", tz="UTC"))
    path = written(tmp_path, "p.parquet", parquet(pa.Table.from_pylist(ROWS).append_column("at", moments)))
    code = """
import sys
from evenhand.tables.io.database import session
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

with session() as db:
    print(db.execute("SELECT CAST(make_timestamptz(0) AS VARCHAR)").fetchall())
print(load(sys.argv[1], Columns(by=("at",)), need_scores=False).attributes[0].groups)
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)], env={**os.environ, "TZ": zone}, check=True,
            capture_output=True, text=True,
        ).stdout
        for zone in ("UTC", "Asia/Tokyo", "America/Lima")
    }  # fmt: skip
    assert len(said) == 1
    assert said.pop().count("1970-01-01 00:00:00") == 2
