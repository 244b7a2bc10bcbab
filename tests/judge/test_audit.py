"""Whole audits: the document's contract, families, units, undefined rows, weights, clusters, runs."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from benchmarks.simulate.worlds import World

import evenhand
from evenhand.errors import CallError
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Arm, Attribute, Columns, Predictions

COMPARISON = {
    "reference", "candidate", "attribute", "group", "class", "metric", "family", "difference", "low", "high",
    "level", "interval", "p_value", "p_adjusted", "margin", "verdict", "equivalent", "beyond_margin",
    "minimum_detectable", "rows_to_settle", "runs_to_settle", "n", "n_right_to_wrong", "n_wrong_to_right",
    "runs", "unit", "status", "reason",
}  # fmt: skip
RATE = {
    "input", "attribute", "group", "class", "metric", "value", "low", "high", "level", "n", "n_positive",
    "runs", "unit", "status", "reason", "interval",
}  # fmt: skip
DISPARITY = {
    "input", "attribute", "class", "metric", "value", "low", "high", "level", "groups_used",
    "groups_left_out", "runs", "unit", "status", "reason", "interval",
}  # fmt: skip
VERDICT_ROW = {"about", "counts", "worst", "sentence"}


def arms(n=600, *, seed=0, drop=0.0, classes=2, scores=True):
    """Two arms on the same rows: dicts of columns. The candidate errs more in group b by `drop`."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    group = np.array(["a", "b", "c"])[rng.choice(3, n, p=[0.5, 0.3, 0.2])]
    tables = []
    for extra in (0.0, drop):
        wrong = rng.random(n) < 0.2 + extra * (group == "b")
        answer = np.where(wrong, (label + 1) % classes, label)
        table = {"example_id": np.arange(n).astype(str), "label": label, "prediction": answer, "g": group}
        if scores and classes == 2:
            table["score"] = np.clip(0.5 + (answer - 0.5) * rng.uniform(0.1, 1, n), 0.001, 0.999)
        tables.append(table)
    return tables


def rows_of(result, **where):
    return [r for r in result["comparisons"] if all(r[k] == v for k, v in where.items())]


@pytest.fixture(scope="module")
def plain():
    return evenhand.compare(*arms(drop=0.3), by="g").to_dict()


def test_the_documents_contract(plain):
    assert plain["schema"] == "evenhand.audit/1"
    assert {
        "evenhand",
        "created",
        "settings",
        "inputs",
        "rates",
        "disparities",
        "comparisons",
        "verdict",
    } <= set(plain)
    for row in plain["rates"]:
        assert set(row) >= RATE
    for row in plain["disparities"]:
        assert set(row) >= DISPARITY
    for row in plain["comparisons"]:
        assert set(row) >= COMPARISON
    assert set(plain["verdict"]) == VERDICT_ROW
    assert set(plain["verdict"]["counts"]) == {"harm", "harmless", "help", "undecided"}
    assert set(plain["inputs"][0]) >= {"name", "path", "sha256", "rows", "runs"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_the_primary_family_is_metrics_by_groups(plain):
    primary = rows_of(plain, family="primary")
    assert {(r["metric"], r["group"]) for r in primary} == {
        (m, g) for m in ("accuracy", "true_positive_rate", "false_positive_rate") for g in "abc"
    }
    assert len(primary) == 9
    assert all(r["verdict"] for r in primary)
    assert all(r["verdict"] is None for r in rows_of(plain, family="exploratory"))
    assert sum(plain["verdict"]["counts"].values()) == 9
    assert plain["verdict"]["worst"]["group"] == "b"
    assert "g=b" in plain["verdict"]["sentence"]


def test_interval_excludes_zero_exactly_when_p_adjusted_is_below_alpha(plain):
    checked = 0
    for row in plain["comparisons"]:
        if row["low"] is not None:
            checked += 1
            assert (row["p_adjusted"] < 0.05) == (row["low"] > 0 or row["high"] < 0), row
            assert row["p_adjusted"] >= row["p_value"] - 1e-12
    assert checked > 40


def test_difference_is_candidate_less_reference_and_flips_are_counted(plain):
    a, b = arms(drop=0.3)
    inside = a["g"] == "b"
    right = [(t["label"] == t["prediction"])[inside] for t in (a, b)]
    row = rows_of(plain, metric="accuracy", group="b")[0]
    assert row["difference"] == pytest.approx(right[1].mean() - right[0].mean(), abs=1e-12)
    assert row["n_right_to_wrong"] == np.sum(right[0] & ~right[1])
    assert row["n_wrong_to_right"] == np.sum(~right[0] & right[1])
    assert row["n"] == inside.sum()
    assert (row["reference"], row["candidate"], row["verdict"]) == ("reference", "candidate", "harm")


def test_the_same_arm_twice_is_never_harm_and_never_zero_width():
    a, _ = arms()
    result = evenhand.compare(a, a, by="g", min_group_size=1).to_dict()
    for row in rows_of(result, family="primary"):
        assert row["difference"] == 0
        assert row["low"] < 0 < row["high"]
        assert row["p_value"] == 1
    assert result["verdict"]["counts"]["harm"] == 0


def test_selection_rate_has_no_verdict_but_an_interval():
    result = evenhand.compare(*arms(drop=0.3), by="g", primary=["selection_rate", "accuracy"]).to_dict()
    rows = rows_of(result, metric="selection_rate", family="primary")
    assert len(rows) == 3
    assert all(r["verdict"] is None and r["low"] is not None for r in rows)
    assert sum(result["verdict"]["counts"].values()) == 3


def test_a_rate_and_its_complement_are_one_member_of_a_family():
    both = evenhand.compare(
        *arms(drop=0.1), by="g", primary=["true_positive_rate", "false_negative_rate"]
    ).to_dict()
    alone = evenhand.compare(*arms(drop=0.1), by="g", primary=["true_positive_rate"]).to_dict()
    for group in "abc":
        first = rows_of(alone, metric="true_positive_rate", group=group, family="primary")[0]
        again = rows_of(both, metric="true_positive_rate", group=group, family="primary")[0]
        other = rows_of(both, metric="false_negative_rate", group=group, family="primary")[0]
        assert (again["low"], again["high"]) == (first["low"], first["high"])
        assert (other["low"], other["high"]) == pytest.approx((-first["high"], -first["low"]), abs=1e-9)
        assert other["verdict"] == first["verdict"]


def test_a_disparity_can_join_the_primary_family():
    result = evenhand.compare(
        *arms(drop=0.4, n=4000), by="g", primary=["accuracy", "accuracy_difference"]
    ).to_dict()
    row = rows_of(result, metric="accuracy_difference", family="primary")[0]
    assert row["group"] is None
    assert row["attribute"] == "g"
    assert row["verdict"] == "harm"
    assert sum(result["verdict"]["counts"].values()) == 4


def test_undefined_is_null_with_a_reason_and_left_out():
    table = {"label": [0] * 20 + [0, 1] * 20, "prediction": [0, 1] * 30, "g": ["none"] * 20 + ["x", "y"] * 20}
    table["g"][20:] = ["x"] * 20 + ["y"] * 20
    result = evenhand.audit(table, by="g").to_dict()
    row = next(r for r in result["rates"] if r["group"] == "none" and r["metric"] == "true_positive_rate")
    assert (row["value"], row["status"], row["n"], row["n_positive"]) == (None, "undefined", 20, 0)
    assert row["reason"] == "no rows with a positive label"
    gap = next(r for r in result["disparities"] if r["metric"] == "equal_opportunity_difference")
    assert gap["groups_used"] == ["x", "y"]
    assert gap["groups_left_out"] == [{"group": "none", "reason": "no rows with a positive label"}]


def test_small_groups_keep_their_row_and_get_no_verdict():
    a, b = arms()
    for t in (a, b):
        t["g"] = np.where(np.arange(600) < 6, "tiny", t["g"])
    result = evenhand.compare(a, b, by="g").to_dict()
    row = rows_of(result, metric="accuracy", group="tiny")[0]
    assert (row["status"], row["verdict"], row["n"], row["low"]) == ("too_small", None, 6, None)
    rate = next(r for r in result["rates"] if r["group"] == "tiny" and r["metric"] == "accuracy")
    assert rate["status"] == "too_small"
    assert rate["value"] is not None
    assert all("tiny" not in d["groups_used"] for d in result["disparities"])


def test_runs_decide_the_unit():
    """Shares take three runs of each arm, other numbers five."""
    shares = {
        "accuracy",
        "selection_rate",
        *(f"{a}_{b}_rate" for a in ("true", "false") for b in ("positive", "negative")),
    }
    both = {"rows", "rows and runs"}
    for runs, units in ((1, {"rows"}), (2, {"rows"}), (3, both), (5, {"rows and runs"})):
        world = World((300, 200), (0.8, 0.8), (0.8, 0.6), runs=runs, sigma=0.05)
        p = world.rows(np.random.default_rng(0))
        result = judge_predictions(p, Columns(), Settings()).to_dict()
        assert {r["unit"] for r in result["comparisons"]} == units
        for row in result["comparisons"]:
            least = 3 if row["metric"] in shares else 5
            assert row["unit"] == ("rows and runs" if runs >= least else "rows"), row["metric"]
        assert {r["runs"] for r in result["comparisons"]} == {runs}
        assert ("not for the method" in result["verdict"]["sentence"]) == (runs < 3)


def test_weights_of_two_are_not_twice_the_rows():
    a, b = arms(drop=0.2)
    heavy = [{**t, "w": np.full(600, 2.0)} for t in (a, b)]
    plain = evenhand.compare(a, b, by="g").to_dict()
    weighted = evenhand.compare(*heavy, by="g", weight="w").to_dict()
    for first, second in zip(plain["comparisons"], weighted["comparisons"], strict=True):
        assert second["difference"] == pytest.approx(first["difference"], abs=1e-12)
        if first["low"] is not None and second["low"] is not None:
            # Without weights the exact test may widen an interval to 0; else the limits are the same.
            assert second["low"] == pytest.approx(first["low"], abs=0.02)
            assert second["high"] - second["low"] > 0.6 * (first["high"] - first["low"])


def test_copies_in_clusters_are_no_new_information():
    """Every row ten times, clustered: about the intervals of the rows once; unclustered: far too narrow."""
    a, b = arms(n=900, drop=0.1, scores=False)
    once = evenhand.compare(a, b, by="g", metric=["accuracy"]).to_dict()
    copies = []
    for t in (a, b):
        many = {k: np.tile(v, 10) for k, v in t.items()}
        many["example_id"] = np.arange(9000).astype(str)
        many["c"] = np.tile(t["example_id"], 10)
        copies.append(many)
    clustered = evenhand.compare(*copies, by="g", metric=["accuracy"], cluster="c").to_dict()
    naive = evenhand.compare(*copies, by="g", metric=["accuracy"]).to_dict()
    for first, second, third in zip(
        once["comparisons"], clustered["comparisons"], naive["comparisons"], strict=True
    ):
        width = [r["high"] - r["low"] for r in (first, second, third)]
        assert width[1] == pytest.approx(width[0], rel=0.15)
        assert width[2] < 0.5 * width[0]
    for first, second in zip(once["rates"], clustered["rates"], strict=True):
        assert second["high"] - second["low"] == pytest.approx(first["high"] - first["low"], rel=0.15)


def of_answers(label, answers):
    """What is read of two arms' answers to the same rows, all of one group."""
    arms = [Arm(name, ("1",), a[None]) for name, a in zip(("reference", "candidate"), answers, strict=True)]
    ones = np.ones(len(label))
    group = Attribute("g", "partition", ("a",), np.zeros(len(label), np.int64))
    return Predictions(("0", "1"), 1, label, tuple(arms), (group,), ones, ones, ones)


@pytest.mark.no_cover
def test_clusters_cover():
    """Rows of a cluster share their fate: clustered intervals cover, plain ones do not."""
    rng = np.random.default_rng(0)
    inside = {"c": 0, None: 0}
    clusters = np.arange(600) // 15
    for _ in range(120):
        chance = np.clip(rng.normal(0.7, 0.25, (40, 2)), 0, 1).repeat(15, axis=0)
        right = rng.random((600, 2)) < chance
        label = rng.integers(0, 2, 600)
        drawn = of_answers(label, [np.where(right[:, k], label, 1 - label) for k in (0, 1)])
        for name, cluster in (("c", clusters), (None, None)):
            p = dataclasses.replace(drawn, cluster=cluster)
            result = judge_predictions(p, Columns(by=("g",)), Settings(metrics=("accuracy",)))
            row = result.comparisons[0]
            inside[name] += row["low"] <= 0 <= row["high"]
    assert inside["c"] >= 108
    assert inside[None] < inside["c"] - 12


def test_multiclass_is_one_against_the_rest():
    a, b = arms(classes=3, drop=0.2)
    result = evenhand.compare(a, b, by="g").to_dict()
    assert {r["class"] for r in result["rates"] if r["metric"] == "true_positive_rate"} == {"0", "1", "2"}
    assert {r["class"] for r in result["rates"] if r["metric"] == "accuracy"} == {None}
    inside = (a["g"] == "a") & (a["label"] == 2)
    where = {"metric": "true_positive_rate", "class": "2", "group": "a", "input": "reference"}
    row = next(r for r in result["rates"] if all(r[k] == v for k, v in where.items()))
    assert row["value"] == pytest.approx((a["prediction"][inside] == 2).mean())
    assert len(rows_of(result, family="primary")) == 3 * (1 + 3 + 3)


def test_the_same_seed_gives_the_same_numbers_on_any_number_of_threads():
    code = """
import json, sys, numpy as np
sys.path.insert(0, sys.argv[1])
import evenhand
from tests.judge.test_audit import arms
d = evenhand.compare(*arms(drop=0.15), by="g").to_dict()
d.pop("created")
print(json.dumps(d, sort_keys=True))
"""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    outputs = []
    for threads in ("1", "2"):
        env = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code, root], capture_output=True, text=True, check=True, env=env
        )
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]


def test_calibration_is_compared_by_permutation():
    a, b = arms(n=1500)
    noisy = {**b, "score": np.where(b["label"] == 1, 0.97, 0.03) * 0.999}
    result = evenhand.compare(a, noisy, by="g").to_dict()
    row = rows_of(result, metric="expected_calibration_error", group="a")[0]
    assert row["low"] is None
    assert row["verdict"] is None
    assert row["p_value"] < 0.01
    same = rows_of(evenhand.compare(a, a, by="g").to_dict(), metric="expected_calibration_error", group="a")[
        0
    ]
    assert same["p_value"] == 1


@pytest.mark.no_cover
def test_equal_calibration_of_groups_of_different_size_is_not_called_different():
    rng = np.random.default_rng(2)
    rejected = []
    for _ in range(60):
        n = 1540
        score = rng.beta(2, 2, n)
        table = {
            "label": (rng.random(n) < score).astype(int),
            "score": score,
            "g": np.repeat(["big", "small"], [1500, 40]),
        }
        row = next(
            d
            for d in evenhand.audit(
                table, by="g", metric=["expected_calibration_error_difference"]
            ).disparities
        )
        assert row["value"] > 0
        rejected.append(row["p_value"] < 0.05)
    assert np.mean(rejected) <= 0.15


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"primary": ["tpr"]}, "Known:"),
        ({"alpha": 1.5}, "alpha is between 0 and 1"),
        ({"margin": -0.1}, "above 0"),
        ({"margin": {"accurac": 0.1}}, "accuracy"),
        ({"min_group_size": 0}, "at least 1"),
        ({"rng": -1}, "seed"),
    ],
)
def test_calls_that_cannot_be_meant(options, words):
    with pytest.raises(CallError, match="(?s)" + words):
        evenhand.compare(*arms(), by="g", **options)


def test_a_reference_that_is_no_arm_and_scores_that_are_missing():
    with pytest.raises(CallError, match="did you mean 'full'"):
        evenhand.audit({"full": arms()[0], "lora": arms()[1]}, by="g", reference="ful")
    with pytest.raises(CallError, match="needs scores"):
        evenhand.compare(*arms(scores=False), by="g", metric=["roc_auc"])


def test_arms_that_separate_perfectly_do_not_differ_by_rounding():
    """Arms that order all rows rightly have a ROC AUC of 1; weights leave rounding in its influence."""
    rng = np.random.default_rng(5)
    label = np.repeat([0, 1], 60)
    weight = rng.uniform(0.1, 3.0, 120)
    arms = {
        name: {
            "example_id": np.arange(120),
            "label": label,
            "score": label * 0.5 + rng.uniform(0.01, 0.48, 120),
            "race": np.tile(["a", "b"], 60),
            "w": weight,
        }
        for name in ("full", "lora")
    }
    result = evenhand.audit(arms, by="race", weight="w", metric="roc_auc")
    rows = [row for row in result.comparisons if row["metric"] == "roc_auc"]
    assert [row["difference"] for row in rows] == pytest.approx([0.0] * len(rows), abs=1e-12)
    assert {row["verdict"] for row in rows} <= {"undecided", None}
    assert all(row["p_value"] is None for row in rows)
