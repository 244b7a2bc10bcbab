"""What a run writes is what an audit reads."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import evenhand
from evenhand.tables.predictions.write import write_predictions
from evenhand.tables.schema import Attribute


def write(path, *, classes=("no", "yes"), n=200):
    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(len(classes)), n)
    labels = rng.integers(0, len(classes), n)
    codes, flags = rng.integers(0, 2, n), rng.random((2, n)) < 0.5
    write_predictions(
        path, [f"r{i}" for i in range(n)], ["validation"] * 50 + ["test"] * (n - 50), labels, scores, classes,
        [
            Attribute("race", "partition", ("a", "b"), codes),
            Attribute("target", "memberships", ("x", "y"), None, flags),
        ],
        names={"arm": "lora[rank=8]", "run": "13", "model": "tiny"},
    )  # fmt: skip
    return labels, scores, codes, flags


def test_table(tmp_path):
    labels, scores, codes, flags = write(tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.schema.metadata[b"schema"] == b"evenhand.predictions/1"
    told = table.to_pydict()
    assert told["label"] == labels.tolist()
    assert told["prediction"] == scores.argmax(1).tolist()
    np.testing.assert_array_equal(told["score"], scores)
    assert told["race"] == ["ab"[c] for c in codes]
    assert told["target_y"] == flags[1].astype(int).tolist()
    assert set(told["arm"]) == {"lora[rank=8]"}
    assert set(told["run"]) == {"13"}


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_audit_reads_it(tmp_path, classes):
    labels, scores, codes, flags = write(tmp_path / "p.parquet", classes=classes)
    found = evenhand.audit(str(tmp_path / "p.parquet"), by=["race"], memberships=["target_*"]).to_dict()
    right = (scores.argmax(1) == labels)[50:]
    wanted = {
        (None, None): right.mean(),
        ("race", "a"): right[codes[50:] == 0].mean(),
        ("target", "x"): right[flags[0, 50:]].mean(),
    }
    rates = {
        (r["attribute"].rstrip("_") if r["attribute"] else None, r["group"]): r["value"]
        for r in found["rates"]
        if r["metric"] == "accuracy"
    }
    for key, value in wanted.items():
        assert rates[key] == pytest.approx(value), key


def test_same_bytes(tmp_path):
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
