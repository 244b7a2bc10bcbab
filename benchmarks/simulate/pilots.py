"""`python -m benchmarks.simulate.pilots FOLDER ...`: do forecasts from pilots hold for real trainings?

Each folder is a study with many runs of every arm (see `trainings.py`). Pilots of a few runs of two arms are
drawn from it, and forecast the half widths that studies of more runs have (`judge/planning/parts.py`): at the
estimated variances, and at their upper limits. Studies of that many runs are then drawn from the
same trainings. Into benchmarks/results/pilots.json and docs/statistics.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.simulate.claims import pairs_of
from benchmarks.simulate.shifts import ALPHA, family_of, moderated
from benchmarks.simulate.tables import RESULTS, put_between
from benchmarks.simulate.trainings import draw, load
from evenhand.judge.planning.forecast import be_cautious
from evenhand.judge.planning.parts import Parts
from evenhand.judge.stats.paired import ScorePaired
from evenhand.judge.stats.quantiles import z_of

PILOTS, LATER = (3, 5), (10, 20)
KEYS = ("study", "pilot", "runs", "half width", "forecast / actual", "10 %", "90 %", "cautious / actual")
KEYS += ("cautious is enough",)


def parts_of(estimates: ScorePaired, runs: int, pointwise: float) -> tuple[Parts, Parts]:
    """Parts of the variances of all comparisons, as a plan takes them, and their upper limits."""
    low, high = estimates.interval(pointwise)
    rows = []
    for k, pair in enumerate(pairs_of(estimates, runs)):
        keys = {"n": pair.n, "runs": runs, "unit": pair.unit, "low": low[k], "high": high[k]}
        rows.append(keys | pair.variance_parts())
        # Rows whose answers differ: a plan counts them, and here their number follows from the mean of |d|.
        rows[-1] |= {"n_right_to_wrong": float(estimates.absolute[k]) * pair.n, "n_wrong_to_right": 0.0}
    parts = Parts.of_rows(rows, 2).with_widths((high - low) / 2, np.full(len(rows), float(z_of(pointwise))))
    return parts, be_cautious(parts, rows)


def forecasts(folder: Path, pilot: int, replicates: int) -> list[dict]:
    """Figures of pilots of so many runs: the first arm against the last one, by accuracy in each group."""
    right, group, label, arms = load(folder)
    right = right[[0, len(arms) - 1]]
    groups, rng = int(group.max()) + 1, np.random.default_rng((pilot, 7))
    strata = [np.flatnonzero((group == g) & (label == y)) for g in range(groups) for y in (0, 1)]
    sample = np.concatenate([draw(right, strata, 5, 1, rng).difference for _ in range(200)])
    pointwise = family_of(sample, groups, 1).pointwise(ALPHA)
    z = float(z_of(pointwise))
    actual, at_estimate, cautious = ({runs: [] for runs in LATER} for _ in range(3))
    for _ in range(replicates):
        estimates = moderated(draw(right, strata, pilot, 1, rng), 0, groups)[1]
        parts, upper = parts_of(estimates, pilot, pointwise)
        for runs in LATER:
            low, high = moderated(draw(right, strata, runs, 1, rng), 0, groups)[1].interval(pointwise)
            actual[runs].append((high - low) / 2)
            at_estimate[runs].append(parts.at(parts.rows, float(runs)).half_width(z))
            cautious[runs].append(upper.at(parts.rows, float(runs)).half_width(z))
    cells = []
    for runs in LATER:
        usual = np.median(actual[runs], axis=0)
        ratio, above = np.array(at_estimate[runs]) / usual, np.array(cautious[runs]) / usual
        figures = (usual.mean(), np.median(ratio), *np.quantile(ratio, (0.1, 0.9)), np.median(above))
        names = (folder.name, pilot, runs, *(round(float(x), 3) for x in figures))
        cells.append(
            dict(zip(KEYS, (*names, round(float((above >= 1).mean()), 3)), strict=True))
            | {"replicates": replicates}
        )
    return cells


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    head = (
        f"`python -m benchmarks.simulate.pilots`: {cells[0]['replicates']} pilots of each kind, drawn from "
        "30 trainings of each arm of the quickstart's two studies; the half width of accuracy in a group "
        "that each forecasts for more runs, over the median of studies that were drawn with so many runs. "
        "Over pilots and groups: median, 10 % and 90 % quantiles; and the same from the upper limits of the "
        "variances, with the share of pilots in which it is wide enough."
    )
    lines = ["| " + " | ".join(KEYS) + " |", "|" + "---|" * len(KEYS)]
    return "\n".join([head, "", *lines, *("| " + " | ".join(str(c[k]) for k in KEYS) + " |" for c in cells)])


def main() -> None:
    """Draw pilots of all sizes from every folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--replicates", type=int, default=300)
    options = parser.parse_args()
    cells = []
    for folder in options.folders:
        for pilot in PILOTS:
            cells += forecasts(folder, pilot, options.replicates)
            print(*cells[-len(LATER) :], sep="\n", flush=True)
    (RESULTS / "pilots.json").write_text(json.dumps(cells, indent=1) + "\n")
    put_between("pilots", render(cells))


if __name__ == "__main__":
    main()
