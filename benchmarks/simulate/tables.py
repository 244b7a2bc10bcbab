"""The simulation's tables in docs/statistics.md, between two markers."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
RESULTS = Path(__file__).parents[1] / "results"
FLOOR = 0.93


def write_tables(stored: dict) -> None:
    """Replace what stands between the markers."""
    put_between("simulation", render(stored))


def put_between(name: str, table: str) -> None:
    """Put a table between the page's markers of this name."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    head, found, rest = PAGE.read_text().partition(start)
    assert found, f"{PAGE} has no marker {start}"
    PAGE.write_text(f"{head}{start}\n{table}\n{end}{rest.partition(end)[2]}")


def simulate(
    name: str,
    cells: Sequence[tuple],
    coverage: Callable[[tuple, int], dict],
    render: Callable[[list[dict]], str],
    says: str | None,
) -> None:
    """Simulate every cell in processes; store the figures and the page's table, and print them.

    Args:
        name: of the markers; with underscores that of the file in benchmarks/results.
        cells: what differs between them.
        coverage: figures of one cell, given how many replicates.
        render: the table as Markdown.
        says: what the command is for, in its help.
    """
    parser = argparse.ArgumentParser(description=says)
    parser.add_argument("--replicates", type=int, default=2000)
    replicates = parser.parse_args().replicates
    started = time.time()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(coverage, cells, [replicates] * len(cells)))
    stored = {"replicates": replicates, "seconds": round(time.time() - started), "cells": found}
    place = RESULTS / f"{name.replace(' ', '_')}.json"
    place.write_text(json.dumps(stored, indent=1) + "\n")
    put_between(name, render(found))
    for cell in found:
        print(cell)


def render(stored: dict) -> str:
    """All tables as Markdown."""
    parts = stored["parts"]
    blocks = []
    for name, title in (
        ("paired", "Primary family, one run per arm"),
        ("disparity", "Accuracy difference between groups, compared between two arms"),
        ("disparity of eight groups", "The same for eight groups"),
        ("disparity with runs", "The same for two and five groups with five runs per arm"),
        ("whole audit", "Whole audits"),
        ("own splits", "Whole audits where every run tests on a fifth of the rows, drawn anew"),
        ("influence", "Whole audits of balanced accuracy, precision and F1"),
    ):
        if name in parts:
            blocks.append(_coverage_table(title, parts[name]))
    if "bootstrap" in parts:
        blocks.append(_cost_table(parts["bootstrap"]))
    return "\n\n".join(blocks)


def _coverage_table(title: str, part: dict) -> str:
    groups = defaultdict(list)
    for c in part["cells"]:
        groups[c["groups"], str(c["rows"]), c["runs"]].append(c)
    columns = [
        k
        for k in ("coverage", "one arm", "two arms", "false alarms", "judged", "against Bonferroni")
        if k in part["cells"][0]
    ]
    head = ["groups", "rows per group", "runs", "cells"]
    for k in columns:
        head.append(
            {
                "judged": "judged",
                "false alarms": "most false alarms",
                "against Bonferroni": "width / Bonferroni's",
            }.get(k, f"{k}: least, mean")
        )
    lines = [f"**{title}** ({len(part['cells'])} cells of {part['replicates']:,} replicates)", ""]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key, found in groups.items():
        row = [str(k) for k in key] + [str(len(found))]
        for k in columns:
            values = [c[k] for c in found if c[k] is not None]
            if k == "false alarms":
                row.append(f"{max(values):.3f}" if values else "")
            elif k == "against Bonferroni":
                row.append(f"{sum(values) / len(values):.3f}")
            else:
                row.append(f"{min(values):.3f}, {sum(values) / len(values):.3f}")
        lines.append("| " + " | ".join(row) + " |")
    low = [
        c
        for c in part["cells"]
        if any(c[k] is not None and c[k] < FLOOR for k in ("coverage", "one arm", "two arms") if k in c)
    ]
    lines += ["", f"Cells below {FLOOR:.0%}: {len(low) or 'none'}."]
    lines += [f"- {', '.join(f'{k} {v}' for k, v in c.items())}" for c in low]
    return "\n".join(lines)


def _cost_table(part: dict) -> str:
    head = [
        "groups",
        "rows per group",
        "between arms",
        "rho",
        "coverage",
        "width",
        "width / Bonferroni's",
        "bootstrap: coverage",
        "bootstrap: width",
    ]
    lines = [
        f"**What validity costs** ({part['replicates']:,} replicates; bootstrap: pointwise percentile)",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for c in part["cells"]:
        row = [
            c["groups"],
            c["rows"],
            c["between arms"],
            c["rho"],
            c["coverage"],
            c["width"],
            c["against Bonferroni"],
            c["bootstrap coverage"],
            c["bootstrap width"],
        ]
        lines.append("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row) + " |")
    return "\n".join(lines)
