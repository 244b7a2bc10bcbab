"""Crossings, attributes and arms whose names coincide are told apart, or refused."""

from __future__ import annotations

import csv
import itertools
import json
import random

import pandas as pd
import pytest

from evenhand import audit
from evenhand.cli import main
from evenhand.errors import CallError, InputError
from evenhand.spec.read import read_studies
from evenhand.study.results.document import attribute_faults
from evenhand.tables.groups import crossed_names


def rows(first, second, **more):
    """Ten rows for each pair of groups; in the k-th pair the first k rows are wrong."""
    found = []
    for k, (one, other) in enumerate(zip(first, second, strict=True)):
        for i in range(10):
            found.append({"label": i % 2, "prediction": i % 2 if i >= k else 1 - i % 2, "f": one, "s": other})
    frame = pd.DataFrame(found).assign(**more)
    return frame.assign(example_id=[f"r{i}" for i in range(len(frame))])


def accuracies(result, attribute="f x s"):
    return [
        (r["group"], r["value"], r["n"]) for r in result["rates"]
        if r["attribute"] == attribute and r["metric"] == "accuracy" and r["n"]
    ]  # fmt: skip


COINCIDING = {
    "a crossing within": (("A", "A", "A x B", "A x B"), ("B x C", "C", "C", "B x C")),
    "an x at the edge": (("P x", "P", "P", "P x"), ("Q", "x Q", "Q", "x Q")),
    "an x alone": (("x", "x x x", "M", "x"), ("x x x", "x", "M", "M")),
    "quotation marks": (("A", "A x B", '"A x B"', "A"), ("B x C", "C", "C", "C")),
}


@pytest.mark.parametrize("name", COINCIDING)
def test_groups_whose_joined_names_coincide_are_told_apart(name, tmp_path, capsys):
    first, second = COINCIDING[name]
    path = tmp_path / "rows.csv"
    rows(first, second).to_csv(path, index=False)
    table = tmp_path / "out.csv"
    assert main(["audit", str(path), "--intersect", "f,s", "--json", "-", "--csv", str(table)]) == 0
    result = json.loads(capsys.readouterr().out)
    found = accuracies(result)
    assert len({group for group, _, _ in found}) == len(found) == 4
    assert sorted(value for _, value, _ in found) == pytest.approx([0.7, 0.8, 0.9, 1.0])
    assert {n for *_, n in found} == {10}
    with table.open(newline="") as file:
        told = [r["group"] for r in csv.DictReader(file) if r["metric"] == "accuracy" and r["group"]]
    assert len(set(told)) == len(told)
    assert any("would be called" in remark for remark in result["problems"])


def test_quoted_groups_stand_for_the_rows_that_they_name():
    result = audit(rows(*COINCIDING["a crossing within"]), intersect=[("f", "s")]).to_dict()
    assert accuracies(result) == [
        ('A x "B x C"', 1.0, 10), ("A x C", 0.9, 10),
        ('"A x B" x "B x C"', 0.7, 10), ('"A x B" x C', 0.8, 10),
    ]  # fmt: skip


def test_groups_of_attacked_models_are_told_apart(tmp_path, capsys):
    first, second = COINCIDING["a crossing within"]
    frame = rows(first, second)
    frame = frame.assign(in_training=frame.index // 2 % 2, loss=frame.index % 7 / 3)
    frame.to_csv(tmp_path / "signals.csv", index=False)
    call = ["attack", str(tmp_path / "signals.csv"), "--intersect", "f,s", "--permutations", "19"]
    assert main([*call, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)["rates"]
    groups = [r["group"] for r in found if r["attribute"] == "f x s" and r["metric"] == "roc_auc"]
    assert sorted(groups) == ['"A x B" x "B x C"', '"A x B" x C', 'A x "B x C"', "A x C"]


def test_names_that_do_not_coincide_stay_as_they_are():
    result = audit(rows(("A x B", "D"), ("C", "C")), intersect=[("f", "s")]).to_dict()
    assert [group for group, *_ in accuracies(result)] == ["A x B x C", "D x C"]
    assert not any("would be called" in remark for remark in result["problems"])


def test_no_two_crossings_ever_have_one_name():
    """Random names of the parts that names are joined and quoted with."""
    draw = random.Random(3)
    parts = ["A", "x", " ", " x ", '"', "\\", "B", "x ", " x", '" x "']
    for _ in range(2000):
        sides = [
            sorted({"".join(draw.choices(parts, k=draw.randint(1, 5))) for _ in range(3)})
            for _ in range(draw.randint(2, 3))
        ]
        names = crossed_names(sides)
        assert len(set(names)) == len(names) == len(list(itertools.product(*sides)))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"intersect": [("a x b", "c"), ("a", "b x c")]}, "a x b x c"),
        ({"by": ["a x c"], "intersect": [("a", "c")]}, "a x c"),
        ({"by": ["m_"], "memberships": ["m_*"]}, "m_"),
        ({"memberships": ["m_*", "m*_"]}, "m_"),
    ],
)
def test_attributes_of_one_name_are_refused(options, name):
    columns = ["a x b", "c", "a", "b x c", "a x c", "m_", "m_1", "m1_"]
    frame = rows(("A", "B"), ("C", "D")).assign(**dict.fromkeys(columns, 1))
    with pytest.raises(CallError, match=f"Two attributes are called '{name}'"):
        audit(frame, **options)


def test_arms_of_one_name_in_two_folders_are_told_apart(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        rows(("A", "B"), ("C", "D")).to_csv(tmp_path / folder / "lora.csv", index=False)
    result = audit([str(tmp_path / f / "lora.csv") for f in ("one", "two")], by="f").to_dict()
    assert {r["input"] for r in result["rates"]} == {"one/lora", "two/lora"}


# ---- Studies.

STUDY = {
    "name": "crossed", "model": "tiny_text", "methods": {"full": {}, "head_only": {}}, "seeds": [1],
}  # fmt: skip


def table(**options):
    return {"name": "table", "path": "rows.csv", "text": "text", **options}


@pytest.mark.parametrize(
    ("by", "intersect", "name"),
    [
        (["a", "c", "a x c"], [["a", "c"]], "a x c"),
        (["a x b", "c", "a", "b x c"], [["a x b", "c"], ["a", "b x c"]], "a x b x c"),
    ],
)
def test_a_study_refuses_crossings_of_one_name(by, intersect, name):
    study = {**STUDY, "dataset": table(by=by), "audit": {"intersect": intersect}}
    with pytest.raises(InputError, match=f"called '{name}', and so is another attribute"):
        read_studies(study)


def test_a_study_may_cross_the_same_attributes_twice():
    study = {**STUDY, "dataset": table(by=["a", "c"]), "audit": {"intersect": [["a", "c"], ["c", "a"]]}}
    assert len(read_studies(study)) == 1


FACTS = [
    {"name": "race", "kind": "partition", "groups": ["A", "B"]},
    {"name": "sex", "kind": "partition", "groups": ["C", "D"]},
    {"name": "faith", "kind": "memberships", "groups": ["x", "y"]},
]


@pytest.mark.parametrize(
    ("attributes", "intersect", "words"),
    [
        (FACTS, [["race", "faith"]], "groups of 'faith' may overlap"),
        ([*FACTS, {**FACTS[0], "kind": "memberships"}], [], "two attributes have the name 'race'"),
        ([*FACTS, {**FACTS[0], "name": "faith_x"}], [], "'faith_x' is both an attribute and a group"),
        ([{**FACTS[0], "groups": list(map(str, range(100)))}, {**FACTS[1], "groups": list("abcdefghijk")}],
         [["race", "sex"]], "has 1,100 groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_crossed_is_refused_before_training(attributes, intersect, words):
    names = [a["name"] for a in attributes]
    (study,) = read_studies(
        {**STUDY, "dataset": table(by=sorted(set(names))), "audit": {"intersect": intersect}}
    )
    assert words in "\n".join(attribute_faults(study, {"attributes": attributes}))


def test_a_run_is_refused_before_training(tmp_path, capsys):
    lines = [f"words{i} of text {i * i},{i % 2},{'AB'[i % 3 > 1]},{i % 2},{i % 3 > 1:d}\n" for i in range(90)]
    (tmp_path / "rows.csv").write_text("text,label,race,faith_x,faith_y\n" + "".join(lines))
    dataset = table(by=["race"], memberships=["faith_*"], path=str(tmp_path / "rows.csv"))
    study = {**STUDY, "dataset": dataset, "audit": {"intersect": [["race", "faith"]]}}
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    assert main(["run", str(tmp_path / "study.yaml"), "--output", str(tmp_path / "out")]) == 2
    assert "groups of 'faith' may overlap" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_attributes_that_can_be_crossed():
    (study,) = read_studies(
        {**STUDY, "dataset": table(by=["race", "sex"]), "audit": {"intersect": [["race", "sex"]]}}
    )
    assert attribute_faults(study, {"attributes": FACTS}) == []
