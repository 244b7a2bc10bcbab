"""The options that a list varies: in every arm as data, and recovered where a folder lacks them."""

from __future__ import annotations

import json

import pytest

from evenhand.spec.names import combination_name, recover_varied
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import study

METHODS = {
    "full": {},
    "one": {"method": "lora", "rank": [4]},
    "lora": {"targets": [["a,rank=64"], ["b", "c=1,alpha=2"]], "rank": [1, 64], "alpha": [16, 2.5]},
    "rates": {"method": "full", "learning_rate": [1e-5, 2e-4], "epochs": [3]},
    "rslora": {"method": "lora", "rank_stabilised": [True], "alpha_per_rank": [None, 2], "rank": [2, 3]},
    "tuned": {"method": "lora", "layer_fraction": [0.25, 0.5], "tune": {"rank": [1, 2]}},
}


def test_every_arm_has_its_values_of_the_lists_in_the_order_of_the_file():
    arms = {arm.name: arm for arm in study(methods=METHODS).arms}
    assert arms["full"].varied == {}
    assert arms["one[rank=4]"].varied == {"rank": 4}
    odd = arms["lora[targets=b+c=1,alpha=2,rank=64,alpha=2.5]"]
    assert list(odd.varied.items()) == [("targets", ["b", "c=1,alpha=2"]), ("rank", 64), ("alpha", 2.5)]
    assert odd.entry == "lora"
    for arm in arms.values():
        assert combination_name(arm.entry, arm.varied) == arm.name
        assert set(arm.varied) <= set(arm.options)
    assert {arm.entry for arm in arms.values()} == set(METHODS)
    assert arms["tuned[layer_fraction=0.5]"].varied == {"layer_fraction": 0.5}


def test_a_study_stored_without_its_varied_options_is_the_same_study(tmp_path):
    one = study(methods=METHODS)
    plain = as_plain(one)
    for arm in plain["arms"]:
        del arm["varied"]
    (tmp_path / "study.json").write_text(json.dumps(plain), encoding="utf-8")
    back = load(tmp_path / "study.json")
    assert back == one
    assert [list(arm.varied) for arm in back.arms] == [list(arm.varied) for arm in one.arms]


@pytest.mark.parametrize(
    ("name", "options", "varied"),
    [
        ("lora", {"rank": 8}, {}),
        ("lora[rank=64]", {"rank": 16, "alpha": 2.0}, {"rank": 64}),  # what --smoke has reduced
        ("lora[rank=64,alpha=2]", {"alpha": 2.0, "rank": 16}, {"rank": 64, "alpha": 2.0}),
        ("x[text=a,b=2,b=1]", {"b": 1, "text": "a,b=2"}, {"text": "a,b=2", "b": 1}),
        ("x[text=LOW,b=1]", {"b": 1, "text": "low"}, {"text": "LOW", "b": 1}),
        ("x[text=LOW,b=0.5]", {"b": 1, "text": "low"}, {"text": "LOW", "b": 0.5}),
        ("x[text=],b=1]", {"text": "]", "b": 1}, {"text": "]", "b": 1}),
        ("x[other=1]", {"b": 1}, {}),
    ],
)
def test_varied_options_are_recovered_from_known_options(name, options, varied):
    recovered = recover_varied(name, options)
    assert list(recovered.items()) == list(varied.items())
