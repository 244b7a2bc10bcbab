"""`python -m benchmarks.reference STUDY.yaml OUTPUT`: a study's accuracies beside a plain script's.

OUTPUT is the folder where `evenhand run STUDY.yaml --output OUTPUT` put its runs. The script trains every run
again with transformers' `Trainer` and PEFT, from its own draws of heads, adapters and orders: means over
seeds should agree within the noise of five seeds, not run by run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.reference import plain
from evenhand import registry
from evenhand.datasets import split
from evenhand.finetune import Data
from evenhand.spec.read import read_studies
from evenhand.study.plan import plan

RESULTS = Path(__file__).parents[1] / "results" / "reference.json"


def main() -> None:
    """Train by the plain script, compare, and add the study to the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    (study,) = read_studies(given.study)
    result = json.loads((given.output / study.name / "result.json").read_text())
    ours = {
        row["input"]: row["value"]
        for row in result["models"][0]["audit"]["rates"]
        if row["attribute"] is None and row["metric"] == "accuracy" and row["class"] is None
    }
    examples = registry.load("evenhand.datasets", study.dataset.name).load(study.dataset.config)
    shares = study.dataset.split.model_dump()
    data = Data(examples, examples.parts or split(examples.ids, **shares))
    found: dict[str, list[float]] = {}
    for job, accuracy in plain.accuracies([planned.job for planned in plan(study)], data):
        found.setdefault(job.arm, []).append(accuracy)
        print(job.arm, job.seed, round(accuracy, 4), flush=True)
    labels = examples.labels[data.parts.test]
    rows = {
        arm: {
            "evenhand": round(ours[arm], 4),
            "plain script": round(float(np.mean(values)), 4),
            "spread of the plain script's seeds": round(float(np.std(values, ddof=1)), 4),
            "difference": round(ours[arm] - float(np.mean(values)), 4),
        }
        for arm, values in found.items()
    }
    told = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    base_rate = float(np.bincount(labels).max() / len(labels))
    told[study.name] = {
        "machine": describe("torch", "transformers", "peft"),
        "base rate": round(base_rate, 4),
        "arms": rows,
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
