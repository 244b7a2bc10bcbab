"""`privacy:` in a study file: what it means, and all that can be wrong with it."""

from __future__ import annotations

import json

import pytest

from evenhand.judge.attacks import lira, loss
from evenhand.spec.read import read_studies
from evenhand.spec.schema import json_schema
from evenhand.spec.stored import as_plain, load
from tests.spec.sample import GOOD, complaints, plain, study, written, wrong


def privacy(**given):
    return study(privacy=given).privacy


def test_without_it_nothing_is_attacked():
    assert study().privacy is None
    assert study(privacy=None).privacy is None


def test_names_and_options():
    found = privacy(attacks=["loss", {"lira": {"variance": "global"}}, {"lira": None}], references=4)
    assert [(one.name, one.config) for one in found.attacks] == [
        ("loss", loss.Config()),
        ("lira", lira.Config(variance="global")),
        ("lira", lira.Config()),
    ]
    assert (found.protocol, found.references, found.halves, found.seed) == ("shared", 4, 5, 13)
    assert privacy(attacks=["loss"], protocol="offline").halves == 16


def test_it_is_stored_with_its_options(tmp_path):
    one = study(privacy={"attacks": ["loss", {"lira": {"mode": "offline"}}], "protocol": "offline"})
    path = tmp_path / "study.json"
    path.write_text(json.dumps(as_plain(one)))
    assert load(path) == one
    assert type(load(path).privacy.attacks[1].config) is lira.Config


def test_all_that_is_wrong_is_told_with_its_line(tmp_path):
    text = f"""{GOOD}\
privacy:
  attacks:
    - los
    - lira: {{varianc: global}}
    - lira: {{mode: both}}
    - 3
    - rmia
    - rmia
  protocol: offlin
  references: 0
  sed: 1
"""
    told = complaints(written(tmp_path, text))
    told = [one.partition("study.yaml")[2] for one in told]
    assert told[:4] == [
        ":11, privacy.attacks.0: 'los' is none of the attacks: did you mean 'loss'? Known: lira, lira_t, "
        "loss, rmia.",
        ":12, privacy.attacks.1.lira.varianc: unknown key. Did you mean 'variance'? Known: mode, "
        "variance, prior.",
        ":13, privacy.attacks.2.lira.mode: got 'both'; must be 'online' or 'offline'.",
        ":14, privacy.attacks.3: got 3; must be an attack's name, or a mapping of it to its options.",
    ]
    assert told[4].startswith(":16, privacy.attacks.5: the attack 'rmia' is given twice.")
    assert told[5:] == [
        ":17, privacy.protocol: got 'offlin'; did you mean 'offline'? It must be 'shared' or 'offline'.",
        ":18, privacy.references: got 0; must be an integer of at least 1.",
        ":19, privacy.sed: unknown key. Did you mean 'seed'? Known: protocol, references, seed, attacks.",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "privacy.attacks: is missing; must be a list such as [loss, {lira: {}}]."),
        ({"attacks": []}, "got []; must be a list such as"),
        ({"attacks": "loss"}, "got 'loss'; must be a list such as"),
        ("loss", "must be a mapping with keys of: attacks, protocol, references, seed."),
        (
            {"attacks": ["lira"], "protocol": "offline"},
            "'lira' with these options needs references that were",
        ),
    ],
)
def test_one_that_is_wrong(given, said):
    [told] = wrong(privacy=given)
    assert said in told


def test_what_cannot_stand_beside_it():
    tuned = {"lora": {"tune": {"epochs": [1, 2]}}}
    told = wrong(privacy={"attacks": ["loss"]}, methods=tuned, resplit=True)
    assert len(told) == 2
    assert "give the selected values in place of 'tune'" in told[0]
    assert "with 'resplit' every seed trains on other rows" in told[1]


def test_an_override_takes_it_out():
    [one] = read_studies({**plain(), "privacy": {"attacks": ["loss"]}}, overrides=["privacy=null"])
    assert one.privacy is None


def test_editors_know_its_keys():
    keys = json_schema()["$defs"]["study"]["properties"]["privacy"]["anyOf"][0]["properties"]
    assert set(keys) == {"attacks", "protocol", "references", "seed"}
    assert all(len(one["description"]) > 10 for one in keys.values())
