"""Attacks on runs without usable scores, with references trained on some of the rows; and the Python API."""

import json
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.simulate.attacks import halves
from scipy import stats

import evenhand
from evenhand.cli import main
from evenhand.errors import InputError, TableError
from evenhand.judge.attacks import lira, loss, rmia
from evenhand.judge.privacy.choice import Attack
from evenhand.judge.privacy.run import score_arm
from evenhand.judge.privacy.settings import AUC
from evenhand.tables.signals.schema import SignalArm, Signals
from tests.judge.test_privacy import attacked, of, offline, signals


def test_a_reference_that_saw_an_attacked_row_serves_for_the_others():
    alone = attacked(offline(), attacks=(("lira", lira.Config(mode="offline")),))
    result = attacked(offline(known=True), attacks=(("lira", lira.Config(mode="offline")),))
    values = [of(d["rates"], metric=AUC, attribute=None)[0]["value"] for d in (alone, result)]
    assert values[1] == pytest.approx(values[0], abs=0.01)
    assert result["settings"]["attacks"] == ["lira[mode=offline]"]
    assert attacked(offline(known=True), attacks=(("rmia", rmia.Config()),))["rates"]


def test_references_that_saw_every_attacked_row_are_refused_once():
    data = offline()
    (arm,) = data.arms
    member = np.where(arm.target[:, None], arm.member, True)
    changed = Signals(data.ids, (replace(arm, member=member),), data.attributes)
    with pytest.raises(TableError, match="each of the 4 references was trained on all 800") as error:
        attacked(changed, attacks=(("lira", lira.Config(mode="offline")),))
    assert len(error.value.complaints) == 1


def test_lira_takes_of_each_row_the_references_without_it():
    """Half of the references know a row, as with random halves: the scores are those of the others alone."""
    rng = np.random.default_rng(5)
    member = np.vstack([rng.random(60) < 0.5, halves(8, 60, rng)])
    margin = 0.8 * member[:, :, None] + rng.standard_normal((9, 60, 1))
    target = np.arange(9) == 0
    runs = ("7", *(f"reference {i}" for i in range(8)))
    arm = SignalArm("a", runs, target, member, np.logaddexp(0, -margin), margin)
    attack = Attack("lira[mode=offline]", "lira", lira.Config(mode="offline", variance="per_example"))
    scored, _ = score_arm(arm, attack)
    for row in range(60):
        others = margin[1:, row, 0][~member[1:, row]]
        z = (margin[0, row, 0] - others.mean()) / others.std(ddof=1)
        assert scored.scores[0, row] == pytest.approx(-stats.norm.logsf(z))


def test_a_constant_run_is_left_out_with_a_remark():
    data = signals({"a": 1.0, "b": 0.0}, models=6, rows=300)
    first, second = data.arms
    flat = first.loss.copy()
    flat[2] = 0.7
    broken = Signals(data.ids, (replace(first, loss=flat), second), data.attributes)
    result = attacked(broken, attacks=(("loss", loss.Config()),))
    row = of(result["rates"], input="a", metric=AUC, attribute=None)[0]
    assert (row["status"], row["runs"]) == ("ok", 5)
    others = [i for i in range(6) if i != 2]
    selected = Signals(
        data.ids,
        tuple(
            SignalArm(a.name, tuple(a.runs[i] for i in others), a.target[others], a.member[others],
                      a.loss[others], a.margin[others])
            for a in data.arms
        ),
        data.attributes,
    )  # fmt: skip
    expected = attacked(selected, attacks=(("loss", loss.Config()),))
    assert row["value"] == of(expected["rates"], input="a", metric=AUC, attribute=None)[0]["value"]
    pairs = [of(d["comparisons"], metric=AUC, attribute=None)[0] for d in (result, expected)]
    assert pairs[0]["difference"] == pytest.approx(pairs[1]["difference"])
    assert pairs[0]["runs"] == 5
    assert any(f"run {first.runs[2]} is left out: constant signals" in line for line in result["problems"])


def table(*, seed=0, rows=240, runs=3):
    """Columns of signals of two arms, the second of which leaks more."""
    rng = np.random.default_rng(seed)
    parts = []
    for arm, gap in (("full", 0.1), ("lora", 1.0)):
        for run in range(runs):
            member = np.random.default_rng(run).permutation(rows) < rows // 2
            lost = rng.exponential(1.0, rows) - gap * member + 2
            parts += [(f"e{i}", arm, str(run), int(member[i]), lost[i], "ab"[i % 2]) for i in range(rows)]
    names = ("example_id", "arm", "run", "in_training", "loss", "sex")
    return {name: [p[i] for p in parts] for i, name in enumerate(names)}


def test_attack_in_python_is_the_commands_json(tmp_path):
    import pandas as pd

    path = tmp_path / "signals.csv"
    pd.DataFrame(table()).to_csv(path, index=False)
    out = tmp_path / "out.json"
    options = ["--by", "sex", "--attack", "loss", "--fpr", "0.05", "--permutations", "19", "--json", str(out)]
    assert main(["attack", str(path), *options]) == 0
    expected = json.loads(out.read_text())
    result = evenhand.attack(str(path), by="sex", attack="loss", fpr=0.05, permutations=19).to_dict()
    for key in ("rates", "comparisons", "vulnerability", "roc", "verdict", "settings"):
        assert result[key] == expected[key], key
    assert result["verdict"]["about"] == "these runs"
    assert result["verdict"]["sentence"].startswith("In these runs, leakage of lora against full:")


def test_attack_in_python_refuses_what_the_command_refuses():
    with pytest.raises(InputError, match="'lyra' is not an attack"):
        evenhand.attack(table(), attack=("lyra",))
    with pytest.raises(InputError, match="--fpr"):
        evenhand.attack(table(), fpr=(0.1, 1.5))


def test_five_attacked_runs_are_about_the_method():
    result = evenhand.attack(table(runs=5), attack="loss", permutations=19)
    assert result.verdict["about"] == "the method"
    assert result.verdict["sentence"].startswith("Leakage of lora against full:")
