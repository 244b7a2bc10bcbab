"""Tables of signals as other programs write them: read as they are meant, or refused with the value."""

import csv

import numpy as np
import pytest

from evenhand.errors import InputError, TableError
from evenhand.judge.attacks import parse_attack
from evenhand.judge.privacy import PrivacySettings, run_attack
from evenhand.tables.schema import Columns
from evenhand.tables.signals.read import load_signals


def rows(**columns):
    table = {
        "example_id": ["p", "q", "r", "s"],
        "in_training": [1, 0, 1, 0],
        "loss": [0.1, 0.9, 0.4, 0.6],
        "margin": [2.0, -1.0, 1.0, 0.5],
    }
    return {**table, **columns}


def written(path, table):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"loss": [-0.5, -0.1, 0.4, 0.6]}, r"below 0, .*loss = -log_prob.* in 2 rows .*'p'.: '-0.1', '-0.5'"),
        ({"loss": [[0.1, -2.0]] * 4}, r"'loss' is below 0, .* 4 rows .first: example 'p'.: '\[0.1, -2.0\]'"),
        ({"base_loss": [1.0, 2.0, -3.0, 1.0]}, r"below 0, .*base_loss = -log_prob.*'r'.: '-3.0'"),
        ({"loss": [True, False, True, True]}, "'loss' has no finite number in 4 rows .*: 'true', 'false'"),
        ({"loss": ["0,4", "inf", "0.1", "0.2"]}, "'loss' has no finite number in 2 rows .*: '0,4', 'inf'"),
        ({"margin": [1.0, float("nan"), 2.0, 3.0]}, "'margin' has no finite number in 1 row .*: 'nan'"),
        ({"in_training": ["member", "0", "1", "non"]}, "'in_training' is neither 0 nor 1 .*but 'member', 'n"),
        ({"in_training": [1, 1, 1, 1]}, "has no non-members .*'in_training' is 1 in all of them"),
        ({"in_training": [0, 0, 0, 0]}, "has no members .*'in_training' is 0 in all of them"),
        ({"model_role": ["victim"] * 4}, "'model_role' is neither 'target' nor 'reference 0', .*: 'victim'"),
        ({"model_role": ["target", "target", None, "target"]}, "'model_role' is neither .* in 1 row .*'r'"),
        ({"example_id": ["p", "p", "r", "s"]}, "1 examples occur more than once in one run .*: 'p'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", [False, True])
def test_signals_are_refused_with_their_values(tmp_path, change, says, text):
    table = rows(**change)
    if text:
        values = {name: ["" if v is None else str(v) for v in column] for name, column in table.items()}
        table = written(tmp_path / "s.csv", values)
        says = says.replace("'true', 'false'", "'True', 'False'")
    with pytest.raises(TableError, match=says):
        load_signals(table, Columns())


def test_rounding_below_zero_is_no_log_likelihood():
    (arm,) = load_signals(rows(loss=[-1e-7, 0.0, 0.4, 0.6]), Columns()).arms
    assert arm.loss[0, 0, 0] == -1e-7


@pytest.mark.parametrize("member", [["True", "False", "TRUE", "false"], ["1", "0", "1.0", "0.0"]])
def test_membership_in_every_spelling_of_a_flag(tmp_path, member):
    path = written(tmp_path / "s.csv", rows(in_training=member))
    (arm,) = load_signals(path, Columns()).arms
    assert arm.member[0].tolist() == [True, False, True, False]


def test_roles_in_other_capitals_are_the_same_roles():
    models = [rows(model_role=[role] * 4) for role in ("Target ", "Reference 0", "REFERENCE 1")]
    (arm,) = load_signals({"full": models[0]} | {}, Columns()).arms
    assert arm.target.tolist() == [True]
    every = {k: [v for one in models for v in one[k]] for k in models[0]}
    (arm,) = load_signals(every, Columns()).arms
    assert arm.target.tolist() == [True, False, False]


def test_a_flaw_in_a_signal_that_no_attack_takes_stops_nobody():
    table = {
        "example_id": list(range(60)),
        "in_training": [1, 0] * 30,
        "loss": list(np.linspace(0.1, 3, 60)),
        "margin": [None, *np.zeros(59).tolist()],
        "base_loss": [-1.0] * 60,
    }
    settings = {"permutations": 19, "rng": 0}
    found = run_attack(table, Columns(), PrivacySettings((parse_attack("loss"),), **settings)).to_dict()
    assert next(r["value"] for r in found["rates"] if r["metric"] == "roc_auc") == pytest.approx(465 / 900)
    with pytest.raises(InputError, match="'base_loss' is below 0"):
        run_attack(table, Columns(), PrivacySettings((parse_attack("loss[reference=base]"),), **settings))
    with pytest.raises(InputError, match="'margin' has no finite number in 1 row"):
        run_attack(table, Columns(), PrivacySettings(**settings))


def test_groups_that_differ_are_shown_on_both_sides():
    full, lora = rows(race=["a", "b", "a", "b"]), rows(race=["a", "b", "c", "d"])
    says = r"differ in group \('race'\) for 2 rows \(first: 'r': 'a' in full, 'c' in lora\)"
    with pytest.raises(TableError, match=says):
        load_signals({"full": full, "lora": lora}, Columns(by=("race",)))
    full, lora = rows(site_x=[1, 0, 1, 0]), rows(site_x=[1, 1, 1, 0])
    with pytest.raises(TableError, match=r"\('site_x'\) for 1 row .*'q': '0' in full, '1' in lora"):
        load_signals({"full": full, "lora": lora}, Columns(memberships=("site_*",)))
