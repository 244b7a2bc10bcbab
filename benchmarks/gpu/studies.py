"""`python -m benchmarks.gpu.studies`: the quickstart on a GPU, as a user would run it.

Four questions: does it run there; what does each number of workers on one card take; does the same study
give the same bytes again, and with another number of workers; and how far are its predictions from the CPU's?
Results are written after every part. Without a GPU all parts run on the CPU: it shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.machine import describe

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = "seeds=[13]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every part in a process of its own, and compare what they predicted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", default="quickstart", help="a recipe or a study file")
    parser.add_argument("--workers", type=int, action="append", help="1, 2 and 4, when none is given")
    parser.add_argument("--whole", action="store_true", help="first the study with all of its seeds")
    parser.add_argument("--seconds", type=float, default=240, help="a part may take")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu_studies.json")
    parser.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    numbers = given.workers or [1, 2, 4]
    if given.part is not None:
        print(json.dumps(part(given.study, given.part, numbers[0], [] if given.whole else [SEEDS])))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(given, numbers, Path(folder))


def measure(given: argparse.Namespace, numbers: Sequence[int], folder: Path) -> None:
    """All parts, one after the other; the file of results grows with each."""
    cuda = torch.cuda.is_available()
    found: dict[str, Any] = {
        "what": (__doc__ or "").split("\n\n", maxsplit=1)[0],
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "machine": describe("evenhand", "torch", "transformers", "peft", "accelerate"),
        "study": given.study,
        "parts": {},
        "compared": {},
    }

    def keep() -> None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")

    plans = {f"workers={n}": (n, SEEDS, {}) for n in numbers}
    plans["again"] = (numbers[0], SEEDS, {})
    plans["cpu"] = (os.cpu_count() or 1, SEEDS, {"CUDA_VISIBLE_DEVICES": ""})
    if given.whole:
        plans = {"whole": (numbers[-1], "", {}), **plans}
    first = f"workers={numbers[0]}"
    for name, (workers, seeds, environment) in plans.items():
        found["parts"][name] = in_a_process(given, folder / name, workers, seeds, environment)
        keep()
        print(name, json.dumps(found["parts"][name])[:600], flush=True)
        if name not in {first, "whole"}:
            found["compared"][f"{name} with {first}"] = compared(folder / first, folder / name)
            print(name, json.dumps(found["compared"][f"{name} with {first}"]), flush=True)
            keep()
    print(f"results: {os.path.relpath(given.out)}")


def in_a_process(
    given: argparse.Namespace, output: Path, workers: int, seeds: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """One part; a failure is its result."""
    call = [sys.executable, "-m", "benchmarks.gpu.studies", "--study", given.study, "--part", str(output)]
    call += ["--workers", str(workers)] + ([] if seeds else ["--whole"])
    try:
        done = subprocess.run(
            call,
            capture_output=True,
            text=True,
            timeout=given.seconds,
            check=False,
            env=os.environ | dict(environment),
        )
    except subprocess.TimeoutExpired as error:
        return {"problem": f"took longer than {given.seconds:.0f} s", "printed": str(error.stderr)[-2000:]}
    if done.returncode:
        return {"problem": done.stderr[-3000:]}
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


def part(study: str, output: Path, workers: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Run a study, and say what it took and came to."""
    import evenhand

    start = time.perf_counter()
    try:
        results = evenhand.run(study, output=output, overrides=overrides, workers=workers)
    except Exception:
        return {"problem": traceback.format_exc()[-3000:]}
    seconds = time.perf_counter() - start
    records = [json.loads(path.read_text()) for path in sorted(output.glob("*/runs/*/run.json"))]
    facts = [r.get("facts", r) for r in records]
    return {
        "workers": workers,
        "seconds": seconds,
        "runs": len(records),
        "statuses": sorted({str(r.get("status")) for r in records}),
        "errors": [str(r.get("error"))[-800:] for r in records if r.get("error")][:3],
        "devices": sorted({str(f.get("device")) for f in facts}),
        "peak_memory_bytes": max((f.get("peak_memory_bytes") or 0 for f in facts), default=0),
        "seconds_of_phases": {
            phase: round(sum(f["seconds"].get(phase, 0) for f in facts if f.get("seconds")), 2)
            for phase in ("load", "train", "predict", "save", "check")
        },
        "sentences": [result.verdict["sentence"] for result in results],
    }


def compared(one: Path, other: Path) -> dict[str, Any]:
    """How the predictions of two folders of the same runs differ."""
    equal, rows, flips, far, runs = 0, 0, 0, 0.0, 0
    for path in sorted(one.glob("*/runs/*/predictions.parquet")):
        again = other / path.relative_to(one)
        if not again.exists():
            continue
        a, b = (pq.read_table(p).to_pydict() for p in (path, again))
        first, second = np.array(a["score"], float), np.array(b["score"], float)
        runs += 1
        equal += a == b
        rows += len(first)
        flips += sum(x != y for x, y in zip(a["prediction"], b["prediction"], strict=True))
        far = max(far, float(np.abs(first - second).max()))
    return {
        "runs": runs,
        "runs_equal_to_the_bit": equal,
        "rows": rows,
        "predictions_that_differ": flips,
        "largest_difference_of_scores": far,
    }


if __name__ == "__main__":
    main()
