"""Which kind a table is of: by what it must have, not by a column that any kind may have."""

import json

import pytest

from evenhand.errors import InputError
from evenhand.judge.run import run_any
from evenhand.judge.settings import Settings
from evenhand.tables.detect import detect_kind
from evenhand.tables.schema import Columns

OPTIONS = {
    "example_id": ["a", "a", "b", "b"], "template": ["t"] * 4, "variant": ["words"] * 4,
    "option_token": ["yes", "no"] * 2, "option_meaning": ["male", "female"] * 2,
    "log_prob": [-1.5, -0.5, -0.2, -2.0], "n_tokens": [1] * 4,
}  # fmt: skip
TEXTS = {"example_id": ["a", "b"], "completion": ["x", "y"], "references": [["x"], ["z"]]}


def written(folder, name, columns):
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    path = folder / name
    if name.endswith("csv"):
        path.write_text(
            "\n".join(",".join(map(str, line)) for line in (columns, *(r.values() for r in rows)))
        )
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows))
    return str(path)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.json", None])
@pytest.mark.parametrize("label", ["label", "split", "weight"])
def test_likelihoods_may_have_a_label(tmp_path, name, label):
    table = OPTIONS | {label: ["male", "male", "female", "female"]}
    source = table if name is None else written(tmp_path, name, table)
    assert detect_kind(source, Columns()) == "likelihoods"


def test_what_has_predictions_or_scores_is_a_table_of_predictions():
    for more in ({"prediction": [0, 1] * 2}, {"score": [0.5] * 4}, {"score_1": [0.5] * 4}):
        assert detect_kind(OPTIONS | {"label": [0, 1] * 2} | more, Columns()) == "predictions"
    assert (
        detect_kind(OPTIONS | {"label": [0] * 4, "mine": [1] * 4}, Columns(prediction="mine"))
        == "predictions"
    )
    assert detect_kind(OPTIONS | {"label": [0] * 4, "p": [1] * 4}, Columns(score="p")) == "predictions"
    assert detect_kind(TEXTS | {"label": [0, 1]}, Columns()) == "generations"
    assert detect_kind({"label": [0], "Completion": ["x"]}, Columns()) == "predictions"


def test_the_likelihoods_of_a_table_with_labels_are_judged(tmp_path):
    path = written(tmp_path, "p.csv", OPTIONS | {"label": ["male", "male", "female", "female"]})
    document = run_any(path, Columns(), Settings()).to_dict()
    assert document["kind"] == "likelihoods"
    assert document["inputs"][0]["rows"] == 4


def test_a_wrong_guess_is_told():
    lacking = {k: v for k, v in OPTIONS.items() if k != "option_meaning"} | {"label": [0, 1] * 2}
    with pytest.raises(
        InputError, match="Read as likelihoods: the columns include 'log_prob' and 'option_token', and no"
    ):
        run_any(lacking, Columns(), Settings())
    without = {k: v for k, v in OPTIONS.items() if k != "option_token"}
    with pytest.raises(
        InputError, match="Read as predictions although the columns include 'log_prob': likelihoods need 'opt"
    ):
        run_any(without, Columns(), Settings())
    with pytest.raises(InputError) as caught:
        run_any({"label": [0, 1]}, Columns(), Settings())
    assert "Taken" not in str(caught.value)
