"""What must hold for any table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand import metrics

ANSWERS = (
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "true_negative_rate",
    "false_negative_rate",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "f1",
)
SCORES = ("roc_auc", "log_loss", "brier_score", "expected_calibration_error")
DISPARITIES = tuple(n for n in metrics.__all__ if n.endswith(("_difference", "_ratio", "_mean")))

row = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.58, 2 / 3, 0.99, 1.0]) | st.floats(0, 1),
    st.integers(0, 3),
)
rows = st.lists(row, min_size=1, max_size=30)
quick = settings(max_examples=60, deadline=None)


def columns(found):
    y, p, g, s, w = (np.array(c) for c in zip(*found, strict=True))
    return y, p, g, s, w


def same(a, b):
    return a == pytest.approx(b, rel=1e-9, abs=1e-9, nan_ok=True)


def every_value(y, p, s, g, w=None):
    """All functions of the module."""
    found = {n: getattr(metrics, n)(y, p, sample_weight=w) for n in ANSWERS}
    found |= {n: getattr(metrics, n)(y, s, sample_weight=w) for n in SCORES}
    for name in (*DISPARITIES, "worst_group_accuracy"):
        second = s if name.startswith("expected") else p
        found[name] = getattr(metrics, name)(y, second, sensitive_features=g, sample_weight=w)
    return found


def test_every_function_is_in_here():
    assert {*ANSWERS, *SCORES, *DISPARITIES, "worst_group_accuracy"} == set(metrics.__all__)


@quick
@given(rows)
def test_copies_of_every_row_change_nothing(found):
    y, p, g, s, _ = columns(found)
    twice = every_value(*(np.repeat(c, 2) for c in (y, p, s, g)))
    assert same(every_value(y, p, s, g), twice)


@quick
@given(rows)
def test_weights_are_copies(found):
    """A weight of 2 is the row twice, a weight of 0 is no row."""
    y, p, g, s, w = columns(found)
    copies = every_value(*(np.repeat(c, w) for c in (y, p, s, g)))
    assert same(every_value(y, p, s, g, w), copies)


@quick
@given(rows, st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(found, seed):
    y, p, g, s, w = columns(found)
    order = np.random.default_rng(seed).permutation(len(y))
    assert same(every_value(y, p, s, g, w), every_value(*(c[order] for c in (y, p, s, g, w))))


@quick
@given(rows, st.permutations(["Black", "White", "other", "none"]))
def test_names_of_groups_change_nothing(found, names):
    y, p, g, s, w = columns(found)
    assert same(every_value(y, p, s, g, w), every_value(y, p, s, [names[k] for k in g], w))


@quick
@given(rows)
def test_the_crossing_of_columns_is_one_column(found):
    y, p, g, s, w = columns(found)
    assert same(every_value(y, p, s, g, w), every_value(y, p, s, [g // 2, g % 2], w))


@quick
@given(rows)
def test_swapped_classes_swap_rates(found):
    y, p, _, s, w = columns(found)
    for one, other in (
        ("true_positive_rate", "true_negative_rate"),
        ("false_positive_rate", "false_negative_rate"),
    ):
        value = getattr(metrics, one)(y, p, w)
        assert same(value, getattr(metrics, other)(1 - y, 1 - p, w))
        assert same(value, getattr(metrics, other)(y, p, w, pos_label=0))
    for name in ("accuracy", "balanced_accuracy"):
        call = {"sample_weight": w}
        assert same(getattr(metrics, name)(y, p, **call), getattr(metrics, name)(1 - y, 1 - p, **call))
    assert same(metrics.roc_auc(y, s, sample_weight=w), metrics.roc_auc(1 - y, -s, sample_weight=w))
    assert same(
        metrics.brier_score(y, s, sample_weight=w), metrics.brier_score(1 - y, 1 - s, sample_weight=w)
    )


@quick
@given(rows)
def test_values_are_in_range(found):
    y, p, g, s, w = columns(found)
    for name, value in every_value(y, p, s, g, w).items():
        assert np.isnan(value) or 0 <= value <= (40 if name == "log_loss" else 1 + 1e-12), name


@quick
@given(rows)
def test_the_mean_is_at_most_the_worst_case(found):
    y, p, g, _, w = columns(found)
    for method in ("between_groups", "to_overall"):
        call = {"sensitive_features": g, "sample_weight": w, "method": method}
        mean, worst = (
            metrics.equalized_odds_difference(y, p, agg=agg, **call) for agg in ("mean", "worst_case")
        )
        assert np.isnan(mean) == np.isnan(worst)
        assert np.isnan(mean) or mean <= worst + 1e-12
