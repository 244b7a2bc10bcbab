"""Two networks' answers to the ten classes of CIFAR-10: one-vs-rest rows against pandas and scikit-learn.

The images say nothing about people. Groups are invented so that none is degenerate: the parity of an image's
place, and the tertile of the wide network's confidence.
"""

from __future__ import annotations

import itertools

import by_hand
import numpy as np
import pandas as pd
import pytest
from by_hand import close, sklearn

import evenhand

pytestmark = pytest.mark.shared

FILES = {"lenet": "lenet-5-cifar-10.npz", "wide": "wideresnet-16-4-cifar-10.npz"}
WHOLE = ("accuracy", "balanced_accuracy", "log_loss", "brier_score", "expected_calibration_error")
CLASSES = [str(k) for k in range(10)]
P = [f"p_{k}" for k in CLASSES]


def softmax(logits):
    power = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)


def networks():
    """The two arms, one column per class and two invented partitions."""
    found = {}
    for name, file in FILES.items():
        with np.load(by_hand.shared_file("cifar10_logits", file)) as data:
            table = pd.DataFrame(softmax(data["predictions"]), columns=P)
            table["label"] = data["ground_truth"]
        table["prediction"] = table[P].to_numpy().argmax(axis=1)
        found[name] = table.assign(example_id=table.index, parity=np.where(table.index % 2, "odd", "even"))
    assert (found["lenet"].label == found["wide"].label).all()
    confidence = found["wide"][P].max(axis=1).rank(method="first")
    tertile = pd.qcut(confidence, 3, labels=["low", "middle", "high"]).astype(str)
    return {name: table.assign(confidence=tertile) for name, table in found.items()}


@pytest.fixture(scope="module")
def arms():
    return networks()


@pytest.fixture(scope="module")
def result(arms):
    return evenhand.audit(arms, by=("parity", "confidence"), score="p_*").to_dict()


def groups_of(table):
    yield None, None, pd.Series(True, index=table.index)
    for column in ("parity", "confidence"):
        for group in table[column].unique():
            yield column, group, table[column] == group


def whole_of(part):
    """The numbers of all classes at once, by scikit-learn and pandas."""
    p = part[P].to_numpy()
    top = p.argmax(axis=1)
    target = np.eye(10)[part.label]
    return {
        "accuracy": (part.label == part.prediction).mean(),
        "balanced_accuracy": sklearn.balanced_accuracy_score(part.label, part.prediction),
        "log_loss": sklearn.log_loss(part.label, p, labels=range(10)),
        "brier_score": ((p - target) ** 2).sum(axis=1).mean(),
        "expected_calibration_error": by_hand.calibration_error(p.max(axis=1), part.label == top),
    }


def test_whole_rows_are_scikit_learns(arms, result):
    rows = by_hand.by_place(
        [r for r in result["rates"] if r["class"] is None], "input", "attribute", "group", "metric"
    )
    assert {metric for *_, metric in rows} == set(WHOLE)
    for arm, table in arms.items():
        for attribute, group, inside in groups_of(table):
            for metric, value in whole_of(table[inside]).items():
                row = rows[arm, attribute, group, metric]
                assert close(row["value"], value), (arm, attribute, group, metric)
                assert (row["n"], row["n_positive"]) == (inside.sum(), None)


def test_one_vs_rest_rows_are_those_that_pandas_counts(arms, result):
    rows = by_hand.by_place(
        [r for r in result["rates"] if r["class"] is not None],
        "input",
        "attribute",
        "group",
        "class",
        "metric",
    )
    seen = 0
    for arm, table in arms.items():
        for (attribute, group, inside), k in itertools.product(groups_of(table), range(10)):
            part = table[inside]
            mine = (part.label == k).astype(int)
            wanted = by_hand.rates_of(mine, (part.prediction == k).astype(int))
            wanted |= {"roc_auc": sklearn.roc_auc_score(mine, part[f"p_{k}"])}
            for metric in (m for m in wanted if m not in WHOLE):
                row = rows[arm, attribute, group, str(k), metric]
                assert close(row["value"], wanted[metric]), (arm, attribute, group, k, metric)
                assert (row["n"], row["n_positive"]) == (len(part), mine.sum())
                seen += 1
    assert seen == len(rows)


def test_flips_and_differences_of_every_class(arms, result):
    values = by_hand.by_place(result["rates"], "input", "attribute", "group", "class", "metric")
    reference, candidate = arms["lenet"], arms["wide"]
    inside = {(a, g): i for a, g, i in groups_of(reference)}
    for row in result["comparisons"]:
        place = (row["attribute"], row["group"])
        if place not in inside:
            continue
        t, other = reference[inside[place]], candidate[inside[place]]
        kind = 0 if row["class"] is None else int(row["class"])
        flips = by_hand.flips_of(t.label, t.prediction, other.prediction, row["metric"], positive=kind)
        assert (row["n_right_to_wrong"], row["n_wrong_to_right"]) == flips, row
        one, two = (values[arm, *place, row["class"], row["metric"]]["value"] for arm in FILES)
        assert close(row["difference"], two - one)


def test_disparities_of_every_class(arms, result):
    """Gaps of one-vs-rest rates between the groups, from pandas' rates."""
    for row in result["disparities"]:
        table = arms[row["input"]]
        if row["metric"] not in {"demographic_parity_difference", "equal_opportunity_difference"}:
            continue
        of = "selection_rate" if row["metric"].startswith("demographic") else "true_positive_rate"
        k = int(row["class"])
        each = [
            by_hand.rates_of((g.label == k).astype(int), (g.prediction == k).astype(int))[of]
            for _, g in table.groupby(row["attribute"])
        ]
        assert close(row["value"], max(each) - min(each)), row


def test_intervals_p_values_and_verdicts_agree(result):
    by_hand.check_rules(result)
    judged = sum(result["verdict"]["counts"].values())
    assert judged == 5 * (1 + 2 * 10)  # five groups: accuracy, and TPR and FPR of ten classes
