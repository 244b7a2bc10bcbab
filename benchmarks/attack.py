"""`python -m benchmarks.attack`: attacks and their intervals beside loops in the published libraries' style.

The slow peers are written here: LiRA with a loop over examples that evaluates two normals with scipy.stats
(the style of the published libraries), RMIA with the whole matrix of ratios. What is too slow is measured in
part and scaled, and the result says so. Scores are compared on the measured part.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.machine import describe
from benchmarks.simulate.attacks import Z, halves
from evenhand.judge.attacks import Evidence, lira
from evenhand.judge.attacks.rmia import dominated_share
from evenhand.judge.core.estimates import Group
from evenhand.judge.privacy.observe import Scored, observe
from evenhand.judge.privacy.rates import limits
from evenhand.judge.privacy.settings import at_fpr

RESULTS = Path(__file__).parent / "results" / "attack.json"


def best(run: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds of several runs."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def per_example(e: Evidence, target: int, rows: range, others: np.ndarray) -> np.ndarray:
    """Online LiRA of one target, example by example."""
    scores = np.empty(len(rows))
    for place, i in enumerate(rows):
        inside = e.margin[others[e.member[others, i]], i]
        outside = e.margin[others[~e.member[others, i]], i]
        own = e.margin[target, i]
        scores[place] = np.sum(
            stats.norm.logpdf(own, np.mean(inside, axis=0), np.std(inside, axis=0, ddof=1))
            - stats.norm.logpdf(own, np.mean(outside, axis=0), np.std(outside, axis=0, ddof=1))
        )
    return scores


def ratio_lira(models: int, rows: int, views: int, measured: int) -> dict:
    """One target, and all models as targets in turn, beside the loop."""
    rng = np.random.default_rng(0)
    member = halves(models, rows, rng)
    margin = rng.standard_normal((models, rows, views)) + member[:, :, None]
    shared = Evidence(member, np.arange(models), True, margin, margin)
    single = Evidence(member, np.array([0]), False, margin, margin)
    others = np.arange(1, models)
    start = time.perf_counter()
    wanted = per_example(shared, 0, range(measured), others)
    loop = (time.perf_counter() - start) * rows / measured
    config = lira.Config(variance="per_example")
    all_scores = lira.score(shared, config)
    one_scores = lira.score(single, config)
    worst = max(
        np.abs(all_scores[0, :measured] - wanted).max(), np.abs(one_scores[0, :measured] - wanted).max()
    )
    one, every = best(lambda: lira.score(single, config)), best(lambda: lira.score(shared, config), 2)
    tracemalloc.start()
    lira.score(shared, config)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return {
        "models": models,
        "rows": rows,
        "views": views,
        "loop, one target (s)": round(loop, 2),
        "loop, all targets (s)": round(loop * models),
        "loop measured on": f"{measured} rows of one target, the rest scaled",
        "one target (s)": round(one, 4),
        "all targets (s)": round(every, 3),
        "times, one target": round(loop / one, 1),
        "times, all targets": round(loop * models / every),
        "largest difference of a score": float(f"{worst:.2g}"),
        "peak beside the signals, all targets (MiB)": round(peak),
        "result (MiB)": round(models * rows * 8 / 2**20),
    }


def ratio_rmia(rows: int, population: int, part: int) -> dict:
    """Sorting beside the matrix of ratios."""
    rng = np.random.default_rng(1)
    x, z = np.exp(rng.standard_normal(rows)), np.exp(rng.standard_normal(population))
    start = time.perf_counter()
    wanted = (x[:part, None] / z[None, :] > 2.0).mean(axis=1)
    matrix = (time.perf_counter() - start) * rows / part
    seconds = best(lambda: dominated_share(x, z, 2.0), 7)
    told = "whole" if part == rows else f"{part} rows, the rest scaled"
    return {
        "rows": rows,
        "population": population,
        "matrix (s)": round(matrix, 3),
        "matrix measured on": told,
        "sorting (s)": round(seconds, 5),
        "times": round(matrix / seconds),
        "largest difference of a score": float(np.abs(dominated_share(x, z, 2.0)[:part] - wanted).max()),
    }


def intervals(rows: int, replicates: int, measured: int) -> dict:
    """TPR at 1 % FPR with limits for all rows and eight groups, beside a bootstrap of rows."""
    rng = np.random.default_rng(2)
    member = rng.random(rows) < 0.5
    scores = rng.standard_normal(rows) + member
    code = rng.integers(0, 8, rows)
    groups = [Group(None, None, np.arange(rows), rows)]
    groups += [Group("g", str(g), np.flatnonzero(code == g), int((code == g).sum())) for g in range(8)]
    scored = Scored("a", "loss", ("0",), scores[None], member[None])

    def ours() -> None:
        seen = observe(scored, groups, (0.01,), Z, (at_fpr(0.01),))
        for g in range(len(groups)):
            limits(seen, seen.leakage[at_fpr(0.01), g], at_fpr(0.01), g, 0.05)

    def resample() -> None:
        at = rng.integers(0, rows, rows)
        s, m, c = scores[at], member[at], code[at]
        top = np.partition(s[~m], -int(0.01 * (~m).sum()) - 1)[-int(0.01 * (~m).sum()) - 1]
        np.bincount(c[m], weights=s[m] > top, minlength=8)

    each = best(lambda: [resample() for _ in range(measured)], 1) / measured
    seconds = best(ours, 5)
    return {
        "rows": rows,
        "seconds": round(seconds, 4),
        f"bootstrap, {replicates} replicates (s)": round(each * replicates, 1),
        "bootstrap measured on": f"{measured} replicates, the rest scaled",
        "times": round(each * replicates / seconds),
    }


def main(*, small: bool) -> None:
    """Measure, print and store."""
    found = {
        "lira": [ratio_lira(*((32, 2000, 2, 200) if small else (256, 50_000, 2, 2000)))],
        "rmia": [ratio_rmia(*((2000, 1000, 2000) if small else (20_000, 10_000, 4000)))],
        "intervals": [intervals(n, 1000, 5) for n in ((20_000,) if small else (10_000, 100_000, 1_000_000))],
    }
    for name, rows in found.items():
        for row in rows:
            print(name, json.dumps(row))
    if not small:
        stored = {"machine": describe("numpy", "scipy"), **found}
        RESULTS.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few seconds, nothing stored")
    main(small=parser.parse_args().small)
