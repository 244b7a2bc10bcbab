"""Draws for membership inference: random halves of rows to train on, and the rows that are attacked.

Like splits, they are drawn from hashed ids: the same on every machine, and in every order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.datasets.lib.schema import Parts
from evenhand.datasets.lib.splits import order_by_hash
from evenhand.tables.schema import IntArray


def draw_half(ids: Sequence[str], rows: IntArray, *, seed: int, number: int) -> IntArray:
    """Draw one of a series of random halves of some rows.

    Halves are drawn independently, so that more can be added without changing earlier ones, and a row is in
    about half of them. If every row were in exactly half of them, the number of other halves that contain a
    row would reveal whether this one does, and attacks that learn from the others would be biased (LiRA's AUC
    for models that leak nothing would be 0.41 with 4 models and 0.49 with 16).

    Args:
        ids: [n] unique names of all rows.
        rows: [m] row numbers, in any order.
        seed: another seed is another series.
        number: number of the half, from 0.

    Returns:
        [m / 2, rounded up] row numbers in the order of hashed ids.
    """
    return order_by_hash(ids, rows.tolist(), f"{seed}, half {number}")[: (len(rows) + 1) // 2]


def draw_attack_rows(ids: Sequence[str], parts: Parts, *, seed: int) -> tuple[IntArray, IntArray]:
    """Draw the rows on which a run is attacked: half training rows, half test rows, as many as test rows.

    Args:
        ids: [n] unique names of all rows.
        parts: their split.
        seed: another seed is another draw.

    Returns:
        Row numbers of members and of non-members, equally many, both in the order of hashed ids; fewer where
        the training part is smaller than half of the test part.
    """
    size = min(len(parts.test) // 2, len(parts.train))
    drawn = [
        order_by_hash(ids, rows.tolist(), f"{seed}, attacked")[:size] for rows in (parts.train, parts.test)
    ]
    return drawn[0], drawn[1]


def reference_pool(ids: Sequence[str], parts: Parts, *, seed: int) -> IntArray:
    """Select the training rows that are not attacked; references are trained on halves of them."""
    members, _ = draw_attack_rows(ids, parts, seed=seed)
    left: IntArray = parts.train[~np.isin(parts.train, members)]
    return left
