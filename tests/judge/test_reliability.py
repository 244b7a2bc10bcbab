"""Reliability diagrams: against counts by hand, against the calibration error, and whether intervals hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evenhand.judge.core.reliability import reliability
from evenhand.judge.metrics import Sample
from evenhand.judge.metrics import expected_calibration_error as ece
from evenhand.judge.settings import Settings
from evenhand.tables.schema import ABSENT, Arm, Attribute, Predictions

SETTINGS = Settings(min_group_size=3)


def world(scores, label, *, group=None, classes=("0", "1")):
    """Predictions of one arm from [runs, n] P(positive), or [runs, n, classes]."""
    scores = np.asarray(scores, dtype=float)
    predictions = scores if scores.ndim == 3 else np.stack([1 - scores, scores], axis=-1)
    label = np.asarray(label, dtype=np.int64)
    ones = np.ones(len(label))
    by = () if group is None else (Attribute("g", "partition", ("a", "b"), np.asarray(group)),)
    names = tuple(str(r) for r in range(len(predictions)))
    arm = Arm("full", names, predictions.argmax(axis=-1), predictions)
    positive = 1 if len(classes) == 2 else None
    return Predictions(classes, positive, label, (arm,), by, ones, ones, ones)


def test_bins_against_counts_by_hand():
    rows = reliability(world([[0.01, 0.02, 0.5, 0.52, 0.99, 1.0]], [0, 1, 1, 0, 1, 1]), SETTINGS)
    bins = [(r["bin"], r["n"], round(r["confidence"], 6), r["accuracy"]) for r in rows]
    assert bins == [(0, 2, 0.015, 0.5), (7, 2, 0.51, 0.5), (14, 2, 0.995, 1.0)]
    assert [(r["low_edge"], r["high_edge"]) for r in rows] == [(k / 15, (k + 1) / 15) for k in (0, 7, 14)]
    assert rows[0]["low"] == pytest.approx(0.0945312, abs=1e-6)  # Wilson, 1 of 2
    assert rows[0]["high"] == pytest.approx(0.9054688, abs=1e-6)


def test_bins_add_up_to_the_calibration_error():
    rng = np.random.default_rng(3)
    for classes in (2, 4):
        score = rng.dirichlet(np.ones(classes), 500)
        label = rng.integers(0, classes, 500)
        predictions = world(score[None], label, classes=tuple("0123"[:classes]))
        rows = reliability(predictions, SETTINGS)
        bins = sum(r["n"] * abs(r["confidence"] - r["accuracy"]) for r in rows) / 500
        sample = Sample(label, score.argmax(axis=1), np.ones(500), 1, score)
        assert bins == pytest.approx(ece.compute(sample).value, abs=1e-9)


def test_every_group_of_every_attribute_and_small_ones_not():
    score = [[0.2, 0.4, 0.6, 0.8, 0.9]]
    rows = reliability(world(score, [0, 1, 0, 1, 1], group=[0, 0, 0, 1, 1]), SETTINGS)
    assert {(r["attribute"], r["group"]) for r in rows} == {(None, None), ("g", "a")}


def test_the_same_row_in_many_runs_is_one_row():
    score, label = np.full(40, 0.7), np.arange(40) % 4 != 0
    once = reliability(world([score], label), SETTINGS)
    often = reliability(world([score] * 4, label), SETTINGS)
    for key in ("low", "high", "accuracy", "n"):
        assert often[0][key] == pytest.approx(once[0][key])


def test_rows_that_are_in_a_bin_in_some_runs_only_count_less():
    runs = np.full((4, 210), 0.1)
    runs[:, :10] = 0.9  # always in the bin
    for run in range(4):
        runs[run, 10 + run : 210 : 4] = 0.9  # in it once
    (row,) = (r for r in reliability(world(runs, np.zeros(210)), SETTINGS) if r["bin"] == 13)
    n = (10 + 200 / 4) ** 2 / (10 + 200 / 16)
    assert (row["n"], row["accuracy"], row["low"]) == (60, 0, 0)
    assert row["high"] == pytest.approx(1.959964**2 / (n + 1.959964**2), abs=1e-6)


def test_the_spread_of_runs_is_added_from_five_on():
    rng = np.random.default_rng(5)
    label = (rng.random(4000) < 0.5).astype(int)
    # In each run other rows fall into the bin, with quite different shares.
    runs = [
        np.where(rng.random(4000) < np.where(label, k, 1 - k), 0.72, 0.1) for k in np.linspace(0.2, 0.8, 5)
    ]
    wide = next(r for r in reliability(world(runs, label), SETTINGS) if r["bin"] == 10)
    four = next(r for r in reliability(world(runs[:4], label), SETTINGS) if r["bin"] == 10)
    assert wide["high"] - wide["low"] > 2 * (four["high"] - four["low"])


def test_rows_that_a_run_lacks_are_not_counted():
    predictions = world([[0.2, 0.8, 0.9], [0.2, 0.8, 0.9]], [0, 1, 1])
    (arm,) = predictions.arms
    score, answer = arm.score.copy(), arm.prediction.copy()
    score[1, 2], answer[1, 2] = np.nan, ABSENT
    some = dataclasses.replace(
        predictions, arms=(dataclasses.replace(arm, score=score, prediction=answer),), resplit=True
    )
    rows = reliability(some, SETTINGS)
    assert [(r["bin"], r["n"], r["confidence"]) for r in rows] == [(3, 1, 0.2), (12, 1, 0.8), (13, 0.5, 0.9)]


def test_clusters_and_weights_widen_the_interval():
    rng = np.random.default_rng(8)
    cluster = np.repeat(np.arange(60), 10)
    label = (rng.random(60) < 0.6).astype(int)[cluster]
    plain = world([np.full(600, 0.6)], label)
    (alone,) = reliability(plain, SETTINGS)
    (together,) = reliability(dataclasses.replace(plain, cluster=cluster), SETTINGS)
    assert together["high"] - together["low"] > 2.5 * (alone["high"] - alone["low"])
    heavy = np.where(np.arange(600) < 60, 9.0, 1.0)
    weighted = dataclasses.replace(plain, weight=heavy, weight_squared=heavy**2, weighted=True)
    (uneven,) = reliability(weighted, SETTINGS)
    assert uneven["accuracy"] == pytest.approx(np.average(label, weights=heavy))
    assert uneven["high"] - uneven["low"] > 1.2 * (alone["high"] - alone["low"])


def test_intervals_hold_over_runs_that_answer_alike():
    rng = np.random.default_rng(11)
    inside = total = 0
    for _ in range(150):
        easy = rng.uniform(0.05, 0.95, 300)
        label = (rng.random(300) < easy).astype(int)
        runs = np.clip(easy + rng.normal(0, 0.02, (3, 300)), 0.001, 0.999)
        for row in reliability(world(runs, label), SETTINGS):
            total += 1
            inside += row["low"] <= row["confidence"] <= row["high"]
    assert inside / total > 0.93


def test_without_scores_there_is_nothing():
    predictions = world([[0.2, 0.8, 0.9]], [0, 1, 1])
    unscored = dataclasses.replace(predictions.arms[0], score=None)
    assert reliability(dataclasses.replace(predictions, arms=(unscored,)), SETTINGS) == []
