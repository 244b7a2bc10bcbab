from __future__ import annotations

import csv
import io
import json

import sample

from evenhand.report.export import as_csv, as_json


def test_json_has_null_for_nan_and_keeps_text():
    document = {**sample.document(), "problems": ["Größe →"]}
    document["rates"][0]["value"] = float("nan")
    text = as_json(document)
    assert "Größe →" in text
    assert "NaN" not in text
    assert json.loads(text)["rates"][0]["value"] is None


def test_csv_has_every_row_and_column():
    document = sample.document()
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    for table in ("rates", "disparities", "comparisons"):
        mine = [r for r in rows if r["table"] == table]
        assert len(mine) == len(document[table])
        assert mine[0]["metric"] == document[table][0]["metric"]
    first = next(r for r in rows if r["table"] == "comparisons")
    assert float(first["difference"]) == document["comparisons"][0]["difference"]
    left_out = [json.loads(r["groups_left_out"]) for r in rows if r["table"] == "disparities"]
    assert left_out[0] == [{"group": "Pacific", "reason": "6 rows, fewer than 10"}]
