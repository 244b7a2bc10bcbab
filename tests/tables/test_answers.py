"""Tables of generations and likelihoods: what is written is what is read, and what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.errors import InputError
from evenhand.tables.answers.generations import load_generations, write_generations
from evenhand.tables.answers.likelihoods import load_likelihoods, write_likelihoods
from evenhand.tables.detect import detect_kind
from evenhand.tables.schema import Attribute, Columns

NAMES = {"arm": "lora[rank=8]", "run": "13", "model": "tiny"}


def gender(*groups):
    return Attribute(
        "gold_gender",
        "partition",
        ("male", "female"),
        np.array([("male", "female").index(g) for g in groups]),
    )


def texts(path, completions=("He left.", "", "nan"), **more):
    write_generations(
        path, ["b", "a", "c"], ["p"] * 3, ["t1", "t1", "t2"], ["x"] * 3, completions,
        [["He left."], ["She left.", "She went."], ["[x] she"]], [gender("male", "female", "female")],
        names=NAMES | more,
    )  # fmt: skip


def options(path, log_probs=(-1.0, -2.0, -3.0, -1.0), **more):
    meaning = ["m", "f", "f", "m"]
    write_likelihoods(
        path, ["1", "1", "2", "2"], ["t"] * 4, ["letters"] * 4, ["😀", " B", "😀", " B"], meaning,
        np.array(log_probs), np.array([3, 1, 3, 1]),
        [Attribute("site", "memberships", ("x", "y"), None, np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool))],
        names=NAMES, log_prob_free=np.array([-1.0, -1, -1, -1]), truncated=np.array([0, 0, 1, 1], bool),
        permutation=["0", "0", "1", "1"], label_meaning=["m", "m", None, None], **more,
    )  # fmt: skip


def test_generations_there_and_back(tmp_path):
    texts(tmp_path / "g.parquet")
    table = pq.read_table(tmp_path / "g.parquet")
    assert table.schema.metadata[b"schema"] == b"evenhand.generations/1"
    assert table.column_names == [
        "example_id", "prompt_id", "template", "prompt", "completion", "references", "gold_gender", "arm",
        "run", "model",
    ]  # fmt: skip
    told = load_generations(tmp_path / "g.parquet", Columns())
    assert told.completions == (("", "He left.", "nan"),)  # in the order of ids
    assert told.references == (("She left.", "She went."), ("He left.",), ("[x] she",))
    assert told.cluster.tolist() == [0, 0, 1]
    [attribute] = told.attributes
    assert (attribute.name, attribute.groups) == ("gold_gender", ("female", "male"))
    assert attribute.codes.tolist() == [0, 1, 0]
    texts(tmp_path / "again.parquet")
    assert (tmp_path / "g.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_generations_as_text(tmp_path, ending):
    texts(tmp_path / "g.parquet")
    rows = pq.read_table(tmp_path / "g.parquet").to_pylist()
    path = tmp_path / f"g.{ending}"
    if ending == "jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows({**r, "references": json.dumps(r["references"])} for r in rows)
    assert detect_kind(path, Columns()) == "generations"
    one, other = load_generations(tmp_path / "g.parquet", Columns()), load_generations(path, Columns())
    assert (one.completions, one.references) == (other.completions, other.references)


def test_likelihoods_there_and_back(tmp_path):
    options(tmp_path / "l.parquet")
    assert pq.read_schema(tmp_path / "l.parquet").metadata[b"schema"] == b"evenhand.likelihoods/1"
    told = load_likelihoods(tmp_path / "l.parquet", Columns(memberships=("site_*",)))
    assert detect_kind(tmp_path / "l.parquet", Columns()) == "likelihoods"
    assert told.tokens == (" B", "😀")
    assert told.meanings == ("f", "m")
    assert told.variants == ("letters [0]", "letters [1]")
    np.testing.assert_array_equal(told.log_prob[0], [[-2, -1], [-1, -3]])
    np.testing.assert_array_equal(told.n_tokens[0], [[1, 3], [1, 3]])
    assert told.label.tolist() == [1, -1]
    assert told.truncated.tolist() == [[False, True]]
    assert any("1 of 2 prompts were cut" in p for p in told.problems)
    assert [a.name for a in told.attributes] == ["site_", "variant"]


def test_arms_and_runs_of_one_file(tmp_path):
    for i in range(2):
        texts(tmp_path / f"{i}.parquet", arm=f"a{i}", run=str(i))
    table = pa.concat_tables(
        pq.read_table(tmp_path / f"{i}.parquet").cast(pq.read_schema(tmp_path / "0.parquet"))
        for i in range(2)
    )
    told = load_generations(table, Columns(arm="arm", run="run"))
    assert told.arm_runs == (("a0", "0"), ("a1", "1"))
    with pytest.raises(InputError, match="--arm arm --run run"):
        load_generations(table, Columns())


OPTION = {
    "example_id": ["1", "1", "2", "2"],
    "template": ["t"] * 4,
    "variant": ["v"] * 4,
    "option_token": ["A", "B", "A", "B"],
    "option_meaning": ["m", "f", "m", "f"],
    "log_prob": [-1.0, -2.0, -1.0, -2.0],
    "n_tokens": [1, 1, 1, 1],
}
TEXT = {"example_id": ["1", "2"], "completion": ["a", "b"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"log_prob": [-1.0, 0.5, -1, -1]}, "above 0 in 1 row.*example '1'"),
        ({"log_prob": [-1.0, None, -1, -1]}, "'log_prob' is missing or not a finite number in 1 row"),
        ({"log_prob": [-1.0, float("-inf"), -1, -1]}, "'log_prob' is missing or not a finite number"),
        ({"log_prob": ["x", "-1", "-1", "-1"]}, "'log_prob' is missing or not a finite number"),
        ({"n_tokens": [0, 1, 1, 1]}, "an option that has no token has no likelihood"),
        ({"n_tokens": [1.5, 1, 1, 1]}, "not a whole number of at least 1"),
        ({"option_token": ["", "B", "A", "B"]}, "'option_token' is empty in 1 row"),
        ({"option_meaning": [None, "f", "m", "f"]}, "'option_meaning' is empty in 1 row"),
        ({"option_token": ["A", "A", "A", "B"]}, "occurs more than once"),
        ({"example_id": ["1", "1", "1", "3"]}, "occurs more than once|have one option only"),
        ({"example_id": ["1", "1", "2", "3"]}, "2 contexts have one option only \\(first: example '2'"),
        ({"template": [None, "t", "t", "t"]}, "'template'.*has no value in 1 row"),
        ({"label_meaning": ["x", "x", "m", "m"]},
         "no option has in 1 contexts .first: 'x'.; its options are f, m"),
        ({"label_meaning": ["m", "f", "m", "m"]}, "'label_meaning' differs within"),
        ({"log_prob_free": [1.0, -1, -1, -1]}, "'log_prob_free' is above 0"),
        ({"truncated": ["x", "0", "0", "0"]}, "'truncated' is neither 0 nor 1"),
        ({"variant": None}, "column 'variant' not found, but likelihoods need it"),
    ],
)  # fmt: skip
def test_likelihoods_that_are_refused(change, said):
    table = {k: v for k, v in (OPTION | change).items() if v is not None}
    with pytest.raises(InputError, match=said):
        load_likelihoods(table, Columns())


def test_all_complaints_at_once():
    table = OPTION | {
        "log_prob": [1.0, None, -1, -1],
        "n_tokens": [0, 1, 1, 1],
        "option_token": ["", "B", "A", "B"],
    }
    with pytest.raises(InputError) as caught:
        load_likelihoods(table, Columns())
    assert len(caught.value.complaints) == 4


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"weight": "w"}, "--weight: generations have no such column"),
        ({"positive": "1"}, "--positive: generations have no such column"),
        ({"by": ("rcae",)}, "'rcae' \\(--by\\) not found; did you mean 'race'"),
        ({"memberships": ("x_*",)}, "matches no column"),
        ({"arm": "method"}, "'method' \\(--arm\\) not found"),
        ({"id": "key"}, "column 'key' .--id. not found"),
    ],
)
def test_calls_that_are_refused(columns, said):
    with pytest.raises(InputError, match=said):
        load_generations(TEXT | {"race": ["a", "b"]}, Columns(**columns))


def test_arms_must_agree():
    other = {**TEXT, "completion": ["c", "d"], "template": ["1", "2"]}
    with pytest.raises(InputError, match="differ in 'template' for 1 row \\(first: example_id 2"):
        load_generations({"a": other, "b": other | {"template": ["1", "3"]}}, Columns())
    with pytest.raises(InputError, match=r"'a' lacks 1 .*'b' lacks 1"):
        load_generations({"a": TEXT, "b": {"example_id": ["1", "3"], "completion": ["a", "b"]}}, Columns())


def test_inner_keeps_whole_contexts():
    short = {k: v[:3] for k, v in OPTION.items()}
    with pytest.raises(InputError, match="--inner keeps the 2 rows"):
        load_likelihoods({"a": OPTION, "b": short}, Columns())
    told = load_likelihoods({"a": OPTION, "b": short}, Columns(inner=True))
    assert told.log_prob.shape == (2, 1, 2)
    assert "2 of 4 rows are not in every arm" in told.problems[0]


def test_a_column_that_only_one_table_has_is_told():
    told = load_likelihoods({"a": OPTION | {"log_prob_free": [-1.0] * 4}, "b": OPTION}, Columns())
    assert told.log_prob_free is None
    assert "'log_prob_free' is in table 'a' (table 1) only" in told.problems[0]


def test_kinds(tmp_path):
    assert detect_kind(OPTION, Columns()) == "likelihoods"
    assert detect_kind(TEXT, Columns()) == "generations"
    assert detect_kind(TEXT | {"label": [0, 1]}, Columns()) == "generations"
    assert detect_kind(TEXT | {"label": [0, 1], "prediction": [0, 1]}, Columns()) == "predictions"
    assert detect_kind({"label": [0, 1], "prediction": [0, 1]}, Columns()) == "predictions"
    with pytest.raises(InputError, match=r"several kinds .*likelihoods.*generations"):
        detect_kind({"a": OPTION, "b": TEXT}, Columns())
