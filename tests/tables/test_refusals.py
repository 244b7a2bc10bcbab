"""Whatever is wrong with a table or a call: a sentence that says what, where and what is allowed."""

import contextlib
import gzip
import json
import re
import struct

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenhand.cli import main
from evenhand.errors import CallError, InputError, TableError
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

GOOD = "example_id,label,prediction,race\na,1,1,x\nb,0,1,y\nc,1,0,x\n"
ROWS = {"example_id": ["a", "b", "c"], "label": [1, 0, 1], "prediction": [1, 1, 0], "race": ["x", "y", "x"]}
BY = Columns(by=("race",))


def refusal(source, columns=BY, *, need_scores=True):
    """The complaints about a source, each a sentence."""
    with pytest.raises(InputError) as caught:
        load(source, columns, need_scores=need_scores)
    for complaint in caught.value.complaints:
        assert complaint.endswith("."), complaint
        assert not re.search(r"SELECT|LINE 1|\n|\b[ct]\d\b|Traceback|duckdb", complaint), complaint
    assert caught.value.__cause__ is None
    return caught.value


def parquet_bytes():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({k: v * 1000 for k, v in ROWS.items()}), sink)
    return sink.getvalue().to_pybytes()


def changed_page():
    """A parquet file whose footer is whole and whose data are not."""
    data = bytearray(parquet_bytes())
    length = struct.unpack("<I", data[-8:-4])[0]
    data[4 : len(data) - 8 - length] = bytes(len(data) - 12 - length)
    return bytes(data)


LINES = "".join(json.dumps(dict(zip(ROWS, v, strict=True))) + "\n" for v in zip(*ROWS.values(), strict=True))
FILES = {
    "empty.csv": (b"", "is empty"),
    "empty.parquet": (b"", "is empty"),
    "empty.csv.gz": (gzip.compress(b""), "has no header line"),
    "header.csv": (GOOD.split("\n", maxsplit=1)[0].encode() + b"\n", "has no rows"),
    "blank first.csv": (b"\n" + GOOD.encode(), "begins with an empty line"),
    "cut.parquet": (parquet_bytes()[:-100], "is not a parquet file, or is cut short"),
    "tiny.parquet": (b"PAR1", "is not a parquet file, or is cut short"),
    "text.parquet": (GOOD.encode(), "is not a parquet file, or is cut short"),
    "damaged.parquet": (changed_page(), "cannot be read as a parquet"),
    "cut.csv.gz": (gzip.compress(GOOD.encode() * 5000)[:-40], "is cut short or is not a gzip file"),
    "plain.csv.gz": (GOOD.encode(), "is cut short or is not a gzip file"),
    "cut.jsonl": (LINES.encode()[:-9], "is not valid JSON, at byte"),
    "cut.jsonl.gz": (gzip.compress(LINES.encode() * 5000)[:-40], "is cut short or is not a gzip file"),
    "text.jsonl": (b"hello\n", "is not valid JSON"),
    "numbers.json": (b"[1, 2, 3]", "is not a list of records"),
    "by name.json": (
        json.dumps({k: dict(zip("abc", v, strict=True)) for k, v in ROWS.items()}).encode(),
        "columns or its rows; write one record a line",
    ),
    "twice.jsonl": (LINES.replace('"label": 0', '"label": 0, "label": 1').encode(), "names a column twice"),
    "records.jsonl": (re.sub('"([xy])"', r'{"is": "\1"}', LINES).encode(), "column 'race' is nested"),
    "nested.jsonl": (LINES.replace('"x"', '{"is": "x"}').encode(), r"'race' \(--by\) is nested .first: "),
    "short row.csv": (GOOD.encode() + b"d,1\n", "line 5 has 2 values, but the header names 4"),
    "long row.csv": (GOOD.encode() + b"d,1,1,x,9\n", "line 5 has 5 values, but the header names 4"),
    "quote.csv": (GOOD.encode() + b'd,1,1,"x\n', "opens a quote that is never closed"),
    "latin.csv": (GOOD.replace("y", "é").encode("latin-1"), "is not encoded in UTF-8"),
    "latin header.csv": (GOOD.replace("race", "racé").encode("latin-1"), "is not encoded in UTF-8"),
    "utf16.csv": (GOOD.encode("utf-16"), "is not encoded in UTF-8.*UTF-16"),
    "twice.csv": (GOOD.replace("example_id", "race").encode(), "more than one column called 'race'"),
    "table.xlsx": (b"PK", "has an unknown format; readable are .csv"),
    "table": (GOOD.encode(), "has an unknown format"),
    "misspelt.csv": (
        GOOD.replace("race", "rase").encode(),
        r"column 'race' \(--by\) not found; did you mean 'rase'",
    ),
    "no label.csv": (GOOD.replace("label", "lable").encode(), r"'label' \(--label\).*did you mean 'lable'"),
    "no answers.csv": (
        b"label,race\n1,x\n",
        r"'prediction' \(--prediction\) not found \(and no scores\)",
    ),
    "no group.csv": (
        GOOD.replace(",y", ",").encode(),
        r"no value in 1 row \(first: example 'b'\).*'unknown'",
    ),
    "no class.csv": (GOOD.replace("b,0", "b,").encode(), r"'label' \(--label\) has no value in 1 row"),
    "no answer.csv": (
        GOOD.replace("0,x", ",x").encode(),
        r"'prediction' \(--prediction\) has no value in 1 row",
    ),
    "no id.csv": (GOOD.replace("b,0", ",0").encode(), r"'example_id' \(--id\) has no value in 1 row"),
    "ids.csv": (GOOD.replace("b,0", "a,0").encode(), r"1 values of 'example_id'.*\(first: 'a'\)"),
    "words.csv": (
        GOOD.replace(",1", ",yes").replace(",0", ",no").encode(),
        "classes are 'no', 'yes'.*--positive VALUE",
    ),
    "one word.csv": (
        GOOD.replace(",1", ",yes").replace(",0", ",yes").encode(),
        "the only class is 'yes'.*--positive VALUE",
    ),
    "unknown.csv": (
        GOOD.replace("0,1,y", "0,7,y").encode(),
        "unknown labels: 1 predictions are '7', but labels are '0', '1'",
    ),
    "split.csv": (
        GOOD.replace("race", "race,split").replace("x\n", "x,train\n").replace("y\n", "y,dev\n").encode(),
        "no row 'test'.*Known: dev, train",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file(tmp_path, name):
    content, words = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    error = refusal(path)
    with pytest.raises(InputError, match=words):
        raise error
    if "--positive VALUE" not in words:
        assert isinstance(error, TableError)
        assert name in str(error)


def rows(**changes):
    """The good table with other columns."""
    return ROWS | changes


LONG = {"example_id": list(range(300)), "label": [0, 1] * 150, "prediction": [1] * 300}
TABLES = {
    "unequal columns": (rows(label=[1]), BY, "differ in length .*'label': 1"),
    "no columns": ([{}], BY, "has no columns"),
    "a scalar": (rows(label=3), BY, "'label'.*not a list of values"),
    "three dimensions": (rows(score=np.zeros((3, 2, 2))), BY, "'score'.*3 dimensions"),
    "objects": (rows(race=[object()] * 3), BY, r"column 'race' \(--by\) cannot be read: it holds values of"),
    "mixed types": (rows(race=["x", 1, 2.5]), BY, r"'race' \(--by\) cannot be read: it holds texts and num"),
    "nan groups": (rows(race=[float("nan")] * 3), BY, "'race'.*no value in 3 rows"),
    "nan labels": (rows(label=[float("nan")] * 3), BY, "'label'.*no value in 3 rows"),
    "nan text": (rows(race=["nan", "x", "NaN"]), BY, "'race'.*no value in 2 rows"),
    "lists as groups": (rows(race=[["x"], ["y"], []]), BY, "column 'race' is nested"),
    "records as scores": (rows(score=[{"a": 0.5}] * 3), BY, "column 'score' is nested"),
    "pandas twice": (
        pd.DataFrame([[1, 1]], columns=["label", "label"]),
        BY,
        "more than one column called 'label'",
    ),
    "too many groups": (
        LONG | {"race": list(range(300))},
        BY,
        "'race'.*more than 200 different values.*bin it",
    ),
    "measured labels": (
        {"label": np.linspace(0, 1, 2000), "prediction": [1] * 2000},
        Columns(),
        "more than 1000 different values",
    ),
    "logits": (
        rows(score=[-1.5, 0.5, 3.0]),
        BY,
        r"in 2 rows \(first: example 'a', '-1.5'\).*outside \[0, 1\].*logits",
    ),
    "nan scores": (
        rows(score=[0.5, float("nan"), 0.5]),
        BY,
        r"in 1 row \(first: example 'b', 'nan'\).*missing or not a number",
    ),
    "text scores": (
        rows(score=["0.5", "high", "0.1"]),
        BY,
        r"in 1 row \(first: example 'b', 'high'\).*missing or not a number",
    ),
    "shares": (
        rows(score=[[0.5, 0.4], [0.5, 0.5], [1, 0]]),
        BY,
        r"in 1 row \(first: example 'a', '\[0.5, 0.4\]'\).*do not sum to 1",
    ),
    "ragged scores": (rows(score=[[0.5, 0.5], [1.0], [1, 0]]), BY, "1 to 2 scores; give one score per class"),
    "three scores for two classes": (
        rows(label=["x", "y", "x"], prediction=["x"] * 3, score=[[0.5, 0.25, 0.25]] * 3),
        Columns(positive="x"),
        "list has 3 scores, but there are 2 classes",
    ),
    "one score for three classes": (
        rows(label=[0, 1, 2], score=[0.5] * 3),
        BY,
        "one score per row is the probability",
    ),
    "score names": (
        rows(p_a=[0.5] * 3, p_b=[0.5] * 3),
        Columns(score="p_*"),
        "star matched 'a', 'b'.*Known: 0, 1",
    ),
    "no such score": (
        rows(),
        Columns(score="p_*"),
        r"column 'p_\*' \(--score\) not found; .*Known: example_id",
    ),
    "weights below 0": (
        rows(w=[1, -1, 1]),
        Columns(weight="w"),
        r"at least 0 in 1 row \(first: example 'b'\): '-1'",
    ),
    "endless weights": (rows(w=[1, float("inf"), 1]), Columns(weight="w"), "in 1 row .*: 'inf'"),
    "weights as text": (
        rows(w=["1", "2", "x"]),
        Columns(weight="w"),
        r"in 1 row \(first: example 'c'\): 'x'",
    ),
    "weights all 0": (rows(w=[0, 0, 0]), Columns(weight="w"), "is 0 in every row"),
    "no cluster": (
        rows(u=["a", None, ""]),
        Columns(cluster="u"),
        r"'u' \(--cluster\) has no value in 2 rows",
    ),
    "flags": (
        rows(m_a=[0, 1, 2]),
        Columns(memberships=("m_*",)),
        r"'m_a' .*neither 0 nor 1 in 1 row.*but '2'",
    ),
    "flags without value": (rows(m_a=[0, 1, None]), Columns(memberships=("m_*",)), "but nothing"),
    "no flags": (rows(), Columns(memberships=("rac_*",)), r"--memberships 'rac_\*' matches no column"),
    "no such filter": (
        rows(),
        Columns(where=(("rac", "x"),)),
        r"'rac' \(--where\) not found; did you mean 'race'",
    ),
    "filter matches nothing": (rows(), Columns(where=(("race", "z"),)), "no row 'z'.*Known: x, y"),
    "filters match nothing": (
        rows(sex=["F", "M", "F"]),
        Columns(where=(("race", "y"), ("sex", "F"))),
        "no rows are left after --where race=y --where sex=F",
    ),
    "no split": (rows(), Columns(split="train"), r"'split' \(--split\) not found"),
    "no such split": (
        rows(split=["train"] * 3),
        Columns(split="trian"),
        "no row 'trian'.*did you mean 'train'",
    ),
    "no ids for pairs": (
        [rows(), {k: v for k, v in ROWS.items() if k != "example_id"}],
        BY,
        "'example_id'.*it pairs the rows",
    ),
    "misspelt id": (rows(), Columns(id="exampel_id"), "did you mean 'example_id'"),
    "other examples": (
        [rows(), rows(example_id=["a", "b", "z"])],
        BY,
        "'table 1' lacks 1.*'table 2' lacks 1.*--inner keeps the 2",
    ),
    "nothing in common": (
        [rows(), rows(example_id=["q", "r", "s"])],
        Columns(inner=True),
        "no example is in all of them",
    ),
    "other labels": (
        [rows(), rows(label=[1, 1, 1])],
        BY,
        r"differ in label \('label'\) for 1 example \(first: 'b': '0' in table 1, '1' in table 2\)",
    ),
    "other groups": (
        [rows(), rows(race=["y", "y", "y"])],
        BY,
        r"differ in group \('race'\) for 2 examples \(first: 'a': 'x' in table 1, 'y' in table 2\)",
    ),
    "other weights": (
        [rows(w=[1, 1, 1]), rows(w=[1, 1, 2])],
        Columns(weight="w"),
        r"weight \('w'\) for 1 .*'c'",
    ),
    "other clusters": (
        [rows(u=["1", "1", "1"]), rows(u=["1", "1", "2"])],
        Columns(cluster="u"),
        "cluster .*'c'",
    ),
    "other flags": (
        [rows(m_a=[0, 0, 1]), rows(m_a=[0, 0, 0])],
        Columns(memberships=("m_*",)),
        r"group \('m_a'\)",
    ),
    "other memberships": (
        [rows(m_a=[0, 0, 1]), rows(m_b=[0, 0, 0])],
        Columns(memberships=("m_*",)),
        "m_a, m_b",
    ),
    "twice in an arm": ([rows(), rows(example_id=["a", "a", "b"])], BY, "1 values of 'example_id'"),
    "arms without --arm": (
        rows(example_id=["a"] * 3, arm=["x", "y", "z"]),
        BY,
        "distinguish its rows with --arm arm",
    ),
    "runs without --run": (
        rows(example_id=["a"] * 3, arm=["x", "x", "y"], run=["1", "2", "1"]),
        Columns(arm="arm"),
        "distinguish its rows with --run run",
    ),
    "no arm": (rows(arm=["x", "y", None]), Columns(arm="arm"), r"'arm' \(--arm\) has no value in 1 row"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table(name):
    source, columns, words = TABLES[name]
    error = refusal(source, columns)
    assert isinstance(error, TableError)
    with pytest.raises(TableError, match=words):
        raise error


CALLS = {
    "a number": (3, BY, "Got int for the source; give a path or glob"),
    "nothing": (None, BY, "Got NoneType"),
    "bytes": (b"x.csv", BY, "Got bytes"),
    "an empty list": ([], BY, "No table was given"),
    "an empty dict": ({}, BY, "dict is empty"),
    "a list of numbers": ([1, 2], BY, "items of type int"),
    "tables and columns": ({"a": ROWS, "b": [1, 2]}, BY, "mixes tables and columns"),
    "a dict with a number as arm": ({1: ROWS}, BY, "has the key 1"),
    "too few names": ([ROWS, ROWS], Columns(names=("a",)), r"got 1 \(a\) for 2 tables"),
    "an empty name": ([ROWS, ROWS], Columns(names=("a", "")), "a name is empty"),
    "names twice": ({"a": ROWS}, Columns(names=("b",)), "names the arms already"),
    "names and arms": ([ROWS], Columns(names=("b",), arm="race"), r"'race' \(--arm\) names the arms already"),
    "no star": (ROWS, Columns(memberships=("m",)), "exactly one star"),
    "two stars": (ROWS, Columns(memberships=("m_*_*",)), "exactly one star"),
    "two stars in scores": (ROWS, Columns(score="p_*_*"), "one star"),
    "one column crossed": (ROWS, Columns(intersect=(("race",),)), "at least two different columns"),
    "crossed with itself": (ROWS, Columns(intersect=(("race", "race"),)), "at least two different columns"),
    "two attributes of one name": (
        ROWS,
        Columns(by=("race",), memberships=("ra*ce",)),
        "Two attributes are called 'race'",
    ),
    "too many crossings": (
        LONG | {"p": [i % 100 for i in range(300)], "q": [i % 11 for i in range(300)]},
        Columns(intersect=(("p", "q"),)),
        "has 1,100 groups; at most 1,000",
    ),
    "no such positive": (ROWS, Columns(positive="yes"), "'yes': is not one of the classes; Known: 0, 1"),
    "positive of three": (
        ROWS | {"label": [0, 1, 2]},
        Columns(positive="1"),
        "for two classes, but there are 3",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call(name):
    source, columns, words = CALLS[name]
    error = refusal(source, columns)
    assert isinstance(error, CallError)
    with pytest.raises(CallError, match=words):
        raise error


PATHS = {
    "no/such/folder/x.csv": "no such file; its folder",
    "god.csv": "no such file; did you mean 'good.csv'",
    "*.parquet": "no file matches this pattern",
    "folder": "is a folder; give its files",
    "": "is not a path",
    "a\0b": "is not a path",
    "x" * 5000 + ".csv": "no such file: this name is too long",
    "s3://bucket/x.parquet": "no such file: only files of this machine .*download it first",
    "https:/e.org/*.csv": r"https://e.org/\*.csv: .*download it first",
    "hf://datasets/o/n/x.parquet": r"this is an address \(hf\)",
    "file://elsewhere/x.csv": r"this is an address \(file\)",
    "-": "standard input is not read; write it to a file",
    "/dev/null": "is not a regular file",
}


@pytest.mark.parametrize("path", PATHS)
def test_a_bad_path(tmp_path, monkeypatch, path):
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=PATHS[path].replace("'", ".")):
        raise refusal(path)


def test_everything_wrong_with_all_files_is_said_at_once(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD.replace("race", "rase").replace("label", "lable"))
    (tmp_path / "b.csv").write_text(GOOD.replace(",y", ",").replace("b,0", "b,"))
    (tmp_path / "c.parquet").write_bytes(b"no")
    error = refusal([tmp_path / name for name in ("a.csv", "b.csv", "c.parquet", "d.csv")])
    titles = [complaint.split(": ")[0].rpartition("/")[2] for complaint in error.complaints]
    assert sorted(titles) == ["a.csv", "a.csv", "b.csv", "b.csv", "c.parquet", "d.csv"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.floats(0, 1), max_size=3),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)
NAMES = st.sampled_from(
    ["example_id", "label", "prediction", "score", "score_0", "score_1", "race", "m_a", "w", "split"]
)
COLUMN = st.one_of(
    st.lists(VALUES, min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
    st.lists(
        st.sampled_from(["0", "1", "true", "nan", "x", "", "1.0", "a\0b", "'", '"']), min_size=3, max_size=3
    ),
    st.lists(st.floats(), min_size=3, max_size=3),
    st.just(["a", "b", "c"]),
)
TABLE = st.dictionaries(NAMES, COLUMN, max_size=8)
TEXT = st.one_of(NAMES, st.text(max_size=4), st.sampled_from(["m_*", "score_*", "*", "1", "test", "a\0b"]))
CALL = st.builds(
    Columns,
    by=st.lists(TEXT, max_size=2).map(tuple),
    memberships=st.lists(TEXT, max_size=1).map(tuple),
    intersect=st.lists(st.lists(TEXT, max_size=2).map(tuple), max_size=1).map(tuple),
    score=st.one_of(st.none(), TEXT),
    positive=st.one_of(st.none(), TEXT),
    weight=st.one_of(st.none(), NAMES),
    cluster=st.one_of(st.none(), NAMES),
    arm=st.one_of(st.none(), st.none(), NAMES),
    run=st.one_of(st.none(), st.none(), NAMES),
    where=st.lists(st.tuples(NAMES, TEXT), max_size=1).map(tuple),
    split=st.one_of(st.none(), st.none(), TEXT),
    inner=st.booleans(),
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def agreed(read):
    """What is true of every result."""
    n = len(read.label)
    assert n > 0
    for arm in read.arms:
        assert arm.prediction.shape == (len(arm.runs), n)
        assert arm.prediction.min() >= 0
        assert arm.prediction.max() < len(read.classes)
        if arm.score is not None:
            assert arm.score.shape == (len(arm.runs), n, len(read.classes))
            np.testing.assert_allclose(arm.score.sum(axis=2), 1)
    for attribute in read.attributes:
        if attribute.codes is not None:
            assert attribute.codes.shape == (n,)
            assert attribute.codes.max() < len(attribute.groups)
        else:
            assert attribute.flags.shape == (len(attribute.groups), n)


@SLOW
@given(tables=st.lists(TABLE, min_size=1, max_size=2), columns=CALL, need_scores=st.booleans())
def test_any_table_is_read_or_refused(tables, columns, need_scores):
    with contextlib.suppress(InputError):
        agreed(load(tables, columns, need_scores=need_scores))


@SLOW
@given(columns=CALL, need_scores=st.booleans(), table=TABLE)
def test_any_call_on_a_good_table_is_answered_or_refused(columns, need_scores, table):
    full = (
        ROWS | {"score": [0.5, 0.25, 1.0], "m_a": [0, 1, 0], "w": [1, 2, 3]} | dict(list(table.items())[:1])
    )
    with contextlib.suppress(InputError):
        agreed(load(full, columns, need_scores=need_scores))


@SLOW
@given(
    content=st.one_of(
        st.binary(max_size=80), st.text(max_size=60).map(lambda t: (GOOD + t).encode("utf-8", "replace"))
    ),
    ending=st.sampled_from(["csv", "tsv", "csv.gz", "jsonl", "json", "parquet"]),
)
def test_any_file_is_read_or_refused(tmp_path, content, ending):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        agreed(load(path, BY, need_scores=True))


def test_a_folder_without_tables_is_named(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "x.csv"), "--by", "g"]) == 2
    assert f"its folder '{tmp_path}' has no tables (.csv, " in capsys.readouterr().err
