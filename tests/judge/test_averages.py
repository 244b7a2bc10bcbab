"""Averages of arms: against single arms, against sums worked row by row, and in worlds of known truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import evenhand
from evenhand.cli import main
from evenhand.errors import CallError
from evenhand.judge.across_arms.averages import _flips_of_runs, _pairs
from evenhand.judge.core.estimates import groups_of
from evenhand.judge.metrics import accuracy as accuracy_metric
from evenhand.judge.metrics import true_positive_rate
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Columns
from tests.judge.arms import draw, mean_accuracy

NAMES = ("accuracy", "f1", "true_positive_rate")
LORA = Settings(metrics=NAMES, primary=NAMES, average=("lora",))


def judged(predictions, settings=LORA):
    return judge_predictions(predictions, Columns(), settings).to_dict()


def arms(*, runs=5, ranks=(1, 8, 64), loss=0.04, groups=3, seed=0, sigma=0.2, shared=0.0, rows=300):
    accuracy = {"full": [0.85] * groups} | {f"lora[rank={r}]": [0.85 - loss] * groups for r in ranks}
    rng = np.random.default_rng(seed)
    return draw(accuracy, (rows,) * groups, rng, runs=runs, sigma=sigma, shared=shared)


def renamed(predictions, number, runs):
    """One arm's runs with other names."""
    changed = list(predictions.arms)
    changed[number] = dataclasses.replace(changed[number], runs=runs)
    return dataclasses.replace(predictions, arms=tuple(changed))


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_average_of_equal_arms_is_that_arm(runs):
    """All that an interval takes from runs and rows, as the same arm has it in an audit of its own."""
    p = arms(runs=runs, ranks=(1,))
    # From five runs on that of an arm's F1 is moderated, and that of an average is not.
    names = NAMES if runs < 5 else ("accuracy", "true_positive_rate")
    of_names = dataclasses.replace(LORA, metrics=names, primary=names)
    copies = [dataclasses.replace(p.arms[1], name=f"lora[rank={r}]") for r in (1, 2, 4)]
    rows = judged(dataclasses.replace(p, arms=(p.arms[0], *copies)), of_names)["averages"]
    single = judged(p, dataclasses.replace(of_names, average=()))
    alone = [r for r in single["comparisons"] if r["family"] == "primary"]
    assert len(rows) == len(alone) == 3 * len(names)
    for row, single in zip(rows, alone, strict=True):
        assert row["candidate"] == "lora (3 arms)"
        assert row["arms"] == ["lora[rank=1]", "lora[rank=2]", "lora[rank=4]"]
        for key in (
            "difference",
            "low",
            "high",
            "p_value",
            "n_right_to_wrong",
            "n_right_to_wrong_between_runs",
        ):
            assert row[key] == pytest.approx(single[key], abs=1e-9), key
        for key in ("group", "metric", "verdict", "unit", "runs", "margin", "rows_to_settle"):
            assert row[key] == single[key], key


def test_the_difference_is_the_mean_of_the_arms_differences():
    document = judged(arms())
    for row in document["averages"]:
        keys = ("metric", "attribute", "group", "class")
        same = [r for r in document["comparisons"] if all(r[k] == row[k] for k in keys)]
        assert len(same) == 3
        assert row["difference"] == pytest.approx(np.mean([r["difference"] for r in same]), abs=1e-12)
        assert row["n_wrong_to_right"] == pytest.approx(
            np.mean([r["n_wrong_to_right"] for r in same]), abs=1e-5
        )
        assert row["family"] == "averages"
        assert row["high"] - row["low"] < np.mean([r["high"] - r["low"] for r in same])
    assert (
        document["verdict"]["counts"]
        == judged(arms(), dataclasses.replace(LORA, average=()))["verdict"]["counts"]
    )


@pytest.mark.parametrize("metric", [accuracy_metric, true_positive_rate])
def test_flips_of_an_average_are_the_mean_square_of_rows_and_runs(metric):
    p = arms(runs=4)
    group = groups_of(p.attributes[0], p)[1]
    rows = group.rows
    right = np.mean([a.prediction[:, rows] == p.label[rows] for a in p.arms[1:]], axis=0)
    if metric is true_positive_rate:
        right = right[:, p.label[rows] == 1]
    runs, n = right.shape
    rest = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + right.mean()
    expected = np.sum(rest**2) / ((n - 1) * (runs - 1)) / n
    assert _flips_of_runs(metric, p.arms[1:], group, p, 1) == pytest.approx(expected, rel=1e-9)


def test_evidence_of_an_average_has_its_own_flips_and_no_exact_test():
    names = ["lora[rank=1]", "lora[rank=8]", "lora[rank=64]"]
    p = arms(runs=3)
    group = groups_of(p.attributes[0], p)[0]
    pair = _pairs(accuracy_metric, ("lora", names), p, 0, LORA)[0]
    assert pair.evidence.runs.flips[1] == _flips_of_runs(accuracy_metric, p.arms[1:], group, p, 1)
    right = np.array([a.prediction[:, group.rows] == p.label[group.rows] for a in p.arms[1:]])
    assert pair.evidence.runs.values[1] == pytest.approx(right.mean(axis=(0, 2)), abs=1e-12)
    single = _pairs(accuracy_metric, ("lora", names), arms(runs=1), 0, LORA)[0]
    assert np.isnan([single.evidence.estimate.better, single.evidence.estimate.worse]).all()


def test_arms_whose_runs_cannot_be_averaged_say_so():
    p = arms()
    fewer = dataclasses.replace(p.arms[2], runs=p.arms[2].runs[:3], prediction=p.arms[2].prediction[:3])
    rows = judged(dataclasses.replace(p, arms=(*p.arms[:2], fewer, p.arms[3])))["averages"]
    assert {r["status"] for r in rows} == {"undefined"}
    assert rows[0]["reason"] == "the arms have between 3 and 5 runs; an average needs equally many"
    assert rows[0]["verdict"] is None
    shifted = judged(renamed(p, 1, ("1", "2", "3", "4", "9")))["averages"]
    assert shifted[0]["reason"].startswith("the arms share some of their seeds")
    others = renamed(renamed(p, 1, tuple("abcde")), 2, tuple("fghij"))
    assert {r["status"] for r in judged(others)["averages"]} == {"ok"}


def test_a_study_that_lost_its_arms_says_so():
    document = judged(arms(ranks=(1,)))
    assert document["averages"] == []
    assert document["problems"][-1] == (
        "The arms of lora are not averaged: only lora[rank=1] has runs that can be compared."
    )


def test_names_and_patterns_choose_arms():
    names = ["full", "lora[rank=1]", "lora[rank=8]", "lora_plus[rank=8]", "dora"]
    chosen = Settings(average=("lora", "lora*", "*[rank=8]", "*")).averaged(names, 0)
    assert chosen["lora"] == names[1:3]
    assert chosen["lora*"] == names[1:4]
    assert chosen["*[rank=8]"] == names[2:4]
    assert chosen["*"] == names[1:]


def tables(names):
    rng = np.random.default_rng(0)
    label, group = rng.integers(0, 2, 200), np.repeat(["a", "b"], 100)
    columns = {}
    for name in names:
        answer = np.where(rng.random(200) < 0.2, 1 - label, label)
        columns[name] = {"example_id": np.arange(200), "label": label, "prediction": answer, "g": group}
    return columns


def test_averages_from_python_and_its_refusals():
    source = tables(["full", "lora8", "lora64"])
    result = evenhand.audit(source, by="g", average="lora*")
    assert result.averages[0]["arms"] == ["lora8", "lora64"]
    assert result.to_dict()["settings"]["average"] == ["lora*"]
    with pytest.raises(CallError, match=r"--average 'lora': no arm but the reference is of this name"):
        evenhand.audit(source, by="g", average="lora")
    with pytest.raises(CallError, match=r"only 'lora8' is .*two candidate arms or more"):
        evenhand.audit(source, by="g", average="lora8")
    with pytest.raises(CallError, match=r"'lora\*' is given twice"):
        evenhand.audit(source, by="g", average=["lora*", "lora*"])
    with pytest.raises(CallError, match="the arms of generations are not averaged"):
        LORA.refuse_names(NAMES, "generations")


def test_averages_from_the_command_line(tmp_path, capsys):
    files = []
    for name, columns in tables(["full", "lora8", "lora64"]).items():
        files.append(str(tmp_path / f"{name}.csv"))
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    assert main(["audit", *files, "--by", "g", "--average", "lora*"]) == 0
    assert "lora* (2 arms) against full, in these runs:" in capsys.readouterr().out
    assert main(["audit", *files, "--by", "g", "--average", "lora"]) == 2
    assert "no arm but the reference is of this name" in capsys.readouterr().err


@pytest.mark.parametrize(("runs", "shared"), [(1, 0.0), (3, 0.0), (5, 0.0), (5, 1.0)])
def test_intervals_hold(runs, shared):
    sigma = 0.2 if runs > 1 else 0.0
    names = ("accuracy",)
    settings = Settings(metrics=names, primary=names, average=("lora",))
    true = mean_accuracy(0.82, sigma) - mean_accuracy(0.85, sigma)
    held = []
    for seed in range(150):
        p = arms(runs=runs, loss=0.03, seed=seed, sigma=sigma, shared=shared, rows=200)
        rows = judged(p, settings)["averages"]
        held.append(all(r["low"] <= true <= r["high"] for r in rows))
    assert np.mean(held) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 150)
