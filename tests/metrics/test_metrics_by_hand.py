"""Tables small enough to work out by hand."""

from __future__ import annotations

import math
from fractions import Fraction as F

import pytest

from evenhand import metrics

G = ["a"] * 7 + ["b"] * 5
Y = [1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0]
P = [1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]
# a: 2 of 3 positives and 1 of 4 negatives are selected, 5 of 7 right;
# b: 1 of 2 and 1 of 3, 3 of 5 right; all: TP 3, FP 2, TN 5, FN 2.


@pytest.mark.parametrize(
    ("name", "a", "b", "all_rows"),
    [
        ("selection_rate", F(3, 7), F(2, 5), F(5, 12)),
        ("true_positive_rate", F(2, 3), F(1, 2), F(3, 5)),
        ("false_negative_rate", F(1, 3), F(1, 2), F(2, 5)),
        ("false_positive_rate", F(1, 4), F(1, 3), F(2, 7)),
        ("true_negative_rate", F(3, 4), F(2, 3), F(5, 7)),
        ("accuracy", F(5, 7), F(3, 5), F(8, 12)),
        ("balanced_accuracy", F(17, 24), F(7, 12), F(23, 35)),
        ("precision", F(2, 3), F(1, 2), F(3, 5)),
        ("f1", F(4, 6), F(2, 4), F(6, 10)),
    ],
)
def test_rates(name, a, b, all_rows):
    function = getattr(metrics, name)
    assert function(Y[:7], P[:7]) == pytest.approx(float(a), abs=1e-15)
    assert function(Y[7:], P[7:]) == pytest.approx(float(b), abs=1e-15)
    assert function(Y, P) == pytest.approx(float(all_rows), abs=1e-15)


@pytest.mark.parametrize(
    ("name", "call", "between", "to_overall"),
    [
        ("demographic_parity_difference", {}, F(1, 35), F(1, 60)),
        ("demographic_parity_ratio", {}, F(14, 15), F(24, 25)),
        ("equalized_odds_difference", {}, F(1, 6), F(1, 10)),
        ("equalized_odds_difference", {"agg": "mean"}, F(1, 8), F(31, 420)),
        ("equalized_odds_difference_mean", {}, F(1, 8), F(31, 420)),
        ("equalized_odds_ratio", {}, F(3, 4), F(5, 6)),
        ("equalized_odds_ratio", {"agg": "mean"}, F(3, 4), F(71, 84)),
        ("equal_opportunity_difference", {}, F(1, 6), F(1, 10)),
        ("equal_opportunity_ratio", {}, F(3, 4), F(5, 6)),
        ("accuracy_difference", {}, F(4, 35), F(1, 15)),
    ],
)
def test_disparities(name, call, between, to_overall):
    function = getattr(metrics, name)
    assert function(Y, P, sensitive_features=G, **call) == pytest.approx(float(between), abs=1e-15)
    value = function(Y, P, sensitive_features=G, method="to_overall", **call)
    assert value == pytest.approx(float(to_overall), abs=1e-15)


def test_selection_does_not_look_at_labels():
    """Two of four selected, one of four positive."""
    assert metrics.selection_rate([1, 0, 0, 0], [0, 1, 1, 0]) == 2 / 4
    call = {"sensitive_features": ["a", "a", "b", "b"]}
    assert metrics.demographic_parity_difference([0, 1, 1, 1], [1, 1, 1, 0], **call) == 1 / 2
    assert metrics.demographic_parity_ratio([0, 1, 1, 1], [1, 1, 1, 0], **call) == 1 / 2


def test_worst_group():
    assert metrics.worst_group_accuracy(Y, P, sensitive_features=G) == 3 / 5


def test_weights():
    """The first row, selected and positive, counts three times: 4 of 5 positives of a."""
    w = [3, *[1] * 11]
    assert metrics.true_positive_rate(Y[:7], P[:7], w[:7]) == 4 / 5
    value = metrics.equal_opportunity_difference(Y, P, sensitive_features=G, sample_weight=w)
    assert value == pytest.approx(4 / 5 - 1 / 2, abs=1e-15)


def test_scores():
    y, s, g = [0, 1, 0, 1], [0.2, 0.4, 0.4, 0.8], ["a", "b", "b", "a"]
    assert metrics.roc_auc(y, s) == (1 + 1 + 1 + 0.5) / 4
    assert metrics.brier_score(y, s) == pytest.approx((0.04 + 0.36 + 0.16 + 0.04) / 4, abs=1e-15)
    nats = -(math.log(0.8) + math.log(0.4) + math.log(0.6) + math.log(0.8)) / 4
    assert metrics.log_loss(y, s) == pytest.approx(nats, abs=1e-15)
    assert metrics.expected_calibration_error(y, s) == pytest.approx((0.2 + 2 * 0.1 + 0.2) / 4, abs=1e-15)
    value = metrics.expected_calibration_error_difference(y, s, sensitive_features=g)
    assert value == pytest.approx(0.2 - 0.1, abs=1e-15)


def test_scores_of_three_classes():
    y, s = [0, 2], [[0.5, 0.25, 0.25], [0.2, 0.7, 0.1]]
    assert metrics.brier_score(y, s) == pytest.approx((0.375 + 0.04 + 0.49 + 0.81) / 2, abs=1e-15)
    assert metrics.log_loss(y, s) == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2, abs=1e-15)
    assert metrics.expected_calibration_error(y, s) == pytest.approx((0.5 + 0.7) / 2, abs=1e-15)
    assert metrics.accuracy(["x", "y", "z"], ["x", "z", "z"]) == 2 / 3


def test_certain_and_wrong():
    """A score of 0 for the true class is clipped at 2^-52, as in scikit-learn."""
    assert metrics.log_loss([1], [0.0]) == pytest.approx(52 * math.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("name", "y", "p"),
    [
        ("true_positive_rate", [0, 0], [0, 1]),
        ("false_negative_rate", [0, 0], [0, 1]),
        ("false_positive_rate", [1, 1], [0, 1]),
        ("true_negative_rate", [1, 1], [0, 1]),
        ("precision", [1, 0], [0, 0]),
        ("f1", [0, 0], [0, 0]),
        ("balanced_accuracy", [1, 1], [1, 1]),
        ("roc_auc", [1, 1], [0.2, 0.3]),
        ("roc_auc", [0, 0], [0.2, 0.3]),
        *((n, [], []) for n in ("accuracy", "selection_rate", "log_loss", "brier_score")),
        ("expected_calibration_error", [], []),
    ],
)
def test_undefined(name, y, p):
    assert math.isnan(getattr(metrics, name)(y, p))
