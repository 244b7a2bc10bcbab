"""`python -m benchmarks.planted`: does a study find a planted difference, and none where there is none?

Twenty procedural worlds (ten of posts, ten of portraits). In each, one group is hard: reading it takes
capacity that the head alone lacks. A study of full fine-tuning against the head alone, five seeds each,
should call harm in that group; full fine-tuning against itself, five seeds against five others, should raise
no alarm.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import evenhand
from benchmarks.machine import describe
from evenhand.spec.read import read_studies
from evenhand.study.run import run_study

RESULTS = Path(__file__).parent / "results" / "planted.json"
SEEDS, OTHERS = (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)
GROUPS = {
    "synthetic_posts": ("velm", "orrin", "tasku", "pelia"),
    "synthetic_portraits": ("light", "tan", "brown", "dark"),
}
ATTRIBUTE = {"synthetic_posts": "group", "synthetic_portraits": "tone"}
METHODS: dict[str, dict[str, Any]] = {
    "synthetic_posts": {
        "full": {"learning_rate": 1.0e-3, "epochs": 10},
        "head_only": {"learning_rate": 1.0e-2, "epochs": 20},
    },
    "synthetic_portraits": {
        "full": {"learning_rate": 2.0e-3, "epochs": 16},
        "head_only": {"learning_rate": 1.0e-2, "epochs": 20},
    },
}
MODELS = {"synthetic_posts": "tiny_text", "synthetic_portraits": "tiny_vision"}


def spec(world: str, number: int, *, rows: int) -> dict[str, Any]:
    """A study of one world; which group is hard goes around."""
    hard = GROUPS[world][number % len(GROUPS[world])]
    return {
        "name": f"{world}-{number}",
        "dataset": {
            "name": world, "rows": rows, "seed": 100 + number, "hard_groups": {hard: 0.4},
            "split": {"train": 0.3, "validation": 0.0, "test": 0.7},
        },
        "model": MODELS[world],
        "methods": METHODS[world],
        "seeds": list(SEEDS),
        "audit": {"reference": "full", "by": [ATTRIBUTE[world]], "primary": ["accuracy"]},
    }  # fmt: skip


def found(result: dict[str, Any], group: str) -> bool:
    """Whether harm is called in a group by a primary metric."""
    rows = result["models"][0]["audit"]["comparisons"]
    return any(r["group"] == group and r["verdict"] == "harm" for r in rows if r["family"] == "primary")


def against_itself(study: dict[str, Any], folder: Path) -> int:
    """Verdicts of harm or help where full fine-tuning is compared with full fine-tuning of other seeds."""
    again = {**study, "name": f"{study['name']}-again", "methods": {"full": study["methods"]["full"]}}
    again["seeds"] = [*SEEDS, *OTHERS]
    (read,) = read_studies(again)
    run_study(read, folder)
    arms: dict[str, list[Any]] = {"these": [], "others": []}
    import pyarrow.parquet as pq

    for file in sorted((folder / again["name"] / "runs").glob("*/predictions.parquet")):
        table = pq.read_table(file)
        seed = int(table.column("run")[0].as_py())
        arms["these" if seed in SEEDS else "others"].append(table)
    result = evenhand.audit(
        [t for ts in arms.values() for t in ts], name=[n for n, ts in arms.items() for _ in ts], run="run",
        by=study["audit"]["by"], split="test",
    )  # fmt: skip
    return sum(r["verdict"] in ("harm", "help") for r in result.comparisons if r["family"] == "primary")


def main() -> None:
    """Run all worlds and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=10, help="of each kind")
    parser.add_argument("--rows", type=int, default=2400)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for world in MODELS:
            for number in range(given.worlds):
                told = spec(world, number, rows=given.rows)
                (study,) = read_studies(told)
                result = dict(run_study(study, Path(name)).result)
                hard = next(iter(told["dataset"]["hard_groups"]))
                row = {
                    "study": told["name"], "hard group": hard, "harm found": found(result, hard),
                    "verdicts": result["verdict"]["counts"], "false alarms": against_itself(told, Path(name)),
                }  # fmt: skip
                print(json.dumps(row), flush=True)
                rows.append(row)
    summary = {
        "studies": len(rows),
        "planted difference called harm": sum(r["harm found"] for r in rows),
        "alarms of a method against itself": sum(r["false alarms"] > 0 for r in rows),
    }
    print(json.dumps(summary))
    told = {"machine": describe("evenhand", "torch", "transformers"), "summary": summary, "rows": rows}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
