"""Small tables, checked by hand, in every format and every kind of call."""

import gzip
import json
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.errors import TableError
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

ROWS = {
    "example_id": ["e5", "e1", "e2", "e3", "e4", "e6"],
    "label": [1, 0, 1, 1, 0, 0],
    "prediction": [1, 0, 0, 1, 1, 0],
    "score": [0.75, 0.25, 0.375, 0.875, 0.5, 0.125],
    "race": ["NA", "01", "NA", "b,c", "01", "NA"],
    "sex": ["F", "M", "M", "F", "F", "M"],
}
BY = Columns(by=("race",))


def same(first, second, *, inputs=False):
    """Whether two results are equal, whatever files they came from."""
    assert first.classes == second.classes
    assert first.positive == second.positive
    assert first.weighted == second.weighted
    for name in ("label", "count", "weight", "weight_squared"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert (first.cluster is None) == (second.cluster is None)
    if first.cluster is not None:
        np.testing.assert_array_equal(first.cluster, second.cluster)
    assert len(first.arms) == len(second.arms)
    for one, two in zip(first.arms, second.arms, strict=True):
        np.testing.assert_array_equal(one.prediction, two.prediction)
        assert (one.score is None) == (two.score is None)
        if one.score is not None:
            np.testing.assert_array_equal(one.score, two.score)
    assert len(first.attributes) == len(second.attributes)
    for one, two in zip(first.attributes, second.attributes, strict=True):
        assert (one.name, one.kind, one.groups) == (two.name, two.kind, two.groups)
        for field in ("codes", "flags"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    if inputs:
        assert first.inputs == second.inputs
    return True


def write(path, rows):
    """Write a dict of columns in the format that the path's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    frame = pd.DataFrame(rows)
    records = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    opened = gzip.open if name.endswith(".gz") else open
    if ".parquet" in name or ".pq" in name:
        pq.write_table(pa.table(rows), path)
    elif ".csv" in name or ".tsv" in name:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
    elif name.endswith(".json"):
        path.write_text(json.dumps(records))
    else:
        with opened(path, "wt") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    return path


ENDINGS = ["csv", "csv.gz", "tsv", "tsv.gz", "parquet", "pq", "jsonl", "jsonl.gz", "ndjson", "json"]


@pytest.mark.parametrize("need_scores", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same(tmp_path, ending, need_scores):
    read = load(write(tmp_path / f"base.{ending}", ROWS), BY, need_scores=need_scores)
    same(read, load(ROWS, BY, need_scores=need_scores))
    assert read.arms[0].name == "base"
    assert read.inputs[0].name == "base"
    assert read.inputs[0].rows == 6
    assert len(read.inputs[0].sha256) == 64


class Stream:
    """Any table of a library that we have never heard of."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchange:
    """A table that speaks the DataFrame interchange only."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.table.__dataframe__(nan_as_null, allow_copy)


KINDS = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with categories": lambda: pd.DataFrame(ROWS).astype({"race": "category", "sex": "category"}),
    "pandas with booleans": lambda: pd.DataFrame(ROWS).astype({"label": bool, "prediction": bool}),
    "pandas with floats": lambda: pd.DataFrame(ROWS).astype({"label": float, "prediction": float}),
    "pandas with objects": lambda: pd.DataFrame(ROWS).astype(object),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars with categories": lambda: pl.DataFrame(ROWS).with_columns(pl.col("race").cast(pl.Categorical)),
    "pyarrow": lambda: pa.table(ROWS),
    "pyarrow with dictionaries": lambda: pa.table(
        ROWS | {"race": pa.array(ROWS["race"]).dictionary_encode()}
    ),
    "stream": lambda: Stream(pa.table(ROWS)),
    "interchange": lambda: Interchange(pa.table(ROWS)),
    "dict of lists": lambda: ROWS,
    "dict of arrays": lambda: {name: np.array(values) for name, values in ROWS.items()},
    "dict of object arrays": lambda: {name: np.array(values, dtype=object) for name, values in ROWS.items()},
    "dict of pandas series": lambda: {name: pd.Series(values) for name, values in ROWS.items()},
    "dict of polars series": lambda: {name: pl.Series(values) for name, values in ROWS.items()},
    "dict of arrow arrays": lambda: {name: pa.array(values) for name, values in ROWS.items()},
    "dict of chunked arrays": lambda: {name: pa.chunked_array([values]) for name, values in ROWS.items()},
    "labels as text": lambda: ROWS | {"label": [str(bool(v)) for v in ROWS["label"]]},
    "scores as lists": lambda: ROWS | {"score": [[1 - s, s] for s in ROWS["score"]]},
    "scores as a matrix": lambda: ROWS | {"score": np.array([[1 - s, s] for s in ROWS["score"]])},
    "scores in columns": lambda: (
        {k: v for k, v in ROWS.items() if k != "score"}
        | {"score_1": ROWS["score"], "score_0": [1 - s for s in ROWS["score"]]}
    ),
}


@pytest.mark.parametrize("need_scores", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_table_in_memory_gives_the_same(kind, need_scores):
    same(load(KINDS[kind](), BY, need_scores=need_scores), load(ROWS, BY, need_scores=need_scores))


def test_rows_are_in_the_order_of_their_ids():
    read = load(ROWS, BY, need_scores=True)
    assert read.classes == ("0", "1")
    assert read.positive == 1
    assert read.label.tolist() == [0, 1, 1, 0, 1, 0]
    assert read.arms[0].prediction.tolist() == [[0, 0, 1, 1, 1, 0]]
    np.testing.assert_array_equal(read.arms[0].score[0, :, 1], [0.25, 0.375, 0.875, 0.5, 0.75, 0.125])
    np.testing.assert_array_equal(read.arms[0].score.sum(axis=2), np.ones((1, 6)))
    assert read.attributes[0].groups == ("01", "NA", "b,c")
    assert read.attributes[0].codes.tolist() == [0, 1, 2, 0, 1, 1]
    assert read.count.tolist() == [1] * 6


def test_equal_rows_are_counted():
    read = load(
        ROWS | {"weight": [1, 2, 3, 4, 5, 6]}, Columns(by=("sex",), weight="weight"), need_scores=False
    )
    cells = {
        (int(y), int(p), int(g)): (n, w, w2)
        for y, p, g, n, w, w2 in zip(
            read.label, read.arms[0].prediction[0], read.attributes[0].codes,
            read.count, read.weight, read.weight_squared, strict=True,
        )
    }  # fmt: skip
    # (label, prediction, sex): rows, sum of weights, sum of squares; F = 0, M = 1
    assert cells == {
        (1, 1, 0): (2, 5, 17),
        (0, 0, 1): (2, 8, 40),
        (1, 0, 1): (1, 3, 9),
        (0, 1, 0): (1, 5, 25),
    }
    assert read.weighted


def test_without_weights_the_weight_is_the_count():
    read = load(ROWS, BY, need_scores=False)
    np.testing.assert_array_equal(read.weight, read.count)
    np.testing.assert_array_equal(read.weight_squared, read.count)
    assert not read.weighted


def test_cells_are_in_order_of_their_codes():
    n = 5000
    table = {"example_id": np.arange(n), "label": np.arange(n) % 2, "prediction": np.arange(n) % 3 % 2}
    table |= {"race": np.arange(n) % 101, "sex": np.arange(n) % 97}
    read = load(table, Columns(by=("race", "sex")), need_scores=False)
    codes = [attribute.codes for attribute in read.attributes]
    cells = list(zip(read.label, read.arms[0].prediction[0], *codes, strict=True))
    assert len(cells) > 3000
    assert cells == sorted(cells)


def test_ids_are_in_order_of_their_text_in_every_format(tmp_path):
    rows = ROWS | {"example_id": [1, 10, 2, 9, 100, 20]}  # as text: 1, 10, 100, 2, 20, 9
    for ending in ("csv", "parquet", "jsonl"):
        read = load(write(tmp_path / f"x.{ending}", rows), BY, need_scores=True)
        assert read.arms[0].score[0, :, 1].tolist() == [0.75, 0.25, 0.5, 0.375, 0.125, 0.875]


def test_compression_keeps_every_sum():
    rng = np.random.default_rng(3)
    n = 4000
    table = {
        "example_id": np.arange(n), "label": rng.integers(0, 2, n), "prediction": rng.integers(0, 2, n),
        "race": rng.integers(0, 5, n), "m_a": rng.integers(0, 2, n), "m_b": rng.integers(0, 2, n),
        "w": rng.random(n), "score": rng.random(n),
    }  # fmt: skip
    other = table | {"prediction": rng.integers(0, 2, n)}
    columns = Columns(by=("race",), memberships=("m_*",), weight="w")
    cells = load({"a": table, "b": other}, columns, need_scores=False)
    rows = load({"a": table, "b": other}, columns, need_scores=True)
    assert len(cells.label) < len(rows.label) == n
    for group in range(5):
        for flag in range(2):
            for arm in range(2):

                def sums(read, group=group, flag=flag, arm=arm):
                    keep = read.attributes[0].in_group(group) & read.attributes[1].in_group(flag)
                    keep &= read.arms[arm].prediction[0] == read.label
                    return [x[keep].sum() for x in (read.count, read.weight, read.weight_squared)]

                np.testing.assert_allclose(sums(cells), sums(rows), rtol=1e-12)


def test_threads_change_nothing(tmp_path):
    code = """
    import sys, hashlib, numpy as np, evenhand.tables.predictions.read as read
    from evenhand.tables.schema import Columns
    import contextlib
    old = read.session
    @contextlib.contextmanager
    def session():
        with old() as db:
            db.execute(f"SET threads = {sys.argv[1]}")
            yield db
    read.session = session
    columns = Columns(by=("race",), weight="w", cluster=sys.argv[4] or None)
    r = read.load([sys.argv[2], sys.argv[3]], columns, need_scores=False)
    parts = [r.label, r.count, r.weight, r.weight_squared, r.attributes[0].codes]
    parts += [a.prediction for a in r.arms] + ([r.cluster] if r.cluster is not None else [])
    print(hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest())
    """
    rng = np.random.default_rng(5)
    n = 300_000
    table = {"example_id": rng.permutation(n), "label": rng.integers(0, 2, n), "race": rng.integers(0, 3, n)}
    table |= {"w": rng.random(n), "prediction": rng.integers(0, 2, n), "c": rng.integers(0, 1000, n)}
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for file in files:
        pq.write_table(pa.table(table), file, row_group_size=20_000)
    for cluster in ("", "c"):
        printed = {
            subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), threads, *files, cluster],
                capture_output=True, text=True, check=True,
            ).stdout
            for threads in "1234"
        }  # fmt: skip
        assert len(printed) == 1


def test_files_are_arms_paired_by_id(tmp_path):
    order = [3, 0, 5, 1, 2, 4]
    other = {name: [values[i] for i in order] for name, values in ROWS.items()}
    other["prediction"] = [1, 1, 1, 1, 1, 1]
    files = [write(tmp_path / "full.csv", ROWS), write(tmp_path / "lora.parquet", other)]
    read = load(files, BY, need_scores=True)
    assert [arm.name for arm in read.arms] == ["full", "lora"]
    assert read.label.tolist() == [0, 1, 1, 0, 1, 0]
    assert read.arms[0].prediction.tolist() == [[0, 0, 1, 1, 1, 0]]
    assert read.arms[1].prediction.tolist() == [[1, 1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(read.arms[0].score, read.arms[1].score)
    cells = load(files, BY, need_scores=False)
    assert cells.count.sum() == 6
    same(load(str(tmp_path / "*.*"), BY, need_scores=True), read)
    assert [i.name for i in read.inputs] == ["full", "lora"]
    assert [i.path for i in read.inputs] == [str(f) for f in files]


def test_numbers_and_texts_name_the_same_examples(tmp_path):
    ids = [10, 2, 1, 3, 20, 7]
    first = write(tmp_path / "a.parquet", ROWS | {"example_id": ids})
    second = write(tmp_path / "b.csv", ROWS | {"example_id": ids})
    third = write(tmp_path / "c.parquet", ROWS | {"example_id": [float(i) for i in ids]})
    fourth = write(tmp_path / "d.csv", ROWS | {"example_id": [f"{i}.0" for i in ids]})
    read = load([first, second, third, fourth], BY, need_scores=True)
    for arm in read.arms[1:]:
        np.testing.assert_array_equal(arm.prediction, read.arms[0].prediction)


def test_booleans_are_one_group_name_in_every_format(tmp_path):
    rows = ROWS | {"race": [True, False, True, True, False, False]}
    files = [write(tmp_path / f"{e.replace('.', '')}.{e}", rows) for e in ("csv", "parquet", "jsonl")]
    assert load(files, BY, need_scores=False).attributes[0].groups == ("false", "true")


def test_names_make_runs(tmp_path):
    files = [write(tmp_path / f"{n}.csv", ROWS) for n in ("full", "lora-1", "lora-2")]
    read = load(files, Columns(by=("race",), names=("full", "lora", "lora")), need_scores=False)
    assert [(a.name, a.runs) for a in read.arms] == [("full", ("full",)), ("lora", ("lora-1", "lora-2"))]
    assert read.arms[1].prediction.shape[0] == 2


def test_equal_file_names_stay_apart(tmp_path):
    files = [write(tmp_path / folder / "predictions.csv", ROWS) for folder in ("full", "lora")]
    read = load(files, BY, need_scores=False)
    assert [a.name for a in read.arms] == ["full/predictions", "lora/predictions"]
    twice = load([files[0], files[0]], BY, need_scores=False)
    assert len(twice.arms) == 2


def test_a_mapping_names_arms(tmp_path):
    path = write(tmp_path / "x.csv", ROWS)
    for source in (
        {"full": path, "lora": str(path)},
        {"full": pd.DataFrame(ROWS), "lora": ROWS},
        {"full": ROWS, "lora": path},
    ):
        assert [a.name for a in load(source, BY, need_scores=False).arms] == ["full", "lora"]
    runs = load({"full": ROWS, "lora": [ROWS, ROWS]}, BY, need_scores=False)
    assert [len(a.runs) for a in runs.arms] == [1, 2]


def test_columns_say_arm_and_run(tmp_path):
    rows = {name: values * 4 for name, values in ROWS.items()}
    rows["method"] = ["lora"] * 12 + ["full"] * 12
    rows["seed"] = ([13] * 6 + [7] * 6) * 2
    rows["prediction"] = [1] * 6 + [0] * 6 + ROWS["prediction"] * 2
    columns = Columns(by=("race",), arm="method", run="seed")
    for ending in ("csv", "parquet", "jsonl"):
        read = load(write(tmp_path / f"all.{ending}", rows), columns, need_scores=True)
        assert [(a.name, a.runs) for a in read.arms] == [("full", ("7", "13")), ("lora", ("7", "13"))]
        assert read.arms[1].prediction.tolist() == [[0] * 6, [1] * 6]
        assert read.inputs[0].runs == 2
    half = {name: values[:12] for name, values in rows.items()}
    read = load(half, Columns(by=("race",), run="seed"), need_scores=False)
    assert [(a.name, a.runs) for a in read.arms] == [("table", ("7", "13"))]


def test_one_run_in_several_files(tmp_path):
    rows = ROWS | {"arm": ["a"] * 6, "run": ["1"] * 6}
    parts = [{k: v[:2] for k, v in rows.items()}, {k: v[2:] for k, v in rows.items()}]
    files = [write(tmp_path / f"{i}.csv", part) for i, part in enumerate(parts)]
    same(
        load(files, Columns(by=("race",), arm="arm", run="run"), need_scores=True),
        load(ROWS, BY, need_scores=True),
    )


def test_inner_keeps_what_all_have():
    short = {name: values[:4] for name, values in ROWS.items()}
    with pytest.raises(TableError, match=r"'b' lacks 2 \(first: 'e4'\).*--inner keeps the 4"):
        load({"a": ROWS, "b": short}, BY, need_scores=False)
    read = load({"a": ROWS, "b": short}, Columns(by=("race",), inner=True), need_scores=False)
    assert read.count.sum() == 4
    assert read.attributes[0].groups == ("01", "NA", "b,c")
    assert any("2 of 6 examples" in problem for problem in read.problems)


def test_memberships():
    table = ROWS | {"target_religion_jewish": [1, 0, 0, 1, 0, 0], "target_religion_muslim": [True, False] * 3}
    read = load(table, Columns(memberships=("target_religion_*",)), need_scores=True)
    (attribute,) = read.attributes
    assert (attribute.name, attribute.kind) == ("target_religion_", "memberships")
    assert attribute.groups == ("jewish", "muslim")
    # in the order e1, e2, ..., e6
    assert attribute.flags.tolist() == [
        [False, False, True, False, True, False],
        [False, True, False, True, True, False],
    ]


def test_intersections_keep_empty_groups():
    read = load(ROWS, Columns(by=("race",), intersect=(("sex", "race"),)), need_scores=True)
    crossed = read.attributes[1]
    assert (crossed.name, crossed.kind) == ("sex x race", "intersection")
    assert crossed.groups == ("F x 01", "F x NA", "F x b,c", "M x 01", "M x NA", "M x b,c")
    assert crossed.codes.tolist() == [3, 4, 2, 0, 1, 4]
    assert crossed.codes.dtype == np.int64


def test_attributes_given_twice_are_there_once():
    table = ROWS | {"m_a": [0, 1] * 3}
    columns = Columns(by=("race", "race"), memberships=("m_*", "m_*"), intersect=(("race", "sex"),) * 2)
    assert [a.name for a in load(table, columns, need_scores=False).attributes] == [
        "race",
        "m_",
        "race x sex",
    ]


def test_groups_are_in_the_order_of_numbers():
    read = load(ROWS | {"race": [10, 9, 1, 10, 9, 1]}, BY, need_scores=False)
    assert read.attributes[0].groups == ("1", "9", "10")


def test_test_rows_are_judged_unless_the_call_says_otherwise():
    table = ROWS | {"split": ["test", "train", "test", "train", "test", "validation"]}
    assert load(table, BY, need_scores=False).count.sum() == 3
    assert load(table, Columns(by=("race",), split="train"), need_scores=False).count.sum() == 2
    where = Columns(by=("race",), where=(("split", "validation"),))
    assert load(table, where, need_scores=False).inputs[0].rows == 1


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_where(tmp_path, ending):
    rows = ROWS | {"age": [1, 2, 2, 3, 2, 2], "seen": [True, False, True, True, True, False]}
    path = write(tmp_path / f"x.{ending}", rows)
    for where, left in [
        ((("age", "2"),), 4), ((("age", "2.0"),), 4), ((("seen", "true"),), 4), ((("seen", "False"),), 2),
        ((("age", "2"), ("race", "NA")), 2), ((("race", "b,c"),), 1),
    ]:  # fmt: skip
        assert load(path, Columns(by=("race",), where=where), need_scores=False).inputs[0].rows == left


def test_clusters_and_weights():
    table = ROWS | {"user": ["u2", "u1", "u2", "u3", "u1", "u3"], "w": [1, 0, 2, 3, 4, 0.5]}
    read = load(table, Columns(by=("race",), cluster="user", weight="w"), need_scores=False)
    assert read.cluster.tolist() == [0, 1, 2, 0, 1, 2]
    assert read.weight.tolist() == [0, 2, 3, 4, 1, 0.5]
    assert read.weight_squared.tolist() == [0, 4, 9, 16, 1, 0.25]
    assert read.count.tolist() == [1] * 6


def test_string_labels_need_a_positive():
    table = ROWS | {"label": ["hate", "none"] * 3, "prediction": ["hate"] * 6}
    read = load(table, Columns(positive="hate"), need_scores=True)
    assert (read.classes, read.positive) == (("none", "hate"), 1)
    np.testing.assert_array_equal(
        read.arms[0].score[0, :, 1], load(ROWS, BY, need_scores=True).arms[0].score[0, :, 1]
    )
    turned = load(ROWS, Columns(positive="0"), need_scores=False)
    assert (turned.classes, turned.positive) == (("1", "0"), 1)


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        ([0] * 6, None, ("0", "1")),
        ([1] * 6, None, ("0", "1")),
        ([True] * 6, None, ("0", "1")),
        (["yes"] * 6, "yes", ("not yes", "yes")),
        (["no"] * 6, "yes", ("no", "yes")),
    ],
)
def test_one_class_alone_is_still_binary(values, positive, classes):
    read = load(ROWS | {"label": values, "prediction": values}, Columns(positive=positive), need_scores=False)
    assert (read.classes, read.positive) == (classes, 1)


MANY = {
    "example_id": ["a", "b", "c", "d"],
    "label": ["10", "9", "2", "9"],
    "p_9": [0.2, 0.5, 0.1, 0.3],
    "p_10": [0.6, 0.2, 0.1, 0.4],
    "p_2": [0.2, 0.3, 0.8, 0.3],
}


def test_several_classes():
    read = load(MANY, Columns(score="p_*"), need_scores=True)
    assert (read.classes, read.positive) == (("2", "9", "10"), None)
    assert read.label.tolist() == [2, 1, 0, 1]
    assert read.arms[0].prediction.tolist() == [[2, 1, 0, 2]]
    np.testing.assert_allclose(read.arms[0].score[0, 0], [0.2, 0.2, 0.6])
    lists = {"example_id": MANY["example_id"], "label": MANY["label"]}
    lists["score"] = [list(v) for v in zip(MANY["p_2"], MANY["p_9"], MANY["p_10"], strict=True)]
    same(load(lists, Columns(), need_scores=True), read)
    counted = {k: v for k, v in MANY.items() if k[0] != "p"}
    counted |= {"p_1": MANY["p_9"], "p_0": MANY["p_2"], "p_2": MANY["p_10"]}
    same(load(counted | {"label": ["z", "y", "x", "y"]}, Columns(score="p_*"), need_scores=True).arms and
         load(MANY, Columns(score="p_*"), need_scores=True), read)  # fmt: skip
    named = load(counted | {"label": ["z", "y", "x", "y"]}, Columns(score="p_*"), need_scores=True)
    np.testing.assert_array_equal(named.arms[0].score, read.arms[0].score)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_lists_of_scores_in_every_format(tmp_path, ending):
    lists = {"example_id": MANY["example_id"], "label": [0, 1, 2, 1]}
    lists["score"] = [list(v) for v in zip(MANY["p_2"], MANY["p_9"], MANY["p_10"], strict=True)]
    read = load(write(tmp_path / f"x.{ending}", lists), Columns(), need_scores=True)
    np.testing.assert_allclose(read.arms[0].score[0], lists["score"])


def test_lists_name_a_class_that_no_row_has():
    lists = {"label": [0, 2], "prediction": [0, 2], "score": [[0.5, 0.25, 0.25], [0, 0, 1]]}
    assert load(lists, Columns(), need_scores=True).classes == ("0", "1", "2")


def test_scores_are_made_to_sum_to_one():
    table = {"label": [0, 1, 2], "score": [[0.5, 0.25, 0.2505], [0, 0, 1], [0, 1, 0]]}
    read = load(table, Columns(), need_scores=True)
    np.testing.assert_allclose(read.arms[0].score.sum(axis=2), 1, rtol=1e-15)


def test_predictions_come_from_scores_when_there_are_no_others():
    table = {k: v for k, v in ROWS.items() if k != "prediction"}
    read = load(table, BY, need_scores=False)
    assert read.count[read.arms[0].prediction[0] == 1].sum() == 3  # 0.75, 0.875 and 0.5 itself


def test_score_columns_of_something_else_are_left_alone():
    table = {k: v for k, v in ROWS.items() if k != "score"} | {
        "score_bleu": [30.5] * 6,
        "score_rouge": [0.1] * 6,
    }
    read = load(table, BY, need_scores=True)
    assert read.arms[0].score is None
    assert any("score_bleu" in problem for problem in read.problems)


def test_no_ids_are_needed_for_a_single_run():
    table = {k: v for k, v in ROWS.items() if k != "example_id"}
    assert load(table, BY, need_scores=False).count.sum() == 6
    turned = {k: v[::-1] for k, v in table.items()}
    same(load(table, BY, need_scores=True), load(turned, BY, need_scores=True))


def test_odd_but_proper_files(tmp_path):
    text = "example_id,label,prediction,race\na,1,1,x\nb,0,1,y\n"
    plain = load(
        {"example_id": ["a", "b"], "label": [1, 0], "prediction": [1, 1], "race": ["x", "y"]},
        BY,
        need_scores=False,
    )
    contents = {
        "bom.csv": text.encode("utf-8-sig"),
        "crlf.csv": text.replace("\n", "\r\n").encode(),
        "semicolon.csv": text.replace(",", ";").encode(),
        "tab.csv": text.replace(",", "\t").encode(),
        "blank.csv": (text.replace("\nb", "\n\nb") + "\n").encode(),
        "quoted.csv": text.replace("a,1,1,x", '"a","1",1,"x"').encode(),
        "no end.csv": text.rstrip().encode(),
        "lora[rank=8]*.csv": text.encode(),
        'it\'s "x" $;--.CSV': text.encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        same(load(tmp_path / name, BY, need_scores=False), plain)


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path):
    write(tmp_path / "a.csv", ROWS)
    for name in ("*.csv", "[a].csv", "?.csv"):
        write(tmp_path / name, {column: values[:2] for column, values in ROWS.items()})
        read = load(tmp_path / name, BY, need_scores=False)
        assert read.inputs[0].rows == 2
        assert len(read.arms) == 1


def test_lists_are_in_the_order_of_the_class_names():
    """Whichever class is positive: `bad` comes before `good`."""
    table = {"label": ["good", "bad"], "score": [[0.25, 0.75], [0.875, 0.125]], "example_id": ["1", "2"]}
    good = load(table, Columns(positive="good"), need_scores=True)
    assert good.classes == ("bad", "good")
    np.testing.assert_array_equal(good.arms[0].score[0, :, 1], [0.75, 0.125])
    bad = load(table, Columns(positive="bad"), need_scores=True)
    assert bad.classes == ("good", "bad")
    np.testing.assert_array_equal(bad.arms[0].score[0, :, 1], [0.25, 0.875])
    assert bad.arms[0].prediction.tolist() == [[0, 1]]


def test_columns_may_have_any_name():
    odd = ['a"b', "c'd; DROP TABLE t0", "label", "select", "c0", "Race", "race", "ä ö", ""]
    table = {name: [0, 1, 1] for name in odd}
    for name in odd:
        if name and name != "label":
            read = load(table, Columns(by=(name,), prediction="c0"), need_scores=False)
            assert read.attributes[0].name == name


def test_imports_stay_light(tmp_path):
    path = write(tmp_path / "x.parquet", ROWS)
    code = f"""
    import sys
    import evenhand.tables.predictions.read, evenhand.tables.io.write
    early = {{"duckdb", "pyarrow", "pandas", "scipy"}} & set(sys.modules)
    from evenhand.tables.schema import Columns
    evenhand.tables.predictions.read.load({str(path)!r}, Columns(by=("race",)), need_scores=True)
    late = {{"pyarrow", "pandas", "torch", "sklearn", "scipy", "polars"}} & set(sys.modules)
    print(sorted(early), sorted(late))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] []"


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load(write(tmp_path / "x.csv", ROWS), BY, need_scores=False)
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_a_pattern_and_its_name_stand_for_all_runs_of_an_arm(tmp_path):
    """`'full_*.csv' 'lora_*.csv' --name full --name lora`: two arms of two runs each."""
    for arm in ("full", "lora"):
        for run in (1, 2):
            rows = "".join(f"{i},{i % 2},{(i + run) % 2},{'ab'[i % 2]}\n" for i in range(12))
            (tmp_path / f"{arm}_{run}.csv").write_text("example_id,label,prediction,g\n" + rows)
    given = [str(tmp_path / "full_*.csv"), str(tmp_path / "lora_*.csv")]
    found = load(given, Columns(by=("g",), names=("full", "lora")), need_scores=False)
    assert [(arm.name, arm.runs) for arm in found.arms] == [
        ("full", ("full_1", "full_2")),
        ("lora", ("lora_1", "lora_2")),
    ]
