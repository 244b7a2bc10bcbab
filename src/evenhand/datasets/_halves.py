"""Draws for membership inference: random halves of rows to train on, and the rows that are attacked.

Like splits they are drawn from hashed ids: the same on every machine, and in every order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.datasets._schema import Parts
from evenhand.datasets._splits import by_hash
from evenhand.tables.schema import IntArray


def half(ids: Sequence[str], rows: IntArray, *, seed: int, number: int) -> IntArray:
    """One of a series of random halves of some rows.

    Halves 0 and 1 have no row in common and make up all rows, so do 2 and 3, and so on: every row is in just
    one of each pair, hence in as many halves as any other row, and more halves may follow without a change of
    those that were drawn before.

    Args:
        ids: [n] unique names of all rows.
        rows: [m] row numbers, in any order.
        seed: another seed is another series.
        number: which half, from 0.

    Returns:
        [m / 2] row numbers in the order of hashed ids; of an odd m the even halves have one row more.
    """
    order = by_hash(ids, rows.tolist(), f"{seed}, halves {number // 2}")
    middle = (len(order) + 1) // 2
    return order[middle:] if number % 2 else order[:middle]


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
