"""Do comparisons of calibration errors hold, with several runs of each arm?

    python -m benchmarks.simulate.calibration --draws 300

Two arms score the same rows in several runs. In every run the logits of an arm are those of the truth, a
shift of the run and noise of each row; the candidate's scores are off by `shift`. Draws ask for the p-value
of equal errors, and, with a declared margin, for the interval and the verdict.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from scipy.special import expit, logit

from evenhand.judge.metrics.expected_calibration_error import BINS, bin_of
from evenhand.judge.run import judge_predictions
from evenhand.judge.settings import Settings
from evenhand.tables.schema import Arm, Columns, FloatArray, Predictions

ERROR = "expected_calibration_error"


def scores(
    truth: FloatArray, runs: int, rng: np.random.Generator, *, of_runs: float, of_rows: float, shift: float
) -> FloatArray:
    """[runs, n, 2] scores of one arm."""
    moved = rng.normal(0, of_runs, (runs, 1)) + rng.normal(0, of_rows, (runs, len(truth)))
    positive = np.clip(expit(logit(truth) + moved) + shift, 1e-6, 1 - 1e-6)
    return np.stack([1 - positive, positive], axis=2)


def draw(
    rows: int, runs: int, rng: np.random.Generator, *, of_runs: float, of_rows: float, shift: float
) -> Predictions:
    """Two arms on the same rows, whose labels are drawn from the truth."""
    truth = chances(rows, rng)
    label = (rng.random(rows) < truth).astype(np.int64)
    arms = []
    for name, own in (("reference", 0.0), ("candidate", shift)):
        proba = scores(truth, runs, rng, of_runs=of_runs, of_rows=of_rows, shift=own)
        names = tuple(str(r) for r in range(runs))
        arms.append(Arm(name, names, (proba[:, :, 1] >= 0.5).astype(np.int64), proba))
    one = np.ones(rows)
    return Predictions(("0", "1"), 1, label, tuple(arms), (), one, one, one)


def simulate(
    draws: int, *, rows: int, runs: int, margin: float, of_runs: float = 0.1, of_rows: float = 0.2,
    shift: float = 0.0,
) -> dict[str, float]:  # fmt: skip
    """Shares of draws: p below 0.05, the interval holds the truth, the verdicts; and that truth."""
    world = {"of_runs": of_runs, "of_rows": of_rows}
    truth = error(world | {"shift": shift}) - error(world | {"shift": 0.0})
    found: dict[str, list[float]] = {k: [] for k in ("p < 0.05", "covered", "harm", "harmless", "width")}
    for number in range(draws):
        rng = np.random.default_rng((17, number, rows, runs))
        p = draw(rows, runs, rng, of_runs=of_runs, of_rows=of_rows, shift=shift)
        free = row_of(p, Settings(metrics=(ERROR,), primary=(ERROR,), rng=number))
        row = row_of(p, Settings(metrics=(ERROR,), primary=(ERROR,), rng=number, margins={ERROR: margin}))
        found["p < 0.05"].append(free["p_value"] < 0.05)
        found["covered"].append(row["low"] <= truth <= row["high"])
        found["harm"].append(row["verdict"] == "harm")
        found["harmless"].append(row["verdict"] == "harmless")
        found["width"].append(row["high"] - row["low"])
    return {"truth": round(truth, 4)} | {k: round(float(np.mean(v)), 4) for k, v in found.items()}


def error(world: dict[str, float], rows: int = 4000, runs: int = 400) -> float:
    """The mean calibration error of runs over endless rows: their labels are what they are expected to be."""
    rng = np.random.default_rng(3)
    truth = chances(rows, rng)
    positive = scores(truth, runs, rng, **world)[:, :, 1]
    index = bin_of(positive.ravel(), BINS).reshape(positive.shape)
    gaps = [np.bincount(i, weights=s - truth, minlength=BINS) for i, s in zip(index, positive, strict=True)]
    return float(np.abs(gaps).sum(axis=1).mean() / rows)


def chances(rows: int, rng: np.random.Generator) -> FloatArray:
    """[n] chance that a row's label is 1."""
    return np.clip(rng.beta(1.5, 1.5, rows), 0.1, 0.85)


def row_of(predictions: Predictions, settings: Settings) -> dict[str, Any]:
    """The comparison of the two arms."""
    audit = judge_predictions(predictions, Columns(), settings)
    [row] = [r for r in audit.comparisons if r["metric"] == ERROR]
    return row


def main() -> None:
    """Print a line per world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    worlds: list[dict[str, Any]] = [
        {"rows": rows, "runs": runs, "margin": margin, "of_runs": of_runs, "shift": shift}
        for rows, margin in ((600, 0.05), (1500, 0.03), (6000, 0.02))
        for runs in (1, 5)
        for of_runs, shift in ((0.0, 0.0), (0.15, 0.0), (0.0, margin))
    ]
    for world in worlds:
        sys.stdout.write(f"{world} {simulate(draws, **world)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
