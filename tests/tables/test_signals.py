"""Tables of signals: what is written is read back; what is wrong is refused, all at once."""

import numpy as np
import pytest

from evenhand.errors import CallError, TableError
from evenhand.tables.schema import Attribute, Columns
from evenhand.tables.signals.read import files_of, load_signals
from evenhand.tables.signals.schema import write_signals

RACE = Attribute("race", "partition", ("a", "b"), codes=np.array([0, 1, 1, 0]))
FAITH = Attribute(
    "faith", "memberships", ("x", "y"), flags=np.array([[1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
)
IDS = ["10", "2", "r", "s"]
HALF = np.array([True, True, False, False])


def signals(seed, views=2):
    rng = np.random.default_rng(seed)
    return rng.random((4, views)), rng.standard_normal((4, views))


def write(path, *, arm, run, seed=0, member=HALF, role="target", views=2, base=None, model="m"):
    path.parent.mkdir(parents=True, exist_ok=True)
    loss, margin = signals(seed, views)
    names = {"arm": arm, "run": run, "model": model}
    write_signals(path, IDS, member, loss, margin, [RACE, FAITH], role=role, base_loss=base, names=names)
    return path


def test_a_folder_of_a_study_is_read_as_it_was_written(tmp_path):
    for i, (arm, run) in enumerate([("full", "2"), ("full", "10"), ("lora", "2"), ("lora", "10")]):
        write(
            tmp_path / "runs" / f"x{i}" / "signals.parquet", arm=arm, run=run, seed=i, member=np.roll(HALF, i)
        )
    found = load_signals(tmp_path, Columns(by=("race",), memberships=("faith_*",)))
    assert [a.name for a in found.arms] == ["full", "lora"]
    assert found.ids == ("10", "2", "r", "s")
    full = found.arms[0]
    assert full.runs == ("2", "10")
    assert full.shared
    loss, margin = signals(1)
    np.testing.assert_array_equal(full.loss[1], loss)
    np.testing.assert_array_equal(full.margin[1], margin)
    np.testing.assert_array_equal(full.member, [HALF, np.roll(HALF, 1)])
    assert full.base_loss is None
    race, faith = found.attributes
    assert race.groups == ("a", "b")
    assert race.codes.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(faith.flags, FAITH.flags)
    assert len(found.inputs) == 4
    assert found.inputs[0].sha256


def test_the_same_numbers_are_the_same_bytes(tmp_path):
    a = write(tmp_path / "a.parquet", arm="x", run="1")
    b = write(tmp_path / "b.parquet", arm="x", run="1")
    assert a.read_bytes() == b.read_bytes()


def test_references_come_after_targets_and_are_no_targets(tmp_path):
    write(tmp_path / "r1.parquet", arm="x", run="7", role="reference 1", member=HALF & False)
    write(tmp_path / "r0.parquet", arm="x", run="7", role="reference 0", member=HALF & False)
    base = np.ones((4, 2))
    write(tmp_path / "t.parquet", arm="x", run="7", base=base)
    (arm,) = load_signals(tmp_path, Columns()).arms
    assert arm.runs == ("7", "7 reference 0", "7 reference 1")
    assert arm.target.tolist() == [True, False, False]
    assert not arm.shared
    assert arm.base_loss is None  # not every model has it


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_says_the_same(tmp_path, ending):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "example_id": f"e{i}",
            "in_training": i % 2,
            "loss": 0.5 + i,
            "margin": -1.5 * i,
            "race": "ab"[i // 2],
        }
        for i in range(4)
    ]
    path = tmp_path / f"one.{ending}"
    if ending == "csv":
        path.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, r.values())) for r in rows)]))
    elif ending == "jsonl":
        import json

        for r in rows:
            r["loss"], r["margin"] = [r["loss"]], [r["margin"]]
        path.write_text("\n".join(json.dumps(r) for r in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    found = load_signals(str(path), Columns(by=("race",)))
    (arm,) = found.arms
    assert arm.name == "one"
    assert arm.loss[0, :, 0].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert arm.margin[0, :, 0].tolist() == [0.0, -1.5, -3.0, -4.5]
    assert arm.member[0].tolist() == [False, True, False, True]


def table(**columns):
    return {
        "example_id": ["a", "b", "c"],
        "in_training": [1, 0, 1],
        "loss": [0.1, 0.2, 0.3],
        "margin": [1.0, 2.0, 3.0],
        **columns,
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"in_training": [1, None, 0]}, "'in_training' is neither 0 nor 1 .* in 1 row .first: example 'b'"),
        ({"in_training": [1, 1, 1]}, "has no non-members among its 3 rows"),
        ({"in_training": [0, 0, 0]}, "has no members"),
        ({"loss": [0.1, float("nan"), 0.3]}, "'loss' has no finite number in 1 row"),
        ({"margin": [0.1, float("inf"), 0.3]}, "'margin' has no finite number in 1 row"),
        ({"loss": [[0.1], [0.1, 0.2], [0.3]]}, "different numbers of views"),
        ({"loss": [[0.1, 0.2]] * 3, "margin": [[1.0]] * 3}, "'loss' 2, 'margin' 1"),
        ({"example_id": ["a", "b", "a"]}, "1 examples occur more than once"),
        ({"model": ["m", "m", "n"]}, "several base models"),
        ({"model_role": ["reference 0"] * 3}, "has references only"),
    ],
)
def test_wrong_values_are_refused(given, told):
    with pytest.raises(TableError, match=told):
        load_signals(table(**given), Columns())


def test_membership_is_never_guessed():
    without = {k: v for k, v in table().items() if k != "in_training"}
    with pytest.raises(TableError, match=r"'in_training' not found .membership must come from the ids"):
        load_signals(without, Columns())


def test_all_complaints_come_at_once():
    with pytest.raises(TableError) as error:
        load_signals(
            table(in_training=[1, None, 0], loss=[None, 1.0, 2.0], g=["x", None, "y"]), Columns(by=("g",))
        )
    assert len(error.value.complaints) == 3
    with pytest.raises(TableError) as error:
        load_signals(
            {k: v for k, v in table().items() if k not in ("loss", "in_training")}, Columns(by=("race",))
        )
    assert len(error.value.complaints) == 3


def test_models_with_other_rows_are_refused():
    other = table(example_id=["a", "b", "z"])
    with pytest.raises(TableError, match=r"'x' lacks 1 \(first: 'z'\); 'y' lacks 1 \(first: 'c'\)"):
        load_signals({"x": table(), "y": other}, Columns())


def test_models_with_other_groups_are_refused():
    with pytest.raises(TableError, match=r"differ in group \('g'\)"):
        load_signals({"x": table(g=["a", "b", "a"]), "y": table(g=["b", "a", "a"])}, Columns(by=("g",)))


def test_one_model_twice_is_refused():
    both = table(arm=["x"] * 3, run=["1"] * 3)
    with pytest.raises(TableError, match="'x' run '1' is given 2 times"):
        load_signals([both, both], Columns())


def test_a_folder_without_signals_is_refused(tmp_path):
    with pytest.raises(CallError, match="holds no signals"):
        load_signals(tmp_path, Columns())
    assert files_of(tmp_path) == []


def test_where_keeps_one_model(tmp_path):
    for i, model in enumerate("mn"):
        write(tmp_path / f"{model}.parquet", arm="x", run=str(i), model=model)
    (arm,) = load_signals(tmp_path, Columns(where=(("model", "m"),))).arms
    assert arm.runs == ("0",)
    with pytest.raises(TableError, match=r"No table has rows that match the filters \(--where model=k\)"):
        load_signals(tmp_path, Columns(where=(("model", "k"),)))


def test_a_design_that_tells_of_itself_is_remarked():
    rng = np.random.default_rng(0)
    member = np.argsort(rng.random((4, 60)), axis=0) < 2
    tables = [
        {
            "example_id": list(range(60)),
            "in_training": m.astype(int),
            "loss": rng.random(60),
            "margin": rng.random(60),
        }
        for m in member
    ]
    found = load_signals({"x": tables}, Columns())
    assert any("exactly 2 of 4 runs" in p for p in found.problems)
