"""Files and tables that are written unusually: read with the right value, or refused with its place."""

import gzip

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import evenhand
from evenhand.cli import main
from evenhand.errors import CallError, InputError

FRAME = pd.DataFrame(
    {"example_id": [f"q{i}" for i in range(40)], "label": [0, 1] * 20, "prediction": [0, 1, 1, 1] * 10}
)


def groups(source, by="band"):
    rates = evenhand.audit(source, by=by).rates
    return [r["group"] for r in rates if r["metric"] == "accuracy" and r["attribute"]]


def refusal(source, by="band"):
    with pytest.raises(InputError) as caught:
        evenhand.audit(source, by=by)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pd.period_range("1999", periods=2, freq="Y").repeat(20), ["1999", "2000"]),
        (pd.period_range("1999-12", periods=2, freq="M").repeat(20), ["1999-12", "2000-01"]),
        (pd.Series(pd.period_range("1999", periods=2, freq="Y").repeat(20)).astype("category").values,
         ["1999", "2000"]),
        (pd.cut([5, 25] * 20, [0, 18, 30]), ["(0, 18]", "(18, 30]"]),
        (pd.IntervalIndex.from_breaks([1, 2, 3]).repeat(20), ["(1, 2]", "(2, 3]"]),
        (pd.arrays.SparseArray([7, 9] * 20), ["7", "9"]),
    ],
)  # fmt: skip
def test_groups_are_named_as_pandas_prints_them(values, names):
    frame = FRAME.assign(band=values)
    assert groups(frame) == names
    if not isinstance(values, pd.arrays.SparseArray):
        assert groups(pa.Table.from_pandas(frame)) == names


def test_a_parquet_file_of_periods_is_refused_where_they_are_asked_for(tmp_path):
    frame = FRAME.assign(band=pd.period_range("1999", periods=2, freq="Y").repeat(20), team=["x", "y"] * 20)
    frame.to_parquet(path := tmp_path / "p.parquet")
    assert groups(path, by="team") == ["x", "y"]
    assert "column 'band' (--by) holds values of type pandas.period" in refusal(path)


def test_a_lazy_frame_is_to_be_collected():
    with pytest.raises(CallError, match=r"Got LazyFrame for the source; call \.collect\(\) on it"):
        evenhand.audit(pl.LazyFrame({"label": [1]}), by="band")


def test_one_stream_given_twice_is_refused():
    table = pa.Table.from_pandas(FRAME.assign(band=["a", "b"] * 20))
    reader = table.to_reader()
    with pytest.raises(CallError, match="stream of rows was given twice"):
        evenhand.compare(reader, reader, by="band")
    assert groups(table.to_reader()) == ["a", "b"]


def test_texts_in_memory_that_are_not_utf8_name_their_column():
    texts = pa.array([b"caf\xe9", b"tea"] * 20).view(pa.string())
    table = pa.Table.from_pandas(FRAME).append_column("band", texts)
    said = refusal(table)
    assert "column 'band' holds texts that are not encoded in UTF-8" in said
    assert "iconv" not in said


def csv_rows(line, rows=40):
    return [line.format(i=i, y=i % 2, g="ab"[i % 2]) for i in range(rows)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["example_id,label,prediction,band,note", *csv_rows(r'q{i},{y},1,{g},"say \"hi\", ok"')]),
        "\n".join(["example_id,label,prediction,note,band", *csv_rows(r'q{i},{y},1,"\"hi\"",{g}')]),
        "\n".join(["sep=;\r\nexample_id;label;prediction;band", *csv_rows("q{i};{y};1;{g}")]),
        "\n".join(["# by hand\r\nexample_id,label,prediction,band", *csv_rows("q{i},{y},1,{g}")]),
        "\n".join(['example_id, label, prediction, "band"', *csv_rows("q{i}, {y}, 1, {g}")]),
        "\n".join(['"example_id", "label", "prediction", "band"', *csv_rows('"q{i}", "{y}", "1", "{g}"')]),
    ],
)
def test_unusual_csv_is_read(tmp_path, text):
    (path := tmp_path / "a.csv").write_text(text + "\n", newline="")
    assert groups(path) == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"label": 1, "prediction": 1, "band": "caf\xe9"}', "not encoded in UTF-8"),
        (b'{"label": 1, "prediction": 1, "band": "a"},', "at line 2: it ends with a comma"),
        (b"{'label': 1, 'prediction': 1, 'band': 'a'}", "names and texts must be in double quotes"),
    ],
)
def test_a_line_that_is_no_json_is_told_in_plain_words(tmp_path, line, said):
    (path := tmp_path / "j.jsonl").write_bytes(b'{"label": 0, "prediction": 1, "band": "b"}\n' + line + b"\n")
    text = refusal(path)
    assert said in text
    assert "line 2" in text
    assert not any(words in text for words in ("unexpected", "input length", "invalid UTF-8"))


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv.gz"])
def test_csv_under_another_ending_is_to_be_renamed(tmp_path, name):
    (path := tmp_path / name).write_text("example_id,label,prediction,band\nq1,0,1,a\nq2,1,1,b\n")
    assert "rename it to t.csv" in refusal(path)


@pytest.mark.parametrize("option", ["--csv out.csv.gz", "--json out.json.bz2", "--html out.zip"])
def test_an_output_with_a_compressed_ending_is_refused(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    FRAME.assign(band=["a", "b"] * 20).to_csv("in.csv", index=False)
    assert main(["audit", "in.csv", "--by", "band", *option.split()]) == 2
    assert "evenhand writes plain text" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("pattern", "output", "refused"),
    [("d/*.csv", "d/out.csv", True), ("d/**/*.csv", "d/e/out.csv", True), ("d/*.csv", "d/e/out.csv", False),
     ("d/*.csv", "d/out.json", False)],
)  # fmt: skip
def test_an_output_that_the_inputs_match_is_refused(tmp_path, monkeypatch, capsys, pattern, output, refused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d" / "e").mkdir(parents=True)
    FRAME.assign(band=["a", "b"] * 20).to_csv("d/in.csv", index=False)
    assert main(["audit", pattern, "--by", "band", "--csv", output]) == (2 if refused else 0)
    assert ("matches this name" in capsys.readouterr().err) == refused


def test_a_packed_csv_is_read(tmp_path):
    (path := tmp_path / "t.csv.gz").write_bytes(
        gzip.compress(FRAME.assign(band=["a", "b"] * 20).to_csv(index=False).encode())
    )
    assert groups(path) == ["a", "b"]
