"""`match`: the goals of arms that are matched by their number of trained parameters."""

from __future__ import annotations

import pytest

from evenhand.spec.identity import run_id
from evenhand.spec.schema import json_schema
from evenhand.spec.stored import as_plain, load
from evenhand.spec.study import Reached
from evenhand.store.folder import write_json
from tests.spec.sample import study, wrong

LORA = {"lora": {"rank": [2, 8]}}


def matched(**block):
    return study(methods={**LORA, "lokr": {"match": {"parameters": "lora[rank=8]"}, **block}})


def sized(one, value):
    """The study with one chosen value for the last arm."""
    *others, arm = one.arms
    reached = (Reached(model=one.models[0].label, value=value, parameters=90, goal=100),)
    match = arm.match.model_copy(update={"reached": reached})
    return one.model_copy(update={"arms": (*others, arm.model_copy(update={"match": match}))})


def test_an_arm_has_the_goal_and_the_option_of_its_method():
    assert [arm.match for arm in matched().arms[:2]] == [None, None]
    assert matched().arms[-1].match.model_dump() == {
        "parameters": "lora[rank=8]", "option": "rank", "reached": (),
    }  # fmt: skip
    assert study(methods={"c3a": {"match": {"parameters": 9.0e3}}}).arms[0].match.parameters == 9000
    sweep = study(methods={**LORA, "lokr": {"alpha": [4, 8], "match": {"parameters": 9000}}}).arms
    assert [arm.name for arm in sweep if arm.match] == ["lokr[alpha=4]", "lokr[alpha=8]"]


def test_a_chosen_value_counts_as_if_it_were_written():
    tune = {"tune": {"learning_rate": [1e-3, 3e-3]}}
    one, written = sized(matched(**tune), 6), study(methods={**LORA, "lokr": {"rank": 6, **tune}})
    arm, same = one.arms[-1].on(one.models[0].label), written.arms[-1]
    for trial, other in zip(arm.trials, same.trials, strict=True):
        ids = {run_id(one, one.models[0], arm.with_trial(trial), 13)}
        ids.add(run_id(written, written.models[0], same.with_trial(other), 13))
        assert len(ids) == 1
    assert run_id(one, one.models[0], arm, 13) != run_id(one, one.models[0], one.arms[-1], 13)


def test_a_matched_study_is_stored_and_read(tmp_path):
    one = sized(matched(), 6)
    write_json(tmp_path / "study.json", as_plain(one))
    assert load(tmp_path / "study.json") == one


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ({"lokr": {"match": "lora"}}, "got 'lora'; must be a mapping with the key parameters"),
        ({"lokr": {"match": {"parameter": 5}}}, "unknown key. Did you mean 'parameters'?"),
        ({"lokr": {"match": {"parameters": 0}}}, "got 0; must be the name of an arm, or a whole number"),
        ({"lokr": {"match": {"parameters": True}}}, "got true; must be the name of an arm"),
        (
            {"lokr": {"match": {"parameters": "lora[rank=9]"}}},
            "not an arm of this study. Did you mean 'lora[",
        ),
        ({"lokr": {"match": {"parameters": "lora"}}}, "got 'lora', which is not an arm of this study."),
        ({"lokr": {"match": {"parameters": "lokr"}}}, "got 'lokr', which is matched itself"),
        ({"lokr": {"rank": 4, "match": {"parameters": 5}}}, "'rank' is chosen by match, and given too"),
        ({"lokr": {"tune": {"rank": [1, 2]}, "match": {"parameters": 5}}}, "'rank' is chosen by match"),
        ({"full": {"match": {"parameters": 5}}}, "full fine-tuning has no option that determines"),
        (
            {"head_only": {}, "lokr": {"match": {"parameters": "head_only"}}},
            "trains nothing besides a head, and the head does not count",
        ),
        ({"lokr": {"matsch": {"parameters": 5}}}, "did you mean 'match'?"),
    ],
)
def test_wrong_goals(methods, told):
    (complaint,) = wrong(methods={**LORA, **methods})
    assert told.lower() in complaint.lower()


def test_the_schema_has_match_where_a_method_has_a_size():
    definitions = json_schema()["$defs"]
    assert "rank" in definitions["method.lokr"]["properties"]["match"]["description"]
    assert "match" not in definitions["method.full"]["properties"]
