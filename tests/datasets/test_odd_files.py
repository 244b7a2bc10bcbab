"""`dataset: table` reads files by the same doors as audits: odd ones come out right, or are told in words."""

import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.datasets import table
from evenhand.datasets.lib.reading.files import local_path
from evenhand.errors import InputError

FRAME = pd.DataFrame(
    {"text": [f"text {i}" for i in range(12)], "label": [0, 1] * 6, "team": ["red", "blue", "blue"] * 4}
)
CSV = FRAME.to_csv(index=False)
LINES = FRAME.to_json(orient="records", lines=True)


def loaded(path, **more):
    found = table.load(table.Config(path=str(path), text="text", by=("team",), **more))
    (attribute,) = found.attributes
    return [
        (text, found.classes[label], attribute.groups[code])
        for text, label, code in zip(found.inputs, found.labels, attribute.codes, strict=True)
    ]


RIGHT = [(text, str(label), team) for text, label, team in FRAME.itertuples(index=False)]
FILES = {
    "excel.csv": "sep=;\r\n" + CSV.replace(",", ";").replace("\n", "\r\n"),
    "comment.csv": "# of 2026\n" + CSV,
    "names.csv": CSV.replace("label", " label").replace("team", "team\u00a0"),
    "doubled.csv": FRAME.assign(x=1, y=2).rename(columns={"y": "x"}).to_csv(index=False),
    "break.csv": FRAME.assign(note="a\rb").to_csv(index=False),
    "mark.json": "\ufeff" + FRAME.to_json(orient="records"),
    "case.jsonl": LINES.replace('"label"', '"Label": 9, "TEXT": "no", "meta": {"A": 1, "a": 2}, "label"'),
    "columns.json": FRAME.to_json(),
    "split.json": FRAME.to_json(orient="split"),
}


@pytest.mark.parametrize("name", FILES)
def test_odd_files(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8", newline="")
    assert loaded(tmp_path / name) == RIGHT
    assert loaded(tmp_path) == RIGHT
    assert loaded(f"file://{tmp_path / name}") == RIGHT


def test_texts_with_carriage_returns_are_kept(tmp_path):
    texts = [f"one {i}\rtwo" for i in range(12)]
    FRAME.assign(text=texts).to_csv(tmp_path / "p.csv", index=False)
    assert [text for text, _, _ in loaded(tmp_path / "p.csv")] == texts


def test_damaged_and_other_files(tmp_path):
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-7] + b"\0" * 7)
    with pytest.raises(InputError, match="is damaged"):
        loaded(tmp_path / "p.csv.gz")
    (tmp_path / "p.csv").write_bytes(gzip.compress(CSV.encode()))
    with pytest.raises(InputError, match=r"holds gzip data; rename it to p\.csv\.gz"):
        loaded(tmp_path / "p.csv")
    (tmp_path / "p.jsonl").write_text(LINES.replace('"text 4",', '"text 4"'))
    with pytest.raises(InputError, match="in line 5: unexpected character"):
        loaded(tmp_path / "p.jsonl")
    FRAME.assign(x=1, y=2).rename(columns={"y": "team", "x": "z"}).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(InputError, match=r"column 'team' \(by\) occurs 2 times"):
        loaded(tmp_path / "d.csv")


@pytest.mark.parametrize(
    ("path", "words"),
    [("x" * 300, "too long"), ("a\0b", "null byte"), ("s3://bucket/p.csv", "only files of this machine"),
     ("https://huggingface.co/datasets/o/n", "give the id alone"),
     ("hf://datasets/o/n/p.csv", "give the id alone"),
     ("-", "standard input"), (" ", "is empty")],
)  # fmt: skip
def test_paths_that_are_none(path, words):
    with pytest.raises(InputError, match=r"dataset\.path") as caught:
        loaded(path)
    assert words in str(caught.value)
    with pytest.raises(InputError, match=r"dataset\.folder") as caught:
        local_path("dataset.folder", path)
    assert words in str(caught.value)


def test_a_folder_as_spark_writes_it(tmp_path):
    folder = tmp_path / "out"
    (folder / "_temporary").mkdir(parents=True)
    for i in range(2):
        pq.write_table(pa.Table.from_pandas(FRAME.iloc[6 * i : 6 * i + 6]), folder / f"part-{i}.parquet")
    for name in ("_SUCCESS", ".part-0.parquet.crc", "_temporary/x.parquet", ".hidden.parquet"):
        (folder / name).write_text("")
    assert loaded(folder) == RIGHT


def test_columns_that_folders_name(tmp_path):
    for team, rows in FRAME.groupby("team"):
        (tmp_path / f"team={team}").mkdir()
        (tmp_path / f"team={team}" / "p.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows.drop(columns="team").to_dict("records"))
        )
    assert sorted(loaded(tmp_path)) == sorted(RIGHT)
