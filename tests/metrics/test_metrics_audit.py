"""The same numbers through an audit: what `judge_predictions` finds is what the functions give."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import fairlearn, sklearn, tables

from evenhand import metrics, registry
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Arm, Attribute, Columns, Predictions

METRICS = {
    n: registry.load("evenhand.judge.metrics", n).INFO for n in registry.names("evenhand.judge.metrics")
}
DISPARITIES = registry.names("evenhand.judge.disparities")
OF_SCORES = ("expected_calibration_error_difference",)


def close(ours, theirs):
    return ours == pytest.approx(theirs, rel=0, abs=1e-12, nan_ok=True)


def predictions(y, p, weights, columns, scores=None):
    """One arm `full`; attributes `c0`, `c1`, ... and the crossing of all."""
    attributes = []
    for i, codes in enumerate(columns.T):
        names = tuple(f"g{k}" for k in range(codes.max() + 1))
        attributes.append(Attribute(f"c{i}", "partition", names, codes))
    if columns.shape[1] > 1:
        kinds, codes = np.unique(columns, axis=0, return_inverse=True)
        names = tuple(" x ".join(map(str, k)) for k in kinds)
        attributes.append(Attribute("all", "intersection", names, codes))
    ones = np.ones(len(y))
    w = ones if weights is None else weights
    both = None if scores is None else np.stack([1 - scores, scores], axis=1)[None]
    return Predictions(
        classes=("0", "1"),
        positive=1,
        label=y,
        arms=(Arm("full", ("0",), p[None], both),),
        attributes=tuple(attributes),
        count=ones,
        weight=w,
        weight_squared=w**2,
        weighted=weights is not None,
    )


def audit(data):
    known = [n for n, i in METRICS.items() if i.needs == "prediction" or data.arms[0].score is not None]
    given = Settings(min_group_size=1, metrics=(*known, *DISPARITIES))
    return judge_predictions(data, Columns(by=tuple(a.name for a in data.attributes)), given)


def test_values_are_those_of_the_functions():
    rng = np.random.default_rng(0)
    compared = set()
    for number, (y, p, w, columns) in enumerate(tables(6, rows=(40, 90), seed=3)):
        weights = w if number % 2 else None
        scores = rng.random(len(y))
        data = predictions(y, p, weights, columns, scores)
        result = audit(data)
        codes = {a.name: a.codes for a in data.attributes}
        names = {a.name: a.groups for a in data.attributes}
        for row in result.rates:
            name, every = row["metric"], np.ones(len(y), dtype=bool)
            at = row["attribute"]
            rows = every if at is None else codes[at] == names[at].index(row["group"])
            second = scores if METRICS[name].needs == "score" else p
            call = {"sample_weight": None if weights is None else weights[rows]}
            value = np.nan if row["value"] is None else row["value"]
            assert close(value, getattr(metrics, name)(y[rows], second[rows], **call)), row
            compared.add(name)
            if name == "accuracy":
                assert close(value, sklearn.accuracy_score(y[rows], p[rows], **call))
            if name in dir(fairlearn):
                assert close(value, getattr(fairlearn, name)(y[rows], p[rows], **call)), row
        for row in result.disparities:
            name = row["metric"]
            call = {"sensitive_features": codes[row["attribute"]], "sample_weight": weights}
            second = scores if name in OF_SCORES else p
            value = np.nan if row["value"] is None else row["value"]
            assert close(value, getattr(metrics, name)(y, second, **call)), row
            assert row["groups_left_out"] == []
            compared.add(name)
            if name in dir(fairlearn):
                assert close(value, getattr(fairlearn, name)(y, p, **call)), row
            if name == "equalized_odds_difference_mean":
                theirs = fairlearn.equalized_odds_difference(y, p, agg="mean", **call)
                assert close(value, theirs)
    assert compared == {*METRICS, *DISPARITIES}


def test_undefined():
    """A group without positives: NaN, `undefined`, a reason, and left out of disparities, which say so."""
    y = np.array([1, 1, 0, 0, 1, 1, 0, 0, 0, 0])
    p = np.array([1, 1, 0, 1, 1, 0, 0, 0, 1, 0])
    g = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    result = audit(predictions(y, p, None, g[:, None]))
    (rate,) = [r for r in result.rates if (r["metric"], r["group"]) == ("true_positive_rate", "g2")]
    assert rate["value"] is None
    assert rate["status"] == "undefined"
    assert rate["reason"] == "no rows with a positive label"
    assert fairlearn.true_positive_rate(y[8:], p[8:]) == 0

    for name, here, there in (
        ("equal_opportunity_difference", 0.5, 1.0),
        ("equalized_odds_difference", 0.5, 1.0),
    ):
        (row,) = [r for r in result.disparities if r["metric"] == name]
        assert row["value"] == here == getattr(metrics, name)(y, p, sensitive_features=g)
        assert row["groups_used"] == ["g0", "g1"]
        assert row["groups_left_out"] == [{"group": "g2", "reason": "no rows with a positive label"}]
        assert getattr(fairlearn, name)(y, p, sensitive_features=g) == there
    (row,) = [r for r in result.disparities if r["metric"] == "demographic_parity_difference"]
    assert row["groups_used"] == ["g0", "g1", "g2"]


def test_nothing_to_compare():
    y, p, g = np.array([1, 0, 0, 0]), np.array([1, 0, 0, 1]), np.array([0, 0, 1, 1])
    (row,) = [
        r
        for r in audit(predictions(y, p, None, g[:, None])).disparities
        if r["metric"] == "equal_opportunity_difference"
    ]
    assert (row["value"], row["status"]) == (None, "undefined")
    assert row["reason"] == "1 group can be compared; at least two are needed"
    assert np.isnan(metrics.equal_opportunity_difference(y, p, sensitive_features=g))
