"""What is said of rows that do not pair: values, columns that tell rows apart, how ids would agree."""

from __future__ import annotations

import itertools
import json
import shlex

import numpy as np
import pandas as pd
import pytest

from evenhand import audit
from evenhand.cli import main
from evenhand.errors import InputError, TableError
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

BY = Columns(by=("town",))


def table(**changes):
    """Eight rows; every change replaces a column, or adds one."""
    rows = {
        "example_id": [f"q{i}" for i in range(8)],
        "label": [0, 1] * 4,
        "prediction": [0, 1, 1, 1, 0, 0, 0, 1],
        "town": ["n", "n", "s", "s"] * 2,
    }
    return rows | changes


def changed(values, *places):
    """The values with others at some places: {place: value}."""
    values = list(values)
    for place, value in places:
        values[place] = value
    return values


def refusal(source, columns=BY):
    with pytest.raises(InputError) as caught:
        load(source, columns, need_scores=False)
    told = "\n".join(caught.value.complaints)
    assert told.endswith(".")
    assert "SELECT" not in told
    return told


# ---- Arms that differ in what is true of an example.

DIFFERENT = {
    "label": (
        {"label": changed(table()["label"], (3, 0))}, {},
        "label ('label') for 1 example (first: 'q3': '1' in one, '0' in two)",
    ),
    "group": (
        {"town": changed(table()["town"], (2, "S"), (3, "S "))}, {},
        "group ('town') for 2 examples (first: 'q2': 's' in one, 'S' in two)",
    ),
    "number of a group": (
        {"town": [1.5] * 8}, {}, "group ('town') for 8 examples (first: 'q0': '1.50' in one, '1.5' in two)",
    ),
    "weight": (
        {"w": [1.0, 2.000005] + [1.0] * 6}, {"weight": "w"},
        "weight ('w') for 1 example (first: 'q1': '2' in one, '2.000005' in two)",
    ),
    "cluster": (
        {"who": list("aabbccdx")}, {"cluster": "who"},
        "cluster ('who') for 1 example (first: 'q7': 'd' in one, 'x' in two)",
    ),
    "membership": (
        {"is_b": [0, 1, 0, 1, 0, 1, 0, 0]}, {"memberships": ("is_*",)},
        "group ('is_b') for 1 example (first: 'q7': '1' in one, '0' in two)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_that_differ_are_shown_with_their_arms(name):
    changes, options, words = DIFFERENT[name]
    more = {"w": [1.0, 2.0] + [1.0] * 6, "who": list("aabbccdd"), "is_a": [0] * 8, "is_b": [0, 1] * 4}
    one = table(**more) | ({"town": ["1.50"] * 8} if name == "number of a group" else {})
    told = refusal({"one": one, "two": table(**more) | changes}, Columns(**{"by": ("town",), **options}))
    assert words in told


def test_values_that_differ_among_runs_name_the_run():
    """A table with columns for arm and run: the third run alone has another label."""
    frames = []
    for arm, run in itertools.product(("full", "lora"), ("1", "2")):
        frames.append(pd.DataFrame(table(arm=[arm] * 8, seed=[run] * 8)))
    frames[2].loc[5, "label"] = 0
    told = refusal(pd.concat(frames), Columns(by=("town",), arm="arm", run="seed"))
    assert "(first: 'q5': '1' in full run 1, '0' in lora run 1)" in told


def test_at_most_three_values_are_shown():
    arms = {name: table(town=[name] * 8) for name in "abcde"}
    told = refusal(arms)
    assert "'a' in a, 'b' in b, 'c' in c and 2 other values" in told


def test_weights_are_shown_as_they_were_given():
    """Weights that are scaled before they are squared are shown unscaled."""
    told = refusal(
        {"a": table(w=[1e200] * 8), "b": table(w=[1e200] * 7 + [2e200])}, Columns(by=("town",), weight="w")
    )
    assert "(first: 'q7': '1e+200' in a, '2e+200' in b)" in told


# ---- Ids that occur twice.


def twice(**columns):
    """Every example once for each value of the columns, which are given by value."""
    rows = pd.DataFrame(table())
    parts = [
        rows.assign(**dict(zip(columns, values, strict=True)))
        for values in itertools.product(*columns.values())
    ]
    return pd.concat(parts)


def steps(told):
    """The options that a complaint advises, each as a list of words."""
    advice = told.split("): ")[-1].rstrip(".")
    return [shlex.split(step[step.index("--") :]) for step in advice.split(", or ")]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"filter": ["strict", "loose"]}, "differ in 'filter' ('loose', 'strict')"),
        ({"answer key": ["a b", "c"]}, "differ in 'answer key' ('a b', 'c')"),
        ({"epoch": [1, 2, 3, 4, 5]}, "differ in 'epoch' ('1', '2', '3', and 2 more)"),
        ({"prompt": ["x", "y"], "depth": [0.5, 1.0]}, "differ in "),
    ],
)
def test_the_columns_that_tell_rows_of_an_id_apart_are_named_and_the_advice_works(
    columns, told, tmp_path, capsys
):
    path = str(tmp_path / "rows.csv")
    twice(**columns).to_csv(path, index=False)
    assert main(["audit", path, "--by", "town"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "8 values of 'example_id' (--id) occur more than once in one run (first: 'q0')" in said
    assert told in said
    for step in steps(said):
        if len(columns) == 2:
            assert set(columns) <= {word.partition("=")[0] for word in step[1::2]}
        assert main(["audit", path, "--by", "town", *step]) == 0, step
    capsys.readouterr()


def test_columns_called_arm_and_run_are_named_only_where_they_tell_rows_apart():
    rows = twice(filter=["x", "y"]).assign(run="1")
    assert "'filter'" in refusal(rows)
    assert "distinguish its rows with --arm arm --run run" in refusal(twice(arm=["a", "b"], run=["1", "2"]))


def test_of_a_column_with_many_values_only_its_name_is_told():
    rows = pd.concat([pd.DataFrame(table())] * 4)
    told = refusal(rows.assign(time=[f"12:{i:02d}" for i in range(32)]))
    assert "the rows of an id differ in 'time' ('12:00', '12:01', '12:02', and 29 more)" in told
    assert "--arm" not in told


def test_of_many_ids_some_are_looked_at():
    """Two thousand doubled ids: the number of further values is not known, and so not told."""
    ids = pd.DataFrame(
        {
            "example_id": range(2000),
            "label": [0, 1] * 1000,
            "prediction": [0, 1] * 1000,
            "town": ["n", "s"] * 1000,
        }
    )
    both = pd.concat([ids.assign(time=ids.index), ids.assign(time=ids.index + 5000)])
    told = refusal(both)
    assert "2,000 values of 'example_id'" in told
    assert "differ in 'time' ('0', '1', '10', and more)" in told


def test_rows_that_are_doubled_are_said_to_be_alike():
    rows = pd.DataFrame(table())
    told = refusal(pd.concat([rows, rows[2:3]]))
    assert "1 values of 'example_id' (--id) occur more than once" in told
    assert "equal in all columns" in told


def test_of_several_tables_the_one_with_doubled_ids_is_named(tmp_path):
    twice(filter=["x", "y"]).to_csv(tmp_path / "b.csv", index=False)
    pd.DataFrame(table()).to_csv(tmp_path / "a.csv", index=False)
    told = refusal([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert f"in {tmp_path / 'b.csv'} the rows of an id differ in 'filter' ('x', 'y')" in told


def test_a_run_that_stands_in_two_tables_is_named():
    one, two = table(seed=["7"] * 8), table(seed=["7"] * 8)
    told = refusal({"full": [one, two]}, Columns(by=("town",), run="seed"))
    assert "'full' run '7' is in" in told


def test_a_column_that_nobody_named_stops_nobody():
    """Doubled ids of a table whose other columns hold lists, records and broken values."""
    rows = twice(filter=["x", "y"]).assign(
        extra=[[i] for i in range(16)], more=[{"a": i} for i in range(16)], gap=[None] * 16
    )
    assert "'filter' ('x', 'y')" in refusal(rows)
    kept = load(rows, Columns(by=("town",), where=(("filter", "x"),)), need_scores=False)
    assert kept.count.sum() == 8


# ---- Ids that do not meet.

WRITTEN = {
    "leading zeros": (
        [f"{i:03d}" for i in range(8)],
        [str(i) for i in range(8)],
        "leading zeros are dropped",
    ),
    "zeros against integers": ([f"{i:03d}" for i in range(8)], list(range(8)), "leading zeros are dropped"),
    "zeros behind letters": (
        [f"q{i:03d}" for i in range(8)],
        table()["example_id"],
        "leading zeros are dropped",
    ),
    "blanks within": ([f"q {i}" for i in range(8)], table()["example_id"], "blanks are dropped"),
    "a no-break space": ([f"q\u00a0{i}" for i in range(8)], table()["example_id"], "blanks are dropped"),
    "case": ([f"Q{i}" for i in range(8)], table()["example_id"], "capital letters are written small"),
    "all at once": ([f"Q 0{i}" for i in range(8)], table()["example_id"], "blanks, leading zeros and case"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_ids_that_agree_once_they_are_written_alike(name):
    first, second, words = WRITTEN[name]
    told = refusal({"a": table(example_id=first), "b": table(example_id=second)})
    assert "'a' lacks 8" in told
    assert f"; the ids of a and b agree once {words}" in told
    assert "is the id column" not in told


def test_some_ids_that_are_written_otherwise():
    ids = changed(table()["example_id"], (1, "q 1"), (4, "q\t4"), (7, "other"))
    told = refusal({"a": table(), "b": table(example_id=ids)})
    assert "7 of the ids of a and b agree once blanks are dropped" in told
    assert "--inner keeps the 5 that all have" in told


def test_ids_that_writing_alike_would_merge_are_not_said_to_agree():
    """'1' and '01' are two examples of the first table: dropping zeros would make one of them."""
    ids = ["1", "01", "2", "3", "4", "5", "6", "7"]
    told = refusal({"a": table(example_id=ids), "b": table(example_id=[f"x{i}" for i in range(8)])})
    assert "agree" not in told
    told = refusal({"a": table(example_id=ids), "b": table(example_id=changed(ids, (0, "0001"), (1, "001")))})
    assert "agree" not in told


def test_other_examples_stay_other_examples():
    told = refusal({"a": table(), "b": table(example_id=[f"z{i}" for i in range(8)])})
    assert "no example is in all of them: is the id column the right one?" in told


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_floats_of_sixteen_digits_pair_with_integers(kind, tmp_path):
    """Whole numbers up to 2**53 are exact as floats; a text with 17 digits of one is the integer."""
    ids = [10**15 + i for i in range(4)] + [2**53 - i for i in range(1, 5)]
    pd.DataFrame(table(example_id=np.array(ids, dtype=kind))).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame(table(example_id=ids)).to_csv(tmp_path / "b.csv", index=False)
    found = load([str(tmp_path / "a.parquet"), str(tmp_path / "b.csv")], BY, need_scores=False)
    assert found.count.sum() == 8


LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        (np.array([LARGE + 2.0 * i for i in range(8)]), "9007199254740992.0"),
        (np.array([1e17 + 64.0 * i for i in range(8)]), "1e+17"),
        ([f"{123456789012345678 + 1000 * i:.16e}" for i in range(8)], "1.2345678901234568e+17"),
        ([f"{1.23457 + i / 1000:.5f}E+11" for i in range(8)], "1.23457E+11"),
    ],
)
def test_ids_that_were_rounded_to_floats(ids, first):
    told = refusal({"a": table(example_id=ids), "b": table(example_id=[LARGE + 2 * i for i in range(8)])})
    assert f"ids of table 'a' (table 1) were rounded to floats (first: '{first}'" in told
    assert "9,007,199,254,740,992" in told
    assert "is the id column" not in told


def test_ids_that_rounding_made_equal():
    told = refusal(table(example_id=np.array([2.0**53 + i for i in range(8)])))
    assert "occur more than once" in told
    assert "were rounded to floats" in told


def test_narrow_floats_are_exact_up_to_their_own_limit():
    ids = np.array([16_777_216 + 2 * i for i in range(8)], dtype=np.float32)
    told = refusal(
        {"a": table(example_id=ids), "b": table(example_id=[16_777_217 + 2 * i for i in range(8)])}
    )
    assert "exact up to 16,777,216 only" in told


# ---- Files that are parts of one run.


@pytest.fixture
def parts(tmp_path):
    """One run in two files, and another one whole."""
    rows = pd.DataFrame(table(model="base"))
    (tmp_path / "full").mkdir()
    rows[:5].to_parquet(tmp_path / "full" / "part-0.parquet")
    rows[5:].to_parquet(tmp_path / "full" / "part-1.parquet")
    rows.to_parquet(tmp_path / "lora.parquet")
    return tmp_path


def test_files_of_one_name_that_share_no_example_may_be_parts(parts, capsys):
    call = ["audit", f"{parts}/full/*.parquet", f"{parts}/lora.parquet", "--by", "town"]
    call += ["--name", "full", "--name", "lora"]
    assert main(call) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the runs of 'full' share no example: are they parts of one run?" in told
    assert "right one" not in told
    # What is advised works: a column with one value in all parts says the run, or the parts are joined.
    assert main([*call, "--run", "model", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["value"] for r in found["rates"] if r["group"] is None and r["metric"] == "accuracy"] == [
        0.75
    ] * 2
    assert {r["n"] for r in found["rates"] if r["group"] is None} == {8}
    both = [pd.read_parquet(parts / "full" / f"part-{i}.parquet") for i in (0, 1)]
    assert audit({"full": pd.concat(both), "lora": pd.DataFrame(table())}, by="town").rates[0]["n"] == 8


def test_files_without_names_that_share_no_example(parts):
    told = refusal(f"{parts}/full/*.parquet")
    assert "is the id column the right one? Or are these parts of one run?" in told


def test_runs_that_share_examples_are_no_parts(parts):
    rows = pd.DataFrame(table())
    told = refusal({"full": [rows[:5], rows[4:]], "lora": rows})
    assert "parts of one run" not in told
    assert "--inner keeps the 1 that all have" in told


# ---- Weights that cannot be squared.


def numbers(result):
    keys = ("value", "low", "high", "difference", "p_value", "n", "verdict", "status")
    found = result.to_dict()
    return [
        [row.get(k) for k in keys] for part in ("rates", "disparities", "comparisons") for row in found[part]
    ]


def weighed(factor, *, exponent=0, score=False):
    rng = np.random.default_rng(4)
    label, weight = rng.integers(0, 2, 400), rng.uniform(0.5, 3, 400)
    arms = {}
    for name, right in (("a", 0.9), ("b", 0.7)):
        rows = {"example_id": np.arange(400), "label": label, "town": np.repeat(["n", "s"], 200)}
        rows["prediction"] = np.where(rng.random(400) < right, label, 1 - label)
        if score:
            rows["score"] = rng.random(400)
        arms[name] = rows | {"w": np.ldexp(weight, exponent) * factor}
    return audit(arms, by="town", weight="w")


@pytest.mark.parametrize("score", [False, True])
@pytest.mark.parametrize("exponent", [-1000, -600, 300, 700, 1020])
def test_weights_count_by_their_ratios_only(exponent, score):
    """Powers of two change no digit: every number is that of the weights themselves."""
    assert numbers(weighed(1.0, exponent=exponent, score=score)) == numbers(weighed(1.0, score=score))


@pytest.mark.parametrize("factor", [1e200, 1e307, 1e-300])
def test_very_large_and_small_weights(factor):
    for one, other in zip(numbers(weighed(factor)), numbers(weighed(1.0)), strict=True):
        assert [x for x in one if not isinstance(x, float)] == [x for x in other if not isinstance(x, float)]
        assert [x for x in one if isinstance(x, float)] == pytest.approx(
            [x for x in other if isinstance(x, float)], rel=1e-9, abs=1e-12, nan_ok=True
        )


@pytest.mark.parametrize("weight", [1e308, 1e-320])
def test_the_same_extreme_weight_everywhere_is_no_weight(weight):
    with_weight = audit(table(w=[weight] * 8), by="town", weight="w").rates
    without = audit(table(w=[1] * 8), by="town", weight="w").rates
    assert [r["value"] for r in with_weight] == pytest.approx([r["value"] for r in without], nan_ok=True)


def test_one_row_that_outweighs_all_others():
    """The first row is right and has nearly all weight; the other group's rates are those of its own rows."""
    rows = audit(table(w=[1e200] + [1.0] * 7), by="town", weight="w").rates
    value = {r["group"]: r["value"] for r in rows if r["metric"] == "accuracy"}
    assert value == pytest.approx({None: 1.0, "n": 1.0, "s": 0.75})


def test_weights_that_lie_too_far_apart_are_refused_with_their_values(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame(table(w=["1e-100", "1e250", *["1"] * 6])).to_csv(path, index=False)
    told = refusal(str(path), Columns(by=("town",), weight="w"))
    assert f"from 1e-100 ({path}, example 'q0') to 1e+250 ({path}, example 'q1')" in told
    with pytest.raises(TableError, match="too far apart"):
        load(
            {"a": table(w=[1e-160] * 8), "b": table(w=[1e160] * 8)}, Columns(by=("town",), weight="w"),
            need_scores=False,
        )  # fmt: skip
