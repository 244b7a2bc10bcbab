"""Runs that have test rows of their own: means over runs of what each run shows on its rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import evenhand
from evenhand.errors import CallError, TableError
from evenhand.judge.core.estimates import collapse_equal_rows, groups_of, observe
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.pairs import compare_arms
from evenhand.judge.metrics import accuracy, roc_auc
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.predictions.read import load
from evenhand.tables.schema import ABSENT, Columns
from tests.judge.arms import draw

#: run -> example -> (label, score of the reference, score of the candidate)
RUNS = {
    "13": {"a": (1, 0.9, 0.9), "b": (1, 0.2, 0.8), "c": (0, 0.7, 0.6), "d": (0, 0.1, 0.4)},
    "42": {"d": (0, 0.6, 0.3), "e": (1, 0.3, 0.7)},
}
COLUMNS = Columns(arm="arm", run="run", by=("grp",), resplit=True)
FEW = Settings(min_group_size=1)


def table(runs=RUNS, arms=("full", "lora")):
    rows = [
        {"arm": arm, "run": run, "example_id": i, "label": values[0], "score": values[1 + column], "grp": "x"}
        for column, arm in enumerate(arms)
        for run, examples in runs.items()
        for i, values in examples.items()
    ]
    for row in rows:
        row["prediction"] = int(row["score"] >= 0.5)
        row["grp"] = "x" if row["example_id"] in "abd" else "y"
    return {k: np.array([r[k] for r in rows]) for k in rows[0]}


def row(rows, metric, **where):
    [match] = [r for r in rows if r["metric"] == metric and all(r[k] == v for k, v in where.items())]
    return match


def drop(columns, at):
    return {k: np.delete(v, at) for k, v in columns.items()}


def split_anew(p, rng, share=0.4):
    """The same predictions, of which every run keeps its own part of the rows."""
    runs, n = p.arms[0].prediction.shape
    present = rng.random((runs, n)) < share
    arms = tuple(dataclasses.replace(a, prediction=np.where(present, a.prediction, ABSENT)) for a in p.arms)
    return dataclasses.replace(p, arms=arms, resplit=True)


def test_rows_of_a_run_are_read_with_the_others_marked_as_absent():
    predictions = load(table(), COLUMNS, need_scores=True)
    assert predictions.resplit
    full, lora = predictions.arms
    assert full.prediction.tolist() == [[1, 0, 1, 0, ABSENT], [ABSENT, ABSENT, ABSENT, 1, 0]]
    assert lora.prediction.tolist() == [[1, 1, 1, 0, ABSENT], [ABSENT, ABSENT, ABSENT, 0, 1]]
    np.testing.assert_allclose(full.score[1, 3:, 1], [0.6, 0.3])
    assert np.isnan(full.score[1, :3]).all()
    cells = load(table(), COLUMNS, need_scores=False)
    assert cells.count.sum() == 5
    assert collapse_equal_rows(predictions).count.sum() == 5


def test_the_estimate_is_the_mean_of_the_runs_and_not_of_their_rows():
    result = evenhand.audit(table(), by="grp", arm="arm", run="run", resplit=True, min_group_size=1)
    # Run 13: full 2 of 4 right, lora 3 of 4. Run 42: full 0 of 2, lora 2 of 2.
    everyone = {"group": None, "attribute": None}
    assert row(result.rates, "accuracy", input="full", **everyone)["value"] == pytest.approx(1 / 4)
    assert row(result.rates, "accuracy", input="lora", **everyone)["value"] == pytest.approx(7 / 8)
    compared = row(result.comparisons, "accuracy", **everyone)
    assert compared["difference"] == pytest.approx((1 / 4 + 1) / 2)
    assert (compared["n"], compared["runs"], compared["unit"]) == (5, 2, "rows")
    assert "rows by run" in compared["interval"]
    assert result.to_dict()["settings"]["resplit"] is True
    # AUC of run 13: full ranks a above both and b above d; lora ranks both above both. Run 42: 0 and 1.
    assert row(result.rates, "roc_auc", input="full", **everyone)["value"] == pytest.approx((3 / 4 + 0) / 2)
    assert row(result.rates, "roc_auc", input="lora", **everyone)["value"] == pytest.approx(1)
    full = [np.mean([0.01, 0.64, 0.49, 0.01]), np.mean([0.36, 0.49])]
    assert row(result.rates, "brier_score", input="full", **everyone)["value"] == pytest.approx(np.mean(full))


def test_a_disparity_is_that_of_the_groups_means_over_runs():
    runs = {"1": {**RUNS["13"], "e": (1, 0.9, 0.1)}, "2": {**RUNS["42"], "a": (1, 0.9, 0.4)}}
    result = evenhand.audit(table(runs), by="grp", arm="arm", run="run", resplit=True, min_group_size=1)
    # full: x (a b d): 2/3 and, of d and a, 1/2; y (c e): 1/2 and, of e, 0.
    gap = row(result.disparities, "accuracy_difference", input="full")
    assert gap["value"] == pytest.approx((2 / 3 + 1 / 2) / 2 - (1 / 2 + 0) / 2)


def test_an_example_in_two_runs_is_one_row():
    predictions = load(table(), COLUMNS, need_scores=True)
    [group] = groups_of(None, predictions)
    observed = [observe(accuracy, arm, group, predictions, 1) for arm in predictions.arms]
    m = PairedArms("accuracy", accuracy.INFO, None, group, *observed, *predictions.arms, predictions)
    pair = compare_arms(m, 1, np.random.default_rng(0))
    # d of a b c d e: 0 1 0 (0 in run 13, 1 in run 42) 1; their parts: 1/8 each, d 1/8 + 1/4, e 1/4.
    part = np.array([1, 1, 1, 3, 2]) / 8
    d = np.array([0, 1, 0, 2 / 3, 1])
    assert pair.difference == pytest.approx(part @ d)
    assert pair.evidence.estimate.square == pytest.approx(part @ d**2)
    assert pair.evidence.estimate.n == pytest.approx(1 / (part @ part))  # fewer than ten rows differ
    assert observed[1].right.tolist() == [1, 1, 0, 1, 1]
    assert observed[0].present.tolist() == [0.5, 0.5, 0.5, 1, 0.5]


def test_the_variance_over_rows_adds_the_runs_of_an_example_before_it_squares():
    rng = np.random.default_rng(3)
    p = split_anew(draw({"a": [0.7], "b": [0.8]}, [400], rng, runs=3), rng)
    [group] = groups_of(None, p)
    observed = [observe(accuracy, arm, group, p, 1) for arm in p.arms]
    expected, total = np.zeros(400), np.zeros(400)
    mean = observed[1].value - observed[0].value
    for run in range(3):
        here = p.arms[0].prediction[run] != ABSENT
        right = [(arm.prediction[run] == p.label)[here].astype(float) for arm in p.arms]
        d = right[1] - right[0]
        expected[here] += (d - d.mean()) / here.sum() / 3
        total[here] += (d - mean) / here.sum() / 3
    influence = observed[1].influence - observed[0].influence
    np.testing.assert_allclose(influence, expected, atol=1e-15)
    m = PairedArms("accuracy", accuracy.INFO, None, group, *observed, *p.arms, p)
    pair = compare_arms(m, 1, np.random.default_rng(0))
    estimate = pair.evidence.estimate
    implied = (estimate.square - pair.difference**2) / estimate.n
    # The number of effective rows is at most that of examples, so the interval may be a little wider.
    assert total @ total <= implied < 1.05 * (total @ total)
    assert implied > 1.1 * np.sum(total**2 / np.maximum((p.arms[0].prediction != ABSENT).sum(axis=0), 1))


def test_runs_that_all_have_the_same_rows_give_nearly_the_ordinary_audit(monkeypatch):
    # Rows by run leave variances over runs as they are; so does the ordinary audit for this comparison.
    monkeypatch.setattr("evenhand.judge.core.families.moderate", lambda pairs: pairs)
    p = draw({"a": [0.8, 0.7], "b": [0.85, 0.6]}, [300, 200], np.random.default_rng(1), runs=5, sigma=0.1)
    usual, anew = (
        judge_predictions(dataclasses.replace(p, resplit=r), Columns(), Settings()).comparisons
        for r in (False, True)
    )
    for ordinary, resplit in zip(usual, anew, strict=True):
        assert resplit["difference"] == pytest.approx(ordinary["difference"], abs=1e-12)
        assert (resplit["n"], resplit["unit"]) == (ordinary["n"], ordinary["unit"])
        if ordinary["low"] is not None:
            width = ordinary["high"] - ordinary["low"]
            assert resplit["high"] - resplit["low"] == pytest.approx(width, rel=0.05), ordinary["metric"]


def test_from_five_runs_on_the_interval_holds_for_other_runs():
    rng = np.random.default_rng(5)
    p = split_anew(draw({"a": [0.8], "b": [0.8]}, [500], rng, runs=5, sigma=0.5), rng)
    few = dataclasses.replace(
        p,
        arms=tuple(dataclasses.replace(a, runs=a.runs[:4], prediction=a.prediction[:4]) for a in p.arms),
    )
    five, four = (
        row(judge_predictions(q, Columns(), Settings()).comparisons, "accuracy", group="g0") for q in (p, few)
    )
    assert (five["unit"], four["unit"]) == ("rows and runs", "rows")
    assert five["high"] - five["low"] > 1.5 * (four["high"] - four["low"])


def test_a_class_that_a_run_has_no_rows_of_is_undefined_with_a_reason():
    runs = {"1": RUNS["13"], "2": {"d": RUNS["42"]["d"]}}
    result = evenhand.audit(table(runs), by="grp", arm="arm", run="run", resplit=True, min_group_size=1)
    compared = row(result.comparisons, "true_positive_rate", group=None)
    assert (compared["status"], compared["difference"]) == ("undefined", None)
    assert compared["reason"] == "no rows with a positive label in a run"


def test_runs_of_one_name_have_the_same_rows_in_all_arms():
    # The seventh row is lora's example a of run 13.
    with pytest.raises(TableError, match=r"Runs of one name .*'lora' run '13' lacks 1 \(first: 'a'\)"):
        load(drop(table(), 6), COLUMNS, need_scores=True)
    with pytest.raises(TableError, match=r"'full' run '13' lacks 1 \(first: 'a'\)"):
        load(drop(table(), 0), COLUMNS, need_scores=True)
    # d is in both runs: without one of them it is still in every arm.
    with pytest.raises(TableError, match=r"'lora' run '42' lacks 1 \(first: 'd'\)"):
        load(drop(table(), 10), COLUMNS, need_scores=True)


def test_runs_pair_by_name():
    other = table()
    other["run"] = np.where((other["arm"] == "lora") & (other["run"] == "42"), "7", other["run"])
    with pytest.raises(CallError, match=r"'full' has 13, 42 and 'lora' has 7, 13"):
        load(other, COLUMNS, need_scores=True)


def test_unlike_rows_are_refused_by_default_and_inner_excludes_resplit():
    with pytest.raises(TableError, match="have different examples"):
        load(table(), dataclasses.replace(COLUMNS, resplit=False), need_scores=True)
    with pytest.raises(CallError, match="--inner and --resplit"):
        load(table(), dataclasses.replace(COLUMNS, inner=True), need_scores=True)


def test_scores_of_absent_rows_reach_no_metric():
    predictions = load(table(), COLUMNS, need_scores=True)
    [group] = groups_of(None, predictions)
    observed = observe(roc_auc, predictions.arms[0], group, predictions, 1)
    assert np.isfinite(observed.influence).all()
    assert observed.values.tolist() == [0.75, 0.0]
