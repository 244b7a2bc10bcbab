"""JSON by exact keys, and the forms in which programs write tables as JSON."""

import json
import re

import pandas as pd
import pytest

from evenhand.errors import InputError
from evenhand.tables.detect import detect_kind
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import Columns

FRAME = pd.DataFrame(
    {"example_id": [f"e{i}" for i in range(10)], "label": [0, 1] * 5, "prediction": [1, 1, 0, 0, 0] * 2,
     "score": [0.9] * 10, "team": ["red", "blue"] * 5}
)  # fmt: skip
RECORDS = FRAME.to_dict("records")
BY = Columns(by=("team",))


def lines(records=RECORDS):
    return "".join(json.dumps(record) + "\n" for record in records)


def counts(tmp_path, content, name="p.jsonl", columns=BY):
    """Right answers and rows of every group."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    read = load(path, columns, need_scores=False)
    (attribute,) = read.attributes
    right = read.label == read.arms[0].prediction[0]
    found = {}
    for i, group in enumerate(attribute.groups):
        mine = attribute.codes == i
        found[group] = (int(read.count[right & mine].sum()), int(read.count[mine].sum()))
    return found


RIGHT = {
    team: (int((rows.label == rows.prediction).sum()), len(rows)) for team, rows in FRAME.groupby("team")
}


def refusal(tmp_path, content, name="p.jsonl", columns=BY):
    with pytest.raises(InputError) as caught:
        counts(tmp_path, content, name, columns)
    return " / ".join(caught.value.complaints)


@pytest.mark.parametrize(
    "more",
    [
        {"Prediction": "as a text"}, {"PREDICTION": 1, "Label": "x", "Team": 4}, {"label ": "other"},
        {"meta": {"Lang": 1, "lang": {"LANG": 2}}}, {"split_": None, "Split": "train"}, {"": 1, "a/b~c": 2},
    ],
)  # fmt: skip
def test_keys_are_looked_up_as_they_are_written(tmp_path, more):
    before, after = [{**more, **r} for r in RECORDS], [{**r, **more} for r in RECORDS]
    assert counts(tmp_path, lines(before)) == counts(tmp_path, lines(after)) == RIGHT
    assert counts(tmp_path, json.dumps(before, indent=1), "p.json") == RIGHT


def test_each_of_two_keys_that_differ_in_case_has_its_own_values(tmp_path):
    rows = [{"Team": i % 5, **r} for i, r in enumerate(RECORDS)]
    assert set(counts(tmp_path, lines(rows), columns=Columns(by=("Team",)))) == set("01234")
    odd = [{"a/b": r["team"], "a~b": 1, "a\"b'": 2, **r} for r in RECORDS]
    assert counts(tmp_path, lines(odd), columns=Columns(by=("a/b",))) == RIGHT


def test_a_key_twice_in_a_record_stops_only_who_asks_for_it(tmp_path):
    twice = lines().replace('"team"', '"note": 1, "note": 2, "team"')
    assert counts(tmp_path, twice) == RIGHT
    assert "column 'note' (--by)" in refusal(tmp_path, twice, columns=Columns(by=("note",)))
    assert "'prediction'" in refusal(tmp_path, lines().replace('"team"', '"prediction": 0, "team"', 1))


FORMS = {
    "records": json.dumps(RECORDS), "lines": lines(), "pretty": json.dumps(RECORDS, indent=2),
    "one after the other": "\n".join(json.dumps(r, indent=2) for r in RECORDS),
    "split": FRAME.to_json(orient="split"), "columns": FRAME.to_json(),
    "index": FRAME.to_json(orient="index"), "table": FRAME.to_json(orient="table"),
    "tight": json.dumps(FRAME.to_dict("tight")),
    "lists": json.dumps(FRAME.to_dict("list")),
    "W&B": json.dumps({"columns": list(FRAME), "data": FRAME.values.tolist(), "ncols": 5}),
    "W&B, pretty": json.dumps({"columns": list(FRAME), "data": FRAME.values.tolist()}, indent=1),
    "doubled columns": json.dumps(
        {"columns": [*FRAME, "x", "x"], "data": [[*row, 1, 2] for row in FRAME.values.tolist()]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_tables(tmp_path, form, ending):
    assert counts(tmp_path, FORMS[form], f"p.{ending}") == RIGHT
    assert detect_kind(tmp_path / f"p.{ending}", BY) == "predictions"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({"run": 3, "rows": RECORDS}), "whose key 'rows' has the rows"),
        (json.dumps({"columns": ["a", "b"], "data": [[1]]}), "do not have one value for each column"),
        (FRAME.set_index("example_id").to_json(), "unclear whether these are its columns or its rows"),
        (FRAME.to_json(orient="values"), "is not a list of records"),
        (lines() + "null\n", "is not a list of records: every row must be an object .* but one is null"),
        ("[]", "has no rows"),
        (" \n ", "has no rows"),
        ("{}", "has no columns"),
    ],
)
def test_what_holds_no_rows_is_named_with_the_next_step(tmp_path, content, words):
    assert re.search(words, refusal(tmp_path, content, "p.json"))


@pytest.mark.parametrize("line", [1, 2, 6, 10])
@pytest.mark.parametrize("blank", ["", "\n"])
def test_the_line_of_broken_json(tmp_path, line, blank):
    broken = lines().splitlines()
    broken[line - 1] = broken[line - 1].replace('", "label"', '" "label"')
    said = refusal(tmp_path, blank + "\n".join(broken))
    assert f"in line {line + len(blank)}: unexpected character" in said


def test_the_line_of_broken_json_in_a_list_and_at_the_end(tmp_path):
    pretty = json.dumps(RECORDS, indent=0).splitlines()
    place = pretty.index('"score": 0.9,', 30)
    pretty[place] = '"score" 0.9,'
    assert f"in line {place + 1}: " in refusal(tmp_path, "\n".join(pretty), "p.json")
    assert "in line 10: unexpected end of data" in refusal(tmp_path, lines()[:-12])
    assert "in line 3: no low surrogate" in refusal(tmp_path, lines().replace('"e2"', '"\\ud800"'))


def test_nested_values_and_lists_of_scores(tmp_path):
    rows = [{**r, "team": {"is": r["team"]}} for r in RECORDS]
    assert "column 'team' is nested" in refusal(tmp_path, lines(rows))
    scores = [{k: v for k, v in r.items() if k != "prediction"} | {"score": [0.2, 0.8]} for r in RECORDS]
    path = tmp_path / "s.jsonl"
    path.write_text(lines(scores))
    assert load(path, BY, need_scores=True).arms[0].score.shape == (1, 10, 2)
