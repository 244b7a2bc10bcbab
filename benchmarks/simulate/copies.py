"""`python -m benchmarks.simulate.copies`: do intervals hold where runs of equal seeds are alike?

Worlds as in `shifts` in which shifts of equal seeds are nearly the same in both arms, or in which the
candidate is a copy of the reference, run by run, but for a small share of each answer's noise: a model and
the same model with rounded weights. Into benchmarks/results/copies.json and docs/statistics.md.
"""

from __future__ import annotations

from benchmarks.simulate import shifts
from benchmarks.simulate.shifts import World
from benchmarks.simulate.tables import simulate


def coverage(world: World, replicates: int) -> dict:
    """Figures of one world."""
    alike = f"copies, {world.twins:.0%} of the noise in common" if world.twins else "other noise"
    figures = shifts.coverage(world, replicates)
    return figures | {"noise": alike, "shifts of a seed": f"correlate by {world.pairing:g}"}


def worlds() -> list[World]:
    """The grid."""
    shapes = ((2, 1500, 1), (8, 400, 3))
    alike = ((0.6, 0.0), (0.9, 0.0), (0.97, 0.8), (0.97, 0.95), (0.0, 0.95))
    return [
        World((rows,) * groups, runs=runs, metrics=metrics, pairing=pairing, twins=twins)
        for groups, rows, metrics in shapes
        for runs in (3, 5, 10)
        for pairing, twins in alike
    ]


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    keys = ("groups", "rows", "runs", "noise", "shifts of a seed", "coverage", "false alarms")
    keys += ("width / unmoderated", "width / oracle")
    head = (
        f"`python -m benchmarks.simulate.copies`: {cells[0]['replicates']:,} replicates of each of "
        f"{len(cells)} worlds. Least coverage {min(c['coverage'] for c in cells):.3f}."
    )
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join([head, "", *lines, *("| " + " | ".join(str(c[k]) for k in keys) + " |" for c in cells)])


if __name__ == "__main__":
    simulate("copies", worlds(), coverage, render, __doc__)
