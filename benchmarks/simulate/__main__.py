"""`python -m benchmarks.simulate`: the whole grid, into benchmarks/results/simulation.json and the docs.

Every cell has a seed of its own, so that a cell's figures do not depend on which others are run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.simulate import coverage
from benchmarks.simulate.tables import write_tables

RESULTS = Path(__file__).parents[1] / "results" / "simulation.json"
AXES = ("groups", "rows", "between groups", "between arms", "rho", "accuracy", "base rate", "runs", "sigma")
ROWS = (30, 200, 2000, "unequal")

#: Part of the simulation -> the values of each axis. `paired` is the whole grid of single runs; `shifts.py`
#: has several.
PARTS = {
    "paired": (
        (2, 5, 8),
        ROWS,
        (0, 0.02, 0.1),
        (0, 0.02, 0.1),
        (0, 0.5, 0.9),
        (0.8, 0.95),
        (0.3, 0.05),
        (1,),
        (0,),
    ),
    "disparity": ((2, 5), ROWS, (0, 0.1), (0, 0.02, 0.1), (0, 0.9), (0.8,), (0.3,), (1,), (0,)),
    "disparity of eight groups": ((8,), (200, 2000), (0,), (0, 0.1), (0, 0.9), (0.8,), (0.3,), (1,), (0,)),
    "disparity with runs": ((2, 5), (200, 2000), (0, 0.1), (0, 0.1), (0.5,), (0.8,), (0.3,), (5,), (0, 0.1)),
    "whole audit": ((2, 8), (30, 200, "unequal"), (0,), (0, 0.1), (0, 0.9), (0.8,), (0.3,), (1,), (0,)),
    "influence": ((2, 8), (30, 200, 2000), (0,), (0, 0.1), (0, 0.9), (0.8,), (0.3,), (1,), (0,)),
    "own splits": ((2,), (200, 2000, "unequal"), (0,), (0, 0.1), (0.5,), (0.8,), (0.3,), (5,), (0, 0.1, 0.3)),
    "bootstrap": ((2, 8), (30, 200, 2000), (0,), (0, 0.1), (0.5, 0.9), (0.8,), (0.3,), (1,), (0,)),
}
FUNCTIONS = {
    "paired": coverage.paired,
    "disparity": coverage.disparity,
    "disparity of eight groups": coverage.disparity,
    "disparity with runs": coverage.disparity,
    "whole audit": coverage.whole_audit,
    "influence": coverage.influence,
    "own splits": coverage.own_splits,
    "bootstrap": coverage.bootstrap,
}


def cells(part: str) -> list[dict]:
    """The cells of a part."""
    return [dict(zip(AXES, values, strict=True)) for values in itertools.product(*PARTS[part])]


def run_cell(part: str, cell: dict, replicates: int) -> dict:
    """One cell's figures beside its axes."""
    rng = np.random.default_rng(zlib.crc32(repr((part, sorted(cell.items()))).encode()))
    found = FUNCTIONS[part](cell, replicates, rng)
    return {**cell, **{k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"parts": {}}
    for part in options.only or PARTS:
        todo, start = cells(part), time.perf_counter()
        with ProcessPoolExecutor(options.processes) as pool:
            futures = [pool.submit(run_cell, part, cell, options.replicates) for cell in todo]
            rows = []
            for i, future in enumerate(futures, 1):
                rows.append(future.result())
                if i % max(1, len(todo) // 20) == 0:
                    print(
                        f"{part}: {i} of {len(todo)} cells, {time.perf_counter() - start:.0f} s", flush=True
                    )
        stored["parts"][part] = {
            "replicates": options.replicates,
            "seconds": round(time.perf_counter() - start),
            "cells": rows,
        }
        stored["machine"] = {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(_compact(stored))
    write_tables(stored)
    print(f"figures: {RESULTS}; tables: docs/statistics.md")


def _compact(stored: dict) -> str:
    """JSON with one cell a line."""
    parts = []
    for name, part in stored["parts"].items():
        lines = ",\n".join("   " + json.dumps(c) for c in part["cells"])
        head = json.dumps({k: v for k, v in part.items() if k != "cells"})[1:-1]
        parts.append(f'  {json.dumps(name)}: {{{head}, "cells": [\n{lines}\n  ]}}')
    return f'{{"machine": {json.dumps(stored["machine"])},\n "parts": {{\n' + ",\n".join(parts) + "\n }\n}\n"


if __name__ == "__main__":
    main()
