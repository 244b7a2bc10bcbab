"""Counts of answers that change between arms within a run, and between the runs of one arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenhand.tables.schema import ABSENT, Arm, BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Flips:
    """Numbers of rows whose answer changes; means over runs where there are several.

    Attributes:
        right_to_wrong: the reference answers them right, the candidate wrong.
        wrong_to_right: the other way round.
        between_runs: one run of an arm answers them right, another run of it wrong: the mean over ordered
            pairs of different runs, and over both arms. NaN where an arm has a single run.
    """

    right_to_wrong: float
    wrong_to_right: float
    between_runs: float


#: Of metrics whose answers are neither right nor wrong.
NO_FLIPS = Flips(float("nan"), float("nan"), float("nan"))


def count_flips(
    arms: tuple[Arm, Arm], right: tuple[BoolArray, BoolArray], rows: IntArray, amount: FloatArray
) -> Flips:
    """Count the rows whose answer changes from the reference to the candidate.

    Runs of the same name share a seed: each is compared with its namesake. Where no names are shared, every
    run is compared with every run.

    Args:
        arms: the reference and the candidate.
        right: of each, [runs, n] whether a run answers a row right.
        rows: [n] the rows.
        amount: [n] examples that a row represents; 0 leaves it out.
    """
    here = tuple(arm.prediction[:, rows] != ABSENT for arm in arms)
    lost, won = np.zeros(len(rows)), np.zeros(len(rows))
    pairs = paired_runs(arms[0].runs, arms[1].runs)
    both = np.zeros(len(rows))
    for i, j in pairs:
        present = here[0][i] & here[1][j]
        lost += present & right[0][i] & ~right[1][j]
        won += present & ~right[0][i] & right[1][j]
        both += present
    both = np.maximum(both, 1)
    return Flips(
        float(np.sum(amount * lost / both)),
        float(np.sum(amount * won / both)),
        float(np.mean([_count_between_runs(r & h, h, amount) for r, h in zip(right, here, strict=True)])),
    )


def paired_runs(reference: Sequence[str], candidate: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of the runs that are compared: those of one name, or all with all where no name is shared."""
    index = {name: j for j, name in enumerate(candidate)}
    shared = [(i, index[name]) for i, name in enumerate(reference) if name in index]
    return shared or [(i, j) for i in range(len(reference)) for j in range(len(candidate))]


def _count_between_runs(right: BoolArray, here: BoolArray, amount: FloatArray) -> float:
    """Rows that one run answers right and another one wrong, over ordered pairs of different runs."""
    if len(right) < 2:
        return float("nan")
    some = right.sum(axis=0, dtype=np.float64)
    runs = here.sum(axis=0, dtype=np.float64)
    return float(np.sum(amount * some * (runs - some) / np.maximum(runs * (runs - 1), 1)))
