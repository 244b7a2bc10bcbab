"""Classes and groups may be called anything, also as sentences about classes are written."""

from __future__ import annotations

import csv
import json
import random

import pytest

from evenhand.spec.read import read_studies
from evenhand.study.run import rebuild, run_study
from tests.study.studies import TRAINER

GROUPS = ("seats (class 7)", "seats (class 1)")
CLASSES = ("bus (class 0)", "car", "tram (class 9)")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of three classes, attacked too, whose classes and groups have such names."""
    folder = tmp_path_factory.mktemp("names")
    draw = random.Random(4)
    with (folder / "rides.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "seats", "id"])
        for i in range(420):
            # The last class is rare: some of its groups have few rows, which is remarked on.
            name = draw.choices(CLASSES, (10, 10, 3))[0]
            rows.writerow([f"{name} ride {i}", name, draw.choice(GROUPS), f"r{i}"])
    [study] = read_studies(
        {
            "name": "rides",
            "dataset": {
                "name": "table", "path": str(folder / "rides.csv"), "text": "text", "by": ["seats"],
                "id": "id",
            },
            "model": ["owner/words", "owner/other"],
            "methods": {"full": {"epochs": 1}, "lora": {"epochs": 1}},
            "seeds": [1, 2],
            "audit": {"reference": "full", "primary": ["accuracy", "true_positive_rate"]},
            "privacy": {"attacks": ["loss"], "references": 2},
        }
    )  # fmt: skip
    return study, run_study(study, folder / "out", trainer=TRAINER, workers=2)


def test_groups_and_classes_keep_their_names(made):
    _, done = made
    for model in done.result["models"]:
        audit, privacy = model["audit"], model["privacy"]
        assert audit["settings"]["classes"] == list(CLASSES)
        rates = [row for row in audit["rates"] if row["metric"] == "true_positive_rate"]
        assert {row["class"] for row in rates} == {*CLASSES}
        assert {row["group"] for row in rates} == {None, *GROUPS}
        assert {row["group"] for row in audit["comparisons"] if row["attribute"]} >= {*GROUPS}
        assert {row["group"] for row in privacy["rates"]} == {None, *GROUPS}
    crossed = done.result["interactions"]
    assert {row["class"] for row in crossed} == {None, *CLASSES}
    assert {row["group"] for row in crossed if row["group"]} == {*GROUPS}


def test_sentences_have_the_names_too(made):
    _, done = made
    audit = done.result["models"][0]["audit"]
    few = [line for line in audit["problems"] if line.startswith("Few rows with a positive label")]
    assert len(few) == 1
    assert "seats=seats (class 7) (class tram (class 9))" in few[0]
    assert "seats=seats (class 1) (class tram (class 9))" in few[0]


def test_a_class_that_is_never_predicted_is_called_by_its_name(made):
    _, done = made
    # Of one run all answers are the first class: what is remarked on names the others.
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evenhand.tables.predictions.read import load
    from evenhand.tables.schema import Columns

    [path, *_] = sorted(done.folder.path.glob("runs/*/predictions.parquet"))
    table = pq.read_table(path)
    names = [str(name) for name in table.column_names]
    only = table.set_column(names.index("prediction"), "prediction", pa.array(["0"] * len(table)))
    read = load(
        {"a": only.drop_columns([n for n in names if n.startswith("score")])},
        Columns(split="test"), need_scores=False, class_names=CLASSES,
    )  # fmt: skip
    assert read.classes == CLASSES
    [remark] = [line for line in read.problems if "never predicted" in line]
    assert "'car'" in remark
    assert "'tram (class 9)'" in remark


def test_judging_again_says_the_same(made):
    study, done = made
    again = rebuild(study, done.folder).result
    first = json.loads(json.dumps(done.result))
    for one in (again, first):
        for model in one["models"]:
            for document in (model["audit"], model["privacy"]):
                del document["created"]
    assert again["models"] == first["models"]
