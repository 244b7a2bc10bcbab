"""What the functions take, what they refuse and how they say it; what importing them costs."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from evenhand import metrics
from evenhand.errors import CallError, InputError

Y, P, G, H = [1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 1, 0], list("aabbab"), [1, 2, 1, 2, 2, 1]
BOTH = {"sensitive_features": [G, H]}


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        pl.Series,
        pa.array,
        lambda v: pd.Series(v, dtype="category", index=range(5, 5 + len(v))),
        lambda v: np.array(v)[:, None],
        lambda v: np.array(v, dtype=object),
        lambda v: pl.DataFrame({"only": v}),
        lambda v: pa.chunked_array([v[:2], v[2:]]),
    ],
)
def test_forms_of_columns(form):
    value = metrics.equalized_odds_difference(Y, P, sensitive_features=G, sample_weight=H)
    weights = form(H)
    assert metrics.equalized_odds_difference(
        form(Y), form(P), sensitive_features=form(G), sample_weight=weights
    ) == pytest.approx(value, abs=1e-15)
    scores = [0.9, 0.2, 0.4, 0.6, 0.7, 0.1]
    assert metrics.roc_auc(form(Y), form(scores), sample_weight=weights) == pytest.approx(
        metrics.roc_auc(Y, scores, sample_weight=H), abs=1e-15
    )


@pytest.mark.parametrize(
    "features",
    [
        {"g": G, "h": H},
        {"g": pl.Series(G), 0: np.array(H)},
        pd.DataFrame({"g": G, "h": H}),
        pl.DataFrame({"g": G, "h": H}),
        pa.table({"g": G, "h": H}),
        np.array([G, H], dtype=object).T,
        np.array([G, H]).T,
        (G, np.array(H)),
        [f"{g}{h}" for g, h in zip(G, H, strict=True)],
    ],
)
def test_forms_of_sensitive_features(features):
    y, p = Y * 3, [*P, *Y, *P[::-1]]
    if isinstance(features, (pd.DataFrame, pl.DataFrame)):
        features = type(features)({k: list(features[k]) * 3 for k in features.columns})
    elif isinstance(features, pa.Table):
        features = pa.concat_tables([features] * 3)
    elif isinstance(features, dict):
        features = {k: list(v) * 3 for k, v in features.items()}
    elif isinstance(features, np.ndarray):
        features = np.vstack([features] * 3)
    elif isinstance(features, tuple):
        features = [list(f) * 3 for f in features]
    else:
        features = features * 3
    crossed = [f"{g}-{h}" for g, h in zip(G * 3, H * 3, strict=True)]
    value = metrics.demographic_parity_difference(y, p, sensitive_features=crossed)
    assert value > 0
    assert metrics.demographic_parity_difference(y, p, sensitive_features=features) == value


def test_labels():
    value = metrics.true_positive_rate(Y, P)
    for form in (np.bool_, np.float64, np.int8):
        assert metrics.true_positive_rate(np.array(Y, dtype=form), np.array(P, dtype=form)) == value
    assert metrics.true_positive_rate(np.array(Y, dtype=bool), P) == value
    texts = ["no", "yes"], {"pos_label": "yes"}
    y, p = ([texts[0][v] for v in c] for c in (Y, P))
    assert metrics.true_positive_rate(y, p, **texts[1]) == value
    assert metrics.selection_rate(y, p, pos_label="yes") == metrics.selection_rate(Y, P)
    assert metrics.true_positive_rate(["no"], ["no"], pos_label="no") == 1
    assert metrics.false_positive_rate(["no"], ["no"], pos_label="yes") == 0
    assert metrics.true_positive_rate(["x", "y", "z"], ["x", "z", "z"], pos_label="z") == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: metrics.accuracy([1, 0], [1]), "y_true has 2 rows, but y_pred has 1"),
        (lambda: metrics.f1([1, None], [1, 0]), "y_true: 1 of 2 values are missing"),
        (lambda: metrics.f1([1, 0], [np.nan, 0.0]), "y_pred: 1 of 2 values are missing"),
        (lambda: metrics.f1(pd.array([1, pd.NA]), [1, 0]), "y_true: 1 of 2 values are missing"),
        (lambda: metrics.f1(pl.Series([1, None]), [1, 0]), "y_true: 1 of 2 values are missing"),
        (lambda: metrics.f1(np.ma.array([1, 0], mask=[1, 0]), [1, 0]), "y_true: values are masked"),
        (lambda: metrics.f1(None, [1]), "y_true: nothing was given"),
        (lambda: metrics.f1(1, [1]), "y_true: a single value was given"),
        (lambda: metrics.f1([[1, 0]], [1]), r"y_true: an array of shape \(1, 2\) was given"),
        (lambda: metrics.f1([[1], [0, 1]], [1, 0]), "y_true: cannot be read as one value per row"),
        (lambda: metrics.f1([0, 1], ["0", "1"]), "y_true and y_pred: labels have different types"),
        (
            lambda: metrics.f1([0, 1, 2], [0, 1, 2]),
            "labels are 0, 1, 2; name the positive one with pos_label",
        ),
        (
            lambda: metrics.f1(["n", "y"], ["n", "y"]),
            "labels are 'n', 'y'; name the positive one with pos_label",
        ),
        (
            lambda: metrics.f1(["no", "yes"], ["no", "yes"], pos_label="Yess"),
            "no row has the label 'Yess': did you mean 'yes'",
        ),
        (
            lambda: metrics.selection_rate(["n"], ["n"]),
            "labels are 'n'; name the positive one with pos_label",
        ),
        (
            lambda: metrics.selection_rate([1, 2], [1, 2]),
            "labels are 1, 2; name the positive one with pos_label",
        ),
        (lambda: metrics.accuracy([1, 0], [1, 0], sample_weight=[1, -1]), "1 of 2 weights are negative"),
        (lambda: metrics.accuracy([1, 0], [1, 0], sample_weight=[1]), "sample_weight has 1"),
        (lambda: metrics.accuracy([1, 0], [1, 0], sample_weight=["a", "b"]), "weights must be numbers"),
        (
            lambda: metrics.demographic_parity_ratio(Y, P, sensitive_features=G, method="between_group"),
            "method: 'between_group' is not allowed; did you mean 'between_groups'",
        ),
        (
            lambda: metrics.equalized_odds_ratio(Y, P, sensitive_features=G, agg="worst-case"),
            "agg: 'worst-case' is not allowed; did you mean 'worst_case'",
        ),
        (lambda: metrics.accuracy_difference(Y, P, sensitive_features=G[:3]), "sensitive_features has 3"),
        (
            lambda: metrics.accuracy_difference(Y, P, sensitive_features={"race": G, "sex": [*H[:5], None]}),
            r"sensitive_features\['sex'\]: 1 of 6 values are missing",
        ),
        (lambda: metrics.accuracy_difference(Y, P, sensitive_features={}), "no column was given"),
        (lambda: metrics.roc_auc([1, 0], ["a", "b"]), "y_score: scores must be numbers"),
        (lambda: metrics.roc_auc([1, 0], [np.inf, 0]), "1 of 2 scores are missing or infinite"),
        (lambda: metrics.log_loss([1, 0], [1.5, 0]), r"1 scores are outside \[0, 1\], the first is 1.5"),
        (
            lambda: metrics.log_loss([1, 0], [[0.5, 0.4], [0.5, 0.5]]),
            "1 rows do not sum to 1, the first is row 0",
        ),
        (
            lambda: metrics.log_loss(["a", "b"], np.full((2, 4), 0.25)),
            "y_score has 4 columns, but labels are",
        ),
        (
            lambda: metrics.log_loss(["a", "b"], np.full((2, 2), 0.5), labels=["a", "c"]),
            "y_score has 2 columns, but labels are 'a', 'c'",
        ),
        (lambda: metrics.brier_score([1, 0], np.full((2, 2, 1), 0.5)), "an array of shape"),
        (lambda: metrics.expected_calibration_error([1], [0.5], bins=0), "bins: got 0; must be"),
        (lambda: metrics.expected_calibration_error([1], [0.5], bins=2.5), "bins: got 2.5; must be"),
        (
            lambda: metrics.expected_calibration_error([1], [0.5], kind="toplabel"),
            "kind: 'toplabel' is not allowed; did you mean 'top_label'",
        ),
        (
            lambda: metrics.expected_calibration_error([1], [0.5], binning="equal_with"),
            "binning: 'equal_with' is not allowed; did you mean 'equal_width'",
        ),
        (
            lambda: metrics.expected_calibration_error([0, 1, 2], np.full((3, 3), 1 / 3), kind="binary"),
            "labels are 0, 1, 2; name the positive one with pos_label",
        ),
    ],
)
def test_refusals(call, says):
    with pytest.raises(CallError, match=says) as error:
        call()
    assert isinstance(error.value, InputError)


def test_examples_in_docstrings():
    found = []
    for name in metrics.__all__:
        function = getattr(metrics, name)
        for example in doctest.DocTestFinder().find(function, name, module=False, globs={name: function}):
            found.append(doctest.DocTestRunner().run(example))
    assert sum(result.attempted for result in found) >= 14
    assert sum(result.failed for result in found) == 0


def test_import_is_light():
    """numpy and the standard library are enough, also for a call."""
    code = (
        "import sys, evenhand.metrics as m\n"
        "m.equalized_odds_difference([1, 0, 1, 0], [1, 0, 0, 0], sensitive_features=['a', 'a', 'b', 'b'])\n"
        "m.roc_auc([1, 0], [.2, .1]); m.expected_calibration_error([1, 0], [.2, .1], binning='equal_mass')\n"
        "heavy = {'scipy', 'pandas', 'sklearn', 'torch', 'duckdb', 'pyarrow', 'polars', 'fairlearn'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
