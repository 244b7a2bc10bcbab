"""Equal to scikit-learn, weights, ties and several classes included."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import sklearn

from evenhand import metrics


def close(ours, theirs):
    return ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def draws(count, classes=2, seed=0):
    """Labels, predictions (every class is among both), weights and [n, classes] probabilities."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        n = int(rng.integers(8, 200))
        y, p = (np.concatenate([rng.integers(0, classes, n), np.arange(classes)]) for _ in range(2))
        scores = rng.dirichlet(np.ones(classes), size=len(y))
        if number % 3 == 0:  # ties, zeros and ones
            scores = np.eye(classes)[rng.integers(0, classes, len(y))]
        elif number % 3 == 1:
            one = np.round(rng.random(len(y)), 1)
            scores = np.stack([1 - one, one, *[np.zeros(len(y))] * (classes - 2)], axis=1)
        yield y, p, None if number % 2 else rng.uniform(0.01, 5, len(y)), scores


def test_predictions():
    for y, p, w, _ in draws(200):
        assert close(metrics.accuracy(y, p, sample_weight=w), sklearn.accuracy_score(y, p, sample_weight=w))
        assert close(metrics.precision(y, p, sample_weight=w), sklearn.precision_score(y, p, sample_weight=w))
        assert close(metrics.f1(y, p, sample_weight=w), sklearn.f1_score(y, p, sample_weight=w))
        for ours, theirs in ((metrics.precision, sklearn.precision_score), (metrics.f1, sklearn.f1_score)):
            call = {"sample_weight": w, "pos_label": 0}
            assert close(ours(y, p, **call), theirs(y, p, **call))
        for ours, theirs in (
            (metrics.balanced_accuracy, sklearn.balanced_accuracy_score),
            (metrics.true_positive_rate, sklearn.recall_score),
        ):
            assert close(ours(y, p, sample_weight=w), theirs(y, p, sample_weight=w))


def test_predictions_of_several_classes():
    for y, p, w, _ in draws(100, classes=4, seed=1):
        assert close(metrics.accuracy(y, p, sample_weight=w), sklearn.accuracy_score(y, p, sample_weight=w))
        theirs = sklearn.balanced_accuracy_score(y, p, sample_weight=w)
        assert close(metrics.balanced_accuracy(y, p, sample_weight=w), theirs)
        each = sklearn.precision_score(y, p, sample_weight=w, average=None)
        assert close([metrics.precision(y, p, sample_weight=w, pos_label=k) for k in range(4)], list(each))
        each = sklearn.f1_score(y, p, sample_weight=w, average=None)
        assert close([metrics.f1(y, p, sample_weight=w, pos_label=k) for k in range(4)], list(each))


def test_scores():
    for y, _, w, scores in draws(200, seed=2):
        s = scores[:, 1]
        assert close(metrics.roc_auc(y, s, sample_weight=w), sklearn.roc_auc_score(y, s, sample_weight=w))
        assert close(metrics.log_loss(y, s, sample_weight=w), sklearn.log_loss(y, y_proba=s, sample_weight=w))
        theirs = sklearn.brier_score_loss(y, s, sample_weight=w)
        assert close(metrics.brier_score(y, s, sample_weight=w), theirs)
        assert close(metrics.brier_score(y, scores, sample_weight=w), theirs)
        assert close(
            metrics.roc_auc(y, scores, sample_weight=w), sklearn.roc_auc_score(y, s, sample_weight=w)
        )
        theirs = sklearn.roc_auc_score(1 - y, 1 - s, sample_weight=w)
        assert close(metrics.roc_auc(y, scores, sample_weight=w, pos_label=0), theirs)
        theirs = sklearn.brier_score_loss(y, 1 - s, sample_weight=w, pos_label=0)
        assert close(metrics.brier_score(y, 1 - s, sample_weight=w, pos_label=0), theirs)


def test_scores_of_several_classes():
    """scikit-learn's Brier score is halved for two classes only: with more its range is [0, 2], as here."""
    for y, _, w, scores in draws(150, classes=4, seed=3):
        theirs = sklearn.log_loss(y, y_proba=scores, sample_weight=w)
        assert close(metrics.log_loss(y, scores, sample_weight=w), theirs)
        theirs = sklearn.brier_score_loss(y, scores, sample_weight=w)
        assert close(metrics.brier_score(y, scores, sample_weight=w), theirs)
        theirs = sklearn.roc_auc_score(y == 2, scores[:, 2], sample_weight=w)
        assert close(metrics.roc_auc(y, scores, sample_weight=w, pos_label=2), theirs)


def test_columns_are_classes_in_order():
    names = ["ham", "egg", "spam"]
    y, scores = ["spam", "ham", "ham"], np.array([[0.2, 0.3, 0.5], [0.7, 0.1, 0.2], [0.5, 0.25, 0.25]])
    index = [names.index(label) for label in y]
    for ours, theirs in (
        (metrics.log_loss, sklearn.log_loss),
        (metrics.brier_score, sklearn.brier_score_loss),
    ):
        value = theirs(index, y_proba=scores, labels=[0, 1, 2])
        assert close(ours(y, scores, labels=names), value)
        assert close(ours(index, scores), value)
        in_order = ["egg", "ham", "spam"]  # sorted, which is what columns mean when nothing is said
        sorted_scores = scores[:, [1, 0, 2]]
        every = (np.array([*y, "egg"]), np.vstack([sorted_scores, [1, 0, 0]]))
        assert close(ours(*every), theirs(every[0], y_proba=every[1], labels=in_order))


def test_decision_values():
    """The area under the curve takes any numbers: logits, margins."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        y, s = np.concatenate([[0, 1], rng.integers(0, 2, 60)]), np.round(rng.normal(size=62) * 3, 1)
        assert close(metrics.roc_auc(y, s), sklearn.roc_auc_score(y, s))
