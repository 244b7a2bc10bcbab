"""Draw the predictions of two adaptation methods, five runs each, with a planted difference.

The file that this writes is what an auditor would hold: one row per arm, run and example. `lora` has a lower
true positive rate than `full` for race=Black, is better than it for race=Asian, and is the same elsewhere.
Race=Other is so small that nothing can be told. Nobody's data: every row is drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, RUNS = 24_000, ("13", "42", "666", "888", "1337")
RACES, SHARES = ("White", "Black", "Asian", "Other"), (0.5, 0.3, 0.195, 0.005)
#: Change of the logit of a right answer under lora, on positives, by race.
PLANTED = {"Black": -0.75, "Asian": 0.5}


def main(path: str) -> None:
    """Write the predictions to `path`, a parquet file; its folder is made when missing."""
    rng = np.random.default_rng(7)
    race = rng.choice(RACES, ROWS, p=SHARES)
    sex = rng.choice(["F", "M"], ROWS)
    label = (rng.random(ROWS) < 0.35).astype(np.int64)
    ease = rng.normal(2.4, 2.0, ROWS)  # how clear an example is, to every model alike
    tables = []
    for arm in ("full", "lora"):
        shift = np.array([PLANTED.get(r, 0.0) for r in race]) * (label == 1) * (arm == "lora")
        for run in RUNS:
            logit = ease + shift + rng.normal(0, 0.02) + rng.logistic(0, 0.25, ROWS)
            right = 1 / (1 + np.exp(-logit))
            score = np.where(label == 1, right, 1 - right)
            tables.append(
                pa.table(
                    {
                        "example_id": [f"post-{i:05d}" for i in range(ROWS)],
                        "label": label,
                        "score": score.round(6),
                        "race": race,
                        "sex": sex,
                        "arm": [arm] * ROWS,
                        "run": [run] * ROWS,
                    }
                )
            )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
