"""Equal to fairlearn 0.15 wherever fairlearn's value is defined."""

from __future__ import annotations

import inspect
from itertools import product

import numpy as np
import pandas as pd
import pytest
from libraries import fairlearn, sklearn, tables

from evenhand import metrics

pytestmark = pytest.mark.no_cover  # tracing makes fairlearn half as fast, and shows nothing of ours

RATES = (
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "true_negative_rate",
    "false_negative_rate",
)
DISPARITIES = {
    "demographic_parity_difference": False,
    "demographic_parity_ratio": False,
    "equalized_odds_difference": True,
    "equalized_odds_ratio": True,
    "equal_opportunity_difference": False,
    "equal_opportunity_ratio": False,
}
#: Tables for rates, and for disparities, of which fairlearn does twenty in a second.
TABLES, COMPARED = 240, 120
VARIANTS = tuple(product(("between_groups", "to_overall"), ("worst_case", "mean"), (False, True)))


def close(ours, theirs):
    return ours == pytest.approx(theirs, rel=0, abs=1e-12, nan_ok=True)


def table_variants():
    """Every table with one of the variants; all variants meet tables of 1, 2 and 3 columns."""
    for number, table in enumerate(tables(COMPARED)):
        yield number, table, VARIANTS[(number // 3) % len(VARIANTS)]


def sensitive(columns, number):
    """The columns in one of the forms that both libraries take."""
    if columns.shape[1] == 1:
        return (columns[:, 0], columns[:, 0].astype(str).tolist(), pd.Series(columns[:, 0]))[number % 3]
    named = {f"c{i}": columns[:, i] for i in range(columns.shape[1])}
    return (columns, pd.DataFrame(named), named)[number % 3]


@pytest.mark.parametrize("name", RATES)
def test_rates(name):
    for y, p, w, _ in tables(TABLES, seed=1):
        for weights in (None, w):
            theirs = getattr(fairlearn, name)(y, p, sample_weight=weights)
            assert close(getattr(metrics, name)(y, p, sample_weight=weights), theirs)
            both = {"sample_weight": weights, "pos_label": 0}
            assert close(getattr(metrics, name)(y, p, **both), getattr(fairlearn, name)(y, p, **both))


@pytest.mark.parametrize("name", DISPARITIES)
def test_disparities(name):
    seen = set()
    for number, (y, p, w, columns), (method, agg, weighted) in table_variants():
        call = {
            "sensitive_features": sensitive(columns, number // 24),
            "method": method,
            "sample_weight": w if weighted else None,
            **({"agg": agg} if DISPARITIES[name] else {}),
        }
        theirs = getattr(fairlearn, name)(y, p, **call)
        assert close(getattr(metrics, name)(y, p, **call), theirs), (number, method, agg, weighted)
        seen.add((columns.shape[1], method, agg, weighted))
    assert len(seen) == 3 * len(VARIANTS)


def test_accuracy_difference():
    for number, (y, p, w, columns), (method, _, weighted) in table_variants():
        weights = w if weighted else None
        frame = fairlearn.MetricFrame(
            metrics=sklearn.accuracy_score,
            y_true=y,
            y_pred=p,
            sensitive_features=columns,
            sample_params={"sample_weight": weights},
        )
        call = {"sensitive_features": sensitive(columns, number // 24), "sample_weight": weights}
        assert close(
            metrics.accuracy_difference(y, p, method=method, **call), frame.difference(method=method)
        )
        assert close(metrics.worst_group_accuracy(y, p, **call), frame.group_min())


@pytest.mark.parametrize("name", ["selection_rate", *RATES[1:], *DISPARITIES])
def test_signatures(name):
    """A call that fairlearn takes, these functions take."""
    ours = inspect.signature(getattr(metrics, name)).parameters
    for parameter in inspect.signature(getattr(fairlearn, name)).parameters.values():
        mine = ours[parameter.name]
        # fairlearn's selection_rate takes 1 for positive among any labels, here only among 0 and 1.
        default = None if (name, parameter.name) == ("selection_rate", "pos_label") else parameter.default
        assert (mine.kind, mine.default) == (parameter.kind, default)
    added = set(ours) - set(inspect.signature(getattr(fairlearn, name)).parameters)
    assert added <= {"pos_label"}
    positional = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    theirs = [
        p.name
        for p in inspect.signature(getattr(fairlearn, name)).parameters.values()
        if p.kind in positional
    ]
    assert [p.name for p in ours.values() if p.kind in positional] == theirs


@pytest.mark.parametrize(
    "name", ["demographic_parity_ratio", "equal_opportunity_ratio", "equalized_odds_ratio"]
)
@pytest.mark.parametrize("method", ["between_groups", "to_overall"])
def test_ratios_of_zeros(name, method):
    """Rates that are 0 in some or all groups, where the ratio is 0 or does not exist."""
    y, g = np.array([0, 0, 1, 1] * 2), np.repeat(["a", "b"], 4)
    for answers in ("00000000", "00110000", "11001100", "00110011", "01100110", "10100000"):
        p = np.array([int(a) for a in answers])
        for agg in ({"agg": "worst_case"}, {"agg": "mean"}) if DISPARITIES[name] else ({},):
            call = {"sensitive_features": g, "method": method, **agg}
            assert close(getattr(metrics, name)(y, p, **call), getattr(fairlearn, name)(y, p, **call)), (
                answers
            )


def test_undefined_is_not_zero():
    """A group without positives: fairlearn's rate is 0 and the disparity the worst; here it is left out."""
    y = [1, 1, 0, 0, 1, 0, 0, 0]
    p = [1, 1, 0, 0, 1, 0, 1, 0]
    g = ["a", "a", "a", "a", "b", "b", "c", "c"]
    assert fairlearn.true_positive_rate(y[6:], p[6:]) == 0
    assert np.isnan(metrics.true_positive_rate(y[6:], p[6:]))
    assert fairlearn.equal_opportunity_difference(y, p, sensitive_features=g) == 1
    assert metrics.equal_opportunity_difference(y, p, sensitive_features=g) == 0
    assert fairlearn.equalized_odds_difference(y, p, sensitive_features=g) == 1
    assert metrics.equalized_odds_difference(y, p, sensitive_features=g) == 0
    two = (y[4:], p[4:])
    assert fairlearn.equal_opportunity_difference(*two, sensitive_features=g[4:]) == 1
    assert np.isnan(metrics.equal_opportunity_difference(*two, sensitive_features=g[4:]))
    assert np.isnan(metrics.equal_opportunity_ratio(*two, sensitive_features=g[4:], method="to_overall"))


def test_one_group_has_no_disparity():
    y, p = [1, 0, 1], [1, 0, 0]
    assert fairlearn.demographic_parity_difference(y, p, sensitive_features=["a"] * 3) == 0
    for name in DISPARITIES:
        for method in ("between_groups", "to_overall"):
            assert np.isnan(getattr(metrics, name)(y, p, sensitive_features=["a"] * 3, method=method))


def test_signs_and_texts_as_labels():
    for y, p, _, columns in tables(20, seed=2):
        signs = 2 * y - 1, 2 * p - 1
        texts = np.where(y, "hired", "refused"), np.where(p, "hired", "refused")
        for name in DISPARITIES:
            ours, theirs = getattr(metrics, name), getattr(fairlearn, name)
            value = theirs(y, p, sensitive_features=columns)
            assert close(ours(*texts, sensitive_features=columns, pos_label="hired"), value)
            assert close(ours(*signs, sensitive_features=columns), value)
        value = fairlearn.true_positive_rate(*texts, pos_label="hired")
        assert close(metrics.true_positive_rate(*texts, pos_label="hired"), value)
