"""`python -m benchmarks.simulate.trainings FOLDER ...`: do intervals hold for runs that were really trained?

Each folder is a study with many runs of every arm, for example

    evenhand run quickstart -o 'seeds=[101, ..., 130]' --output FOLDER

Studies of a few runs are drawn from it: runs without replacement (seeds are common to the arms), rows with
replacement within group and label. What all runs show on all rows is the truth. Shifts of real runs are
skewed and heavy-tailed, which no normal world shows. Into benchmarks/results/trainings.json and
docs/statistics.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.simulate.shifts import ALPHA, Moments, column, family_of, intervals
from benchmarks.simulate.tables import RESULTS, put_between

RUNS = (3, 5, 10)
KEYS = ("study", "arms", "runs", "metrics", "coverage", "least of one", "width", "width / unmoderated")


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Right answers [arm, seed, row], groups and labels of the test rows, and the arms, reference first."""
    study = json.loads((folder / "study.json").read_text())
    reference = study["audit"]["reference"]
    tables = {}
    for path in sorted(folder.glob("runs/*/run.json")):
        record = json.loads(path.read_text())
        if record["status"] == "finished":
            table = pq.read_table(path.with_name("predictions.parquet"))
            tables[record["arm"], record["seed"]] = (
                table.to_pandas().query("split == 'test'").sort_values("example_id")
            )
    arms = sorted({a for a, _ in tables}, key=lambda a: (a != reference, a))
    seeds = sorted(s for s in {s for _, s in tables} if all((a, s) in tables for a in arms))
    first = tables[arms[0], seeds[0]]
    [by] = [c for c in ("group", "tone") if c in first]
    label = first["label"].to_numpy()
    right = np.array([[tables[a, s]["prediction"].to_numpy() == label for s in seeds] for a in arms])
    return right, np.unique(first[by].astype(str), return_inverse=True)[1], label, arms


def draw(
    right: np.ndarray, strata: list[np.ndarray], runs: int, metrics: int, rng: np.random.Generator
) -> Moments:
    """One study of some runs; strata are the rows of each group and label."""
    chosen = right[:, rng.choice(right.shape[1], runs, replace=False)]
    parts = []
    for negative, positive in zip(strata[::2], strata[1::2], strict=True):
        among = [chosen[None][..., rng.choice(rows, len(rows))] for rows in (negative, positive)]
        both = np.concatenate(among, axis=3)
        parts += [column(x) for x in (both, among[1], among[0])[:metrics]]
    stacked = [np.stack([p[i] for p in parts], axis=2) for i in range(6)]
    return Moments(np.array([p[6] for p in parts], float), *stacked)


def coverage(folder: Path, candidates: list[int], runs: int, metrics: int, replicates: int) -> dict:
    """Figures of one kind of study."""
    right, group, label, arms = load(folder)
    right = right[[0, *candidates]]
    groups, rng = int(group.max()) + 1, np.random.default_rng((runs, metrics, len(candidates)))
    strata = [np.flatnonzero((group == g) & (label == y)) for g in range(groups) for y in (0, 1)]
    of_groups = [np.concatenate(strata[2 * g : 2 * g + 2]) for g in range(groups)]
    columns = [r for g in range(groups) for r in (of_groups[g], strata[2 * g + 1], strata[2 * g])[:metrics]]
    mean = np.stack([right[:, :, rows].mean(axis=(1, 2)) for rows in columns], axis=1)
    true = (mean[1:] - mean[:1]).reshape(-1)
    pilot = np.concatenate([draw(right, strata, runs, metrics, rng).difference for _ in range(200)])
    pointwise = family_of(pilot, groups, metrics).pointwise(ALPHA)
    inside, width, before = [], [], []
    for _ in range(replicates):
        low, high, *others = intervals(draw(right, strata, runs, metrics, rng), 0, groups, pointwise)
        inside.append((low <= true + 1e-9) & (true - 1e-9 <= high))
        width.append((high - low).mean())
        before.append((others[1] - others[0]).mean())
    return {
        "study": folder.name,
        "arms": " ".join(arms[i] for i in (0, *candidates)),
        "seeds": right.shape[1],
        "runs": runs,
        "metrics": metrics,
        "coverage": round(float(np.mean(np.all(inside, axis=1))), 4),
        "least of one": round(float(np.mean(inside, axis=0).min()), 4),
        "width": round(float(np.mean(width)), 4),
        "width / unmoderated": round(float(np.mean(width) / np.mean(before)), 3),
        "replicates": replicates,
    }


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    head = (
        f"`python -m benchmarks.simulate.trainings`: {cells[0]['replicates']:,} studies of each kind, drawn "
        f"from {cells[0]['seeds']} trainings of every arm of the quickstart's two studies. Metrics: accuracy "
        "alone, or with the rates of true and false positives."
    )
    lines = ["| " + " | ".join(KEYS) + " |", "|" + "---|" * len(KEYS)]
    return "\n".join([head, "", *lines, *("| " + " | ".join(str(c[k]) for k in KEYS) + " |" for c in cells)])


def main() -> None:
    """Draw all kinds of studies from every folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--replicates", type=int, default=2000)
    options = parser.parse_args()
    cells = []
    for folder in options.folders:
        arms = len(load(folder)[0])
        for runs in RUNS:
            for metrics in (1, 3):
                for candidates in (list(range(1, arms)), [arms - 1]):
                    cells.append(coverage(folder, candidates, runs, metrics, options.replicates))
                    print(cells[-1], flush=True)
    (RESULTS / "trainings.json").write_text(json.dumps(cells, indent=1) + "\n")
    put_between("trainings", render(cells))


if __name__ == "__main__":
    main()
