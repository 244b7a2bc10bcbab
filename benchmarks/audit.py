"""`python -m benchmarks.audit`: time and memory of whole audits, fairlearn on the same rows beside them.

Every evenhand figure is a whole process, from its start to the written JSON. fairlearn's bootstrap of 1,000
replicates is extrapolated from 3: one replicate takes about ten seconds there.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "audit.json"
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
REPLICATES, MEASURED = 1000, 3


def draw(rows: int, path: Path, *, seed: int = 0, strings: bool = True, agree: float = 1.0) -> None:
    """A prediction file: eight groups, two sexes, accuracy about .8; `agree` is the share of kept answers."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.3).astype(np.int64)
    answer = np.where(rng.random(rows) < 0.8, label, 1 - label)
    other = np.random.default_rng(99).random(rows) < agree
    ids = np.arange(rows)
    table = {
        "example_id": ids.astype(str) if strings else ids,
        "label": label,
        "prediction": np.where(other, answer, 1 - answer),
        "group": np.array([f"g{i}" for i in range(8)])[rng.integers(0, 8, rows)],
        "sex": np.where(rng.random(rows) < 0.5, "F", "M"),
    }
    pq.write_table(pa.table(table), path)


def draw_elsewhere(*arguments: object, **options: object) -> None:
    """`draw` in a process of its own: a child's peak memory counts what its parent held at its start."""
    code = "from pathlib import *\nfrom benchmarks.audit import draw\n"
    code += f"draw(*{arguments!r}, **{options!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def process(*arguments: str, repeats: int = 5) -> dict[str, float]:
    """Median wall time and peak memory of `evenhand ...` as whole processes, after one warm-up."""
    command = [sys.executable, "-m", "evenhand", *arguments]
    walls, peaks = [], []
    for i in range(repeats + 1):
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, status, usage = wait(child)
        if status != 0:
            sys.exit(f"{' '.join(command)} failed")
        if i:
            walls.append(time.perf_counter() - start)
            peaks.append(usage.ru_maxrss / 1024)
    return {
        "seconds": round(statistics.median(walls), 3),
        "slowest": round(max(walls), 3),
        "MiB": round(max(peaks)),
    }


def wait(child: subprocess.Popen) -> tuple[int, int, resource.struct_rusage]:
    import os

    pid, status, usage = os.wait4(child.pid, 0)
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    return pid, child.returncode, usage


def fairlearn_seconds(path: Path) -> dict[str, float]:
    """MetricFrame of the same four rates on the same file, from reading to the last interval."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from fairlearn import metrics as fm
        from sklearn.metrics import accuracy_score

    start = time.perf_counter()
    frame = pd.read_parquet(path)
    known = {
        "selection_rate": fm.selection_rate,
        "true_positive_rate": fm.true_positive_rate,
        "false_positive_rate": fm.false_positive_rate,
        "accuracy": accuracy_score,
    }

    def once(**options: object) -> float:
        begun = time.perf_counter()
        fm.MetricFrame(
            metrics=known,
            y_true=frame["label"],
            y_pred=frame["prediction"],
            sensitive_features=frame["group"],
            **options,
        )
        return time.perf_counter() - begun

    read = time.perf_counter() - start
    plain = once()
    some = once(n_boot=MEASURED, ci_quantiles=[0.025, 0.975], random_state=0)
    each = (some - plain) / MEASURED
    return {
        "without intervals": round(read + plain, 2),
        "one replicate": round(each, 2),
        f"{REPLICATES} replicates (extrapolated from {MEASURED})": round(read + plain + REPLICATES * each),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--skip-fairlearn", action="store_true")
    options = parser.parse_args()
    rates = [a for name in RATES for a in ("--metric", name)]
    found: dict[str, object] = {"machine": describe("evenhand", "numpy", "duckdb", "fairlearn")}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        out = ["--json", str(place / "out.json")]
        draw_elsewhere(1_000_000, place / "million.parquet")
        draw_elsewhere(50_000, place / "first.parquet")
        draw_elsewhere(50_000, place / "second.parquet", agree=0.9)
        draw_elsewhere(10_000_000, place / "ten.parquet", strings=False)
        found["1M rows, 8 groups, 4 rates"] = process(
            "audit", str(place / "million.parquet"), "--by", "group", *rates, *out, repeats=7
        )
        both = [str(place / "first.parquet"), str(place / "second.parquet")]
        found["2 files of 50,000 rows, 4 rates"] = process("audit", *both, "--by", "group", *rates, *out)
        found["2 files of 50,000 rows, two attributes, everything"] = process(
            "audit", *both, "--by", "group", "--by", "sex", *out
        )
        found["10M rows, two attributes, 4 rates"] = process(
            "audit", str(place / "ten.parquet"), "--by", "group", "--by", "sex", *rates, *out, repeats=3
        )
        found["--help"] = process("--help")
        if not options.skip_fairlearn:
            peer = fairlearn_seconds(place / "million.parquet")
            found["fairlearn, 1M rows, 8 groups, 4 rates"] = peer
            slow = float(list(peer.values())[-1])
            found["times faster"] = round(slow / found["1M rows, 8 groups, 4 rates"]["seconds"])  # type: ignore[index]
    text = json.dumps(found, indent=1)
    print(text)
    if not options.skip_fairlearn:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
