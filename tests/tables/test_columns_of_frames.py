"""Tables in memory: odd columns stop only who asks for them, and streams are read once."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import evenhand
from evenhand.errors import InputError
from evenhand.tables.io.in_memory import as_arrow, read_once

FRAME = pd.DataFrame(
    {"label": [0, 1] * 6, "prediction": [0, 0, 1, 1] * 3, "team": ["red", "blue", "blue"] * 4}
)


def accuracy(source, by="team"):
    (value,) = [r["value"] for r in evenhand.audit(source, by=by).rates
                if r["metric"] == "accuracy" and r["attribute"] is None]  # fmt: skip
    return value


ODD = {
    "texts and numbers": ["a", 7] * 6, "lists and texts": [[1], "a"] * 6, "objects": [object()] * 12,
    "sets": [{1}] * 12, "complex numbers": [1j] * 12, "numbers beyond 64 bits": [2**70, 1] * 6,
    "three dimensions": np.zeros((12, 2, 2)), "one value": np.float64(3),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_columns_stop_only_who_asks_for_them(name):
    table = {**FRAME.to_dict("list"), "note": ODD[name]}
    assert accuracy(table) == 0.5
    with pytest.raises(InputError, match=r"column 'note'") as caught:
        accuracy(table, "note")
    assert not any(word in str(caught.value) for word in ("pyarrow", "Arrow", "Expected", "Conversion"))


@pytest.mark.parametrize("name", ["texts and numbers", "objects", "sets"])
def test_odd_columns_of_frames(name):
    frame = FRAME.assign(note=ODD[name])
    assert accuracy(frame) == 0.5
    with pytest.raises(InputError, match="'note'"):
        accuracy(frame, "note")
    objects = pl.from_pandas(FRAME).with_columns(pl.Series("note", ODD[name], dtype=pl.Object))
    assert accuracy(objects) == 0.5


def test_a_mixed_column_is_told_with_its_values():
    with pytest.raises(InputError, match=r"holds texts and numbers \(as 'text' and 7\)"):
        accuracy(FRAME.assign(note=[7, "text", 8] * 4), "note")


def test_frames_with_doubled_numeric_and_layered_names():
    doubled = pd.concat(
        [FRAME, FRAME[["team"]].rename(columns={"team": "x"}), pd.Series([1] * 12, name="x")], axis=1
    )
    assert accuracy(doubled) == 0.5
    with pytest.raises(InputError, match=r"column 'x' \(--by\) occurs 2 times"):
        accuracy(doubled, "x")
    assert accuracy(FRAME.assign(a=1).rename(columns={"a": 5}), "5") == 0.5
    assert accuracy(FRAME.rename(columns={"team": " team\u200b"})) == 0.5
    layers = pd.concat({"x": FRAME}, axis=1)
    with pytest.raises(InputError, match="'label'"):
        accuracy(layers)


class _Stream:
    """Rows that can be read once, of no library."""

    def __init__(self):
        self.rows = pa.Table.from_pandas(FRAME).to_reader()

    def __arrow_c_stream__(self, requested_schema=None):
        return self.rows.__arrow_c_stream__()


@pytest.mark.parametrize("make", [_Stream, lambda: pa.Table.from_pandas(FRAME).to_reader()])
def test_streams_are_read_once(make):
    assert accuracy(make()) == 0.5
    assert accuracy([make()]) == 0.5
    assert accuracy({"full": make()}) == 0.5
    ids = pa.Table.from_pandas(FRAME.assign(example_id=range(12)))
    both = evenhand.compare(ids.to_reader(), ids.to_reader(), by="team")
    assert both.to_dict()["inputs"][0]["rows"] == 12


def test_what_is_no_stream_stays_as_it_is():
    table, listed = pa.Table.from_pandas(FRAME), [FRAME, "x.csv"]
    assert read_once(table) is table
    assert read_once(listed) is listed
    assert read_once("x.csv") == "x.csv"


def test_names_types_and_flaws():
    table, names, flaws = as_arrow({"a": [1, 2], 3: ["x", 4]})
    assert names == ["a", "3"]
    assert table.column_names == ["c0", "c1"]
    assert list(flaws) == [1]
    assert table.column("c1").null_count == 2


def test_a_list_of_records_is_no_list_of_tables():
    with pytest.raises(InputError, match=r"pandas\.DataFrame\(records\)"):
        accuracy(FRAME.to_dict("records"))
