"""What the real-data tests compare with: pandas, scikit-learn and fairlearn, and the rules of a result."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

with warnings.catch_warnings():  # importing them warns, which is none of our business
    warnings.simplefilter("ignore")
    import fairlearn.metrics as fairlearn
    import sklearn.metrics as sklearn

#: Data that lie beside a developer's checkout; tests that read them carry the marker `shared`.
SHARED = Path(__file__).resolve().parents[2].parent / "shared"

EXACT = 1e-12

RATES = (
    "accuracy",
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "true_negative_rate",
    "false_negative_rate",
    "precision",
    "f1",
    "balanced_accuracy",
)
OF_SCORES = ("roc_auc", "log_loss", "brier_score", "expected_calibration_error")
WORDS = ("harm", "harmless", "help", "undecided")
DISPARITIES = (
    "accuracy_difference",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "equalized_odds_difference_mean",
    "equalized_odds_ratio",
    "worst_group_accuracy",
)
#: The rows that a rate looks at: flips are counted among them.
ASKED = {
    "true_positive_rate": 1,
    "false_negative_rate": 1,
    "false_positive_rate": 0,
    "true_negative_rate": 0,
}


def shared_file(*parts):
    """A file of the shared data, or a skip."""
    path = SHARED.joinpath("data", *parts)
    if not path.is_file():
        pytest.skip(f"data/{'/'.join(parts)} lies only in the shared folder beside a developer's checkout")
    return path


def share(part, whole):
    """part / whole; NaN of nothing."""
    return part / whole if whole else np.nan


def rates_of(label, prediction):
    """Every rate of 0/1 columns, from the four counts of a pandas crosstab."""
    n = pd.crosstab(label, prediction).reindex(index=[0, 1], columns=[0, 1], fill_value=0)
    tn, fp, fn, tp = (int(n.loc[i, j]) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    return {
        "accuracy": share(tp + tn, tp + tn + fp + fn),
        "selection_rate": share(tp + fp, tp + tn + fp + fn),
        "true_positive_rate": share(tp, tp + fn),
        "false_positive_rate": share(fp, fp + tn),
        "true_negative_rate": share(tn, fp + tn),
        "false_negative_rate": share(fn, tp + fn),
        "precision": share(tp, tp + fp),
        "f1": share(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (share(tp, tp + fn) + share(tn, fp + tn)) / 2,
    }


def calibration_error(confidence, outcome, bins=15):
    """Expected calibration error by a pandas groupby over bins that hold their left edge, 1.0 the last."""
    confidence, outcome = np.asarray(confidence, float), np.asarray(outcome, float)
    edges = np.linspace(0, 1, bins + 1)
    edges[-1] = np.inf
    cut = pd.cut(confidence, edges, right=False)
    binned = pd.DataFrame({"gap": confidence - outcome}).groupby(cut, observed=True)["gap"].sum()
    return float(binned.abs().sum() / len(outcome))


def scores_of(label, score):
    """The metrics of scores of 0/1 labels, by scikit-learn and pandas."""
    label, score = np.asarray(label, int), np.asarray(score, float)
    both = len(set(label)) == 2
    return {
        "roc_auc": sklearn.roc_auc_score(label, score) if both else np.nan,
        "log_loss": sklearn.log_loss(label, np.c_[1 - score, score], labels=[0, 1]),
        "brier_score": float(np.mean((score - label) ** 2)),
        "expected_calibration_error": calibration_error(score, label),
    }


#: Metrics that ask for the class itself; the others ask whether it is one class or another.
WHOLE = {"accuracy", "balanced_accuracy", "log_loss", "brier_score", "expected_calibration_error"}


def flips_of(label, reference, candidate, metric, positive=1):
    """Rows that go right to wrong and wrong to right, among those that the metric asks about."""
    t = pd.DataFrame({"y": label, "a": reference, "b": candidate})
    if metric in ASKED:
        t = t[(t.y == positive) == bool(ASKED[metric])]
    if metric in WHOLE:
        a, b = t.a == t.y, t.b == t.y
    else:
        a, b = ((answer == positive) == (t.y == positive) for answer in (t.a, t.b))
    return int((a & ~b).sum()), int((~a & b).sum())


def fairlearn_disparity(metric, label, prediction, group):
    """A disparity by fairlearn's own function of that name."""
    given = {"y_true": label, "y_pred": prediction, "sensitive_features": group}
    if metric in {"accuracy_difference", "worst_group_accuracy"}:
        accuracy = fairlearn.MetricFrame(metrics=sklearn.accuracy_score, **given)
        return accuracy.difference() if metric == "accuracy_difference" else accuracy.group_min()
    name, mean = metric.removesuffix("_mean"), metric.endswith("_mean")
    return getattr(fairlearn, name)(**given, **({"agg": "mean"} if mean else {}))


def close(found, wanted, tolerance=EXACT):
    """Whether a number of the result is this one; None is NaN."""
    if found is None or wanted is None or np.isnan(wanted):
        return found is None and (wanted is None or bool(np.isnan(wanted)))
    return abs(found - wanted) <= tolerance


def by_place(rows, *keys):
    """Rows by what names them, each once."""
    found = {tuple(r[k] for k in keys): r for r in rows}
    assert len(found) == len(rows)
    return found


def check_rules(result):
    """What holds for the rows of any result, whatever the data are."""
    alpha = result["settings"]["alpha"]
    verdicts = dict.fromkeys(WORDS, 0)
    settled = 0
    for row in result["comparisons"]:
        where = {k: row[k] for k in ("candidate", "attribute", "group", "class", "metric")}
        if row["low"] is not None:
            settled += 1
            assert row["low"] <= row["difference"] <= row["high"], where
            assert row["p_adjusted"] >= row["p_value"] - EXACT, where
            assert (row["p_adjusted"] < alpha) == (row["low"] > 0 or row["high"] < 0), where
        else:
            assert row["verdict"] is None, where
            assert row["status"] != "ok" or row["interval"].startswith("none"), where
        assert (row["status"] == "ok") or row["reason"], where
        if row["verdict"] is not None:
            assert row["family"] == "primary", where
            verdicts[row["verdict"]] += 1
    assert settled
    assert result["verdict"]["counts"] == verdicts
    assert sum(verdicts.values()) == sum(r["verdict"] is not None for r in result["comparisons"])
    for row in result["rates"]:
        if row["low"] is not None:
            assert row["low"] - EXACT <= row["value"] <= row["high"] + EXACT, row
    for row in result["disparities"]:
        if row["low"] is not None:
            assert row["low"] - EXACT <= row["value"] <= row["high"] + EXACT, row


def without_origin(result):
    """A result less what differs between files and memory."""
    kept = ("rates", "disparities", "comparisons", "verdict")
    return {key: result[key] for key in kept}
