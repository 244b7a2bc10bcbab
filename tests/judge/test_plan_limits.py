"""Upper limits of a plan's variances, and intervals that are wider than their variance says."""

from __future__ import annotations

import numpy as np
import pytest

from evenhand.judge.planning.forecast import be_cautious
from evenhand.judge.planning.parts import Parts
from evenhand.judge.stats.intervals import tango
from tests.judge.test_moderated_audit import comparisons, predictions


def parts_of(rows, arms=3):
    half = np.array([(r["high"] - r["low"]) / 2 for r in rows])
    z = np.array([r["critical"] for r in rows])
    return Parts.of_rows(rows, arms), half, z


def test_forecasts_at_the_present_numbers_are_the_present_intervals():
    rows, _ = comparisons(predictions(common=0.99))
    rows = [r for r in rows if r["family"] == "primary"]
    parts, half, z = parts_of(rows)
    assert (parts.half_width(z) < 0.98 * half).any()  # limits of few rows are wider than their variance says
    assert parts.with_widths(half, z).half_width(z) == pytest.approx(half, rel=1e-6)


def test_the_excess_falls_with_rows_as_that_of_shares_does():
    """One run, rows of which a few differ: Tango's interval of the same shares on four times the rows."""
    shares, z, n = np.array([0.02, 0.04]), 2.6, 150.0

    def half(rows):
        low, high = tango(np.zeros(2), shares, rows, z)
        return (high - low) / 2

    rows = [
        {"n": n, "runs": 1, "unit": "rows", "low": -h, "high": h, "row_variance": s / n, "critical": z}
        for s, h in zip(shares, half(n), strict=True)
    ]
    parts, now, quantile = parts_of(rows, 2)
    forecast = parts.with_widths(now, quantile).at(4 * n, 1.0).half_width(quantile)
    assert forecast == pytest.approx(half(4 * n), rel=0.06)
    without = parts.at(4 * n, 1.0).half_width(quantile)
    assert (abs(forecast / half(4 * n) - 1) < abs(without / half(4 * n) - 1)).all()


def test_the_upper_limit_over_rows_holds_as_often_as_it_says():
    """The variance is that of rows whose answers differ, of which a pilot counts a random number."""
    rng, n, share = np.random.default_rng(0), 1000, 0.03
    counts = rng.binomial(n, share, 2000)
    rows = [
        {
            "n": n, "runs": 1, "unit": "rows", "low": -0.02, "high": 0.02, "row_variance": c / n**2,
            "critical": 2.0, "n_right_to_wrong": c / 2, "n_wrong_to_right": c / 2,
        }
        for c in counts.tolist()
    ]  # fmt: skip
    parts = Parts.of_rows(rows, 2)
    held = be_cautious(parts, rows).row_variance >= share / n
    assert np.mean(held) == pytest.approx(0.8, abs=0.06)
    assert np.mean(parts.row_variance >= share / n) < 0.6
    uncounted = [{k: v for k, v in r.items() if not k.startswith("n_")} for r in rows]
    assert be_cautious(parts, uncounted).row_variance == pytest.approx(parts.row_variance, rel=1e-3)
