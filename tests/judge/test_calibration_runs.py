"""Calibration errors of several runs: the p-value by hand, and what equal and unequal arms come to."""

import numpy as np
import pytest
from benchmarks.simulate.calibration import ERROR, draw, row_of, simulate

import evenhand
from evenhand.judge.core.estimates import groups_of, observe
from evenhand.judge.core.matched import PairedArms
from evenhand.judge.core.pairs import compare_arms
from evenhand.judge.metrics import expected_calibration_error
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.judge.stats.permutation import true_size
from evenhand.tables.schema import Columns

ONLY = {"metrics": (ERROR,), "primary": (ERROR,)}


def error_of(score, label):
    bins = np.minimum((score * 15).astype(int), 14)
    return sum(abs((score - label)[bins == b].sum()) for b in range(15)) / len(label)


def test_the_p_value_of_three_runs_is_that_of_swaps_of_rows_in_all_runs_at_once():
    p = draw(150, 3, np.random.default_rng(1), of_runs=0.0, of_rows=0.5, shift=0.06)
    row = row_of(p, Settings(**ONLY))
    scores = [arm.score[:, :, 1] for arm in p.arms]

    def difference(first, second):
        pairs = zip(first, second, strict=True)
        return np.mean([error_of(b, p.label) - error_of(a, p.label) for a, b in pairs])

    observed = difference(*scores)
    assert row["difference"] == pytest.approx(observed)
    assert (row["low"], row["high"], row["verdict"]) == (None, None, None)
    rng = np.random.default_rng(5)
    beyond = 0
    for _ in range(1500):
        swap = rng.random(150) < 0.5
        first, second = (np.where(swap, scores[1 - i], scores[i]) for i in (0, 1))
        beyond += abs(difference(first, second)) >= abs(observed) * (1 - 1e-9)
    assert row["p_value"] == pytest.approx(beyond / 1500, abs=0.04)


def test_many_rows_have_the_law_of_few():
    """The normal limit of the sums gives the p-value that single swaps give."""
    p = draw(1990, 5, np.random.default_rng(2), of_runs=0.1, of_rows=0.3, shift=0.02)
    q = draw(2010, 5, np.random.default_rng(2), of_runs=0.1, of_rows=0.3, shift=0.02)
    few, many = (row_of(x, Settings(**ONLY, margins={ERROR: 0.03})) for x in (p, q))
    assert few["high"] - few["low"] == pytest.approx(many["high"] - many["low"], rel=0.35)


@pytest.mark.no_cover
def test_equal_arms_of_five_runs_are_covered_and_harmless_and_a_loss_is_not():
    equal = simulate(40, rows=6000, runs=5, margin=0.03, of_runs=0.0)
    assert equal["covered"] >= 0.9
    assert equal["p < 0.05"] <= 0.1
    assert equal["harmless"] >= 0.8
    worse = simulate(40, rows=6000, runs=5, margin=0.03, of_runs=0.0, shift=0.06)
    assert worse["harmless"] == 0
    assert worse["harm"] >= 0.9


def test_noise_widens_the_side_of_an_interval_that_crosses_0():
    p = draw(400, 5, np.random.default_rng(3), of_runs=0.1, of_rows=0.3, shift=0.0)
    row = row_of(p, Settings(**ONLY, margins={ERROR: 0.03}))
    [group] = groups_of(None, p)
    observed = [observe(expected_calibration_error, arm, group, p, 1) for arm in p.arms]
    info = expected_calibration_error.INFO
    m = PairedArms(ERROR, info, None, group, *observed, *p.arms, p)
    evidence = compare_arms(m, 10, np.random.default_rng((0, 0)), margin=True).evidence
    low, high = (float(v) for v in evidence.estimate.interval(0.05))
    assert low < 0 < high
    assert evidence.noise > 0
    wider = true_size(np.array([-low, high]), np.full(2, evidence.noise))
    assert (row["low"], row["high"]) == (pytest.approx(-wider[0]), pytest.approx(wider[1]))
    assert row["low"] < low
    assert row["high"] > high


def test_metrics_of_scores_are_independent_in_a_family_with_rates():
    """Their influence values lie on single rows, those of rates on rows that are counted together."""
    p = draw(600, 5, np.random.default_rng(4), of_runs=0.1, of_rows=0.3, shift=0.02)
    alone, mixed = (Settings(metrics=m, primary=m) for m in (("brier_score",), ("accuracy", "brier_score")))
    [one] = judge_predictions(p, Columns(), alone).comparisons
    rows = {r["metric"]: r for r in judge_predictions(p, Columns(), mixed).comparisons}
    assert rows["brier_score"]["interval"].endswith("simultaneous over 2")
    sidak = 1 - (1 - one["p_value"]) ** 2
    assert rows["brier_score"]["p_value"] == one["p_value"]
    assert rows["brier_score"]["p_adjusted"] == pytest.approx(sidak, abs=0.02)


def test_of_unlike_numbers_of_runs_there_is_no_p_value():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 300)
    rows = [(i, arm, run, label[i], s) for arm, runs in (("a", 2), ("b", 3)) for run in range(runs)
            for i, s in enumerate(rng.uniform(0, 1, 300))]  # fmt: skip
    names = ("example_id", "arm", "run", "label", "score")
    table = {name: [r[k] for r in rows] for k, name in enumerate(names)}
    result = evenhand.audit(table, arm="arm", run="run", metric=ERROR)
    [row] = [r for r in result.comparisons if r["metric"] == ERROR]
    assert row["p_value"] is None
    assert row["reason"] == "no p-value: the arms have different numbers of runs"


def test_what_noise_hides():
    """An error that is spread over all bins shows as E|x + Z| - E|Z| of each."""
    rng = np.random.default_rng(0)
    for x in (0.3, 1.0, 3.0):
        noise = rng.standard_normal(400_000)
        excess = np.mean(np.abs(x + noise) - np.abs(noise))
        assert true_size(np.array([excess]), np.array([1.0]))[0] == pytest.approx(x, abs=0.02)
    assert list(true_size(np.array([0.0, 0.4]), np.array([1.0, 0.0]))) == [0.0, 0.4]
