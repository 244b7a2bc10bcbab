"""`python -m benchmarks.simulate.covariates FOLDER ...`: what explains how a row differs between arms?

A covariate of the rows would narrow an interval by the root of 1 - R^2, R^2 being the share of the variance
of the rows' differences that it explains, if its mean over the population were known. Studies of five runs
are drawn from folders as in `trainings`; within each group differences are regressed on the label, and on the
answers of the other candidates (corrected R^2). Into benchmarks/results/covariates.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.simulate.tables import RESULTS
from benchmarks.simulate.trainings import load

RUNS, REPLICATES = 5, 100


def explained(d: np.ndarray, covariates: list[np.ndarray]) -> float:
    """Corrected share of the variance of [n] differences that [n] covariates explain."""
    x = np.column_stack([np.ones(len(d)), *covariates])
    residual = d - x @ np.linalg.lstsq(x, d, rcond=None)[0]
    return float(1 - residual @ residual / (len(d) - x.shape[1]) / d.var(ddof=1))


def measure(folder: Path) -> list[dict]:
    """Mean shares of every candidate and group."""
    right, group, label, arms = load(folder)
    rng, rows = np.random.default_rng(0), []
    for candidate in range(1, len(arms)):
        others = [a for a in range(1, len(arms)) if a != candidate]
        for g in np.unique(group):
            shares = []
            for _ in range(REPLICATES):
                mean = right[:, rng.choice(right.shape[1], RUNS, replace=False)].mean(axis=1)[:, group == g]
                d = mean[candidate] - mean[0]
                if d.var() > 0:
                    by_label = explained(d, [label[group == g].astype(float)])
                    shares.append((by_label, explained(d, list(mean[others]))))
            by_label, by_others = np.mean(shares, axis=0).round(3).tolist()
            row = {"study": folder.name, "candidate": arms[candidate], "group": int(g), "label": by_label}
            rows.append(row | {"other candidates": by_others})
    return rows


def main() -> None:
    """Measure every folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    rows = [row for folder in parser.parse_args().folders for row in measure(folder)]
    (RESULTS / "covariates.json").write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(row)
    for kind in ("label", "other candidates"):
        shares = [row[kind] for row in rows]
        print(f"{kind}: mean {np.mean(shares):.3f}, most {max(shares):.3f}")


if __name__ == "__main__":
    main()
