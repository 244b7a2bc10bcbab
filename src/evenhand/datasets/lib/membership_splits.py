"""Draws for membership inference: random halves of rows to train on, and the rows that are attacked.

Like splits they are drawn from hashed ids: the same on every machine, and in every order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.datasets.lib.schema import Parts
from evenhand.datasets.lib.splits import by_hash
from evenhand.tables.schema import IntArray


def half(ids: Sequence[str], rows: IntArray, *, seed: int, number: int) -> IntArray:
    """One of a series of random halves of some rows.

    Each is drawn by itself, so that more may follow without a change of those before, and a row is in about
    half of them. Were every row in exactly half of them, then in how many of the others it is would tell
    whether it is in one: attacks that learn from the others would be biased (LiRA's AUC of models that give
    nothing away is then 0.41 with 4 models, 0.49 with 16).

    Args:
        ids: [n] unique names of all rows.
        rows: [m] row numbers, in any order.
        seed: another seed is another series.
        number: which half, from 0.

    Returns:
        [m / 2, rounded up] row numbers in the order of hashed ids.
    """
    return by_hash(ids, rows.tolist(), f"{seed}, half {number}")[: (len(rows) + 1) // 2]


def attack_rows(ids: Sequence[str], parts: Parts, *, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows on which a run is attacked: half training rows, half test rows, as many as test rows.

    Args:
        ids: [n] unique names of all rows.
        parts: their split.
        seed: another seed is another draw.

    Returns:
        Members and non-members, equally many, both in the order of hashed ids; fewer where the training part
        is the smaller one.
    """
    size = min(len(parts.test) // 2, len(parts.train))
    drawn = [by_hash(ids, rows.tolist(), f"{seed}, attacked")[:size] for rows in (parts.train, parts.test)]
    return drawn[0], drawn[1]


def pool(ids: Sequence[str], parts: Parts, *, seed: int) -> IntArray:
    """The training rows that are not attacked, on halves of which references are trained."""
    members, _ = attack_rows(ids, parts, seed=seed)
    left: IntArray = parts.train[~np.isin(parts.train, members)]
    return left
