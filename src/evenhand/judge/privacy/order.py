"""Rows of one target in the order of their scores: all counts above thresholds follow from places in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenhand.tables.schema import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Pool:
    """Rows among which thresholds are taken.

    Attributes:
        places: [m] their places in the order, rising.
        rows: [m] the rows at these places.
    """

    places: IntArray
    rows: IntArray

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.places)


@dataclass(frozen=True)
class Order:
    """Rows with a score, from the lowest to the highest.

    Attributes:
        place: [n] place of each row of the table; -1 without a score.
        start: [m] first place with the same score.
        end: [m] first place with a higher score.
        inside: the members.
        outside: the non-members.
        everyone: all.
    """

    place: IntArray
    start: IntArray
    end: IntArray
    inside: Pool
    outside: Pool
    everyone: Pool

    def threshold(self, pool: Pool, rank: float) -> int:
        """First place that is called when the threshold is the score of the rank-th of a pool from the top.

        Rank 0 calls nobody; a rank beyond the pool calls everybody.
        """
        whole = int(rank)
        if whole < 1:
            return len(self.end)
        if whole > pool.size:
            return 0
        return int(self.end[pool.places[pool.size - whole]])

    def share_above(self, places: IntArray, pool: Pool, rank: float) -> float:
        """Share of some rows (at rising places) above a threshold; between two ranks the line between them."""
        low, high = (
            1 - np.searchsorted(places, self.threshold(pool, r)) / len(places)
            for r in (np.floor(rank), np.ceil(rank))
        )
        return float(low + (rank - np.floor(rank)) * (high - low))

    def standing(self, places: IntArray, others: IntArray) -> FloatArray:
        """Share of other rows (at rising places) below each of some rows; equal scores count half."""
        below = np.searchsorted(others, self.start[places], side="left")
        not_above = np.searchsorted(others, self.end[places], side="left")
        return np.asarray((below + not_above) / (2 * len(others)))

    def places(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Rising places of the members among some rows, which of the rows they are; the same of non-members."""
        if len(rows) == len(self.place):
            return self.inside.places, self.inside.rows, self.outside.places, self.outside.rows
        which = np.full(len(self.place), -1)
        which[rows] = np.arange(len(rows))
        found = []
        for pool in (self.inside, self.outside):
            own = which[pool.rows]
            kept = own >= 0
            found += [pool.places[kept], own[kept]]
        return found[0], found[1], found[2], found[3]


def order_of(scores: FloatArray, member: BoolArray) -> Order:
    """Sort the rows of one target.

    Args:
        scores: [n]; rows without a finite one are left out.
        member: [n].
    """
    known = np.flatnonzero(np.isfinite(scores))
    rows = known[np.argsort(scores[known], kind="stable")]
    ordered = scores[rows]
    m = len(rows)
    new = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if len(new) == m - 1:
        start, end = np.arange(m), np.arange(1, m + 1)
    else:
        edges = np.concatenate([[0], new, [m]])
        lengths = np.diff(edges)
        start, end = np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)
    place = np.full(len(scores), -1)
    place[rows] = np.arange(m)
    inside = member[rows]
    at_in, at_out = np.flatnonzero(inside), np.flatnonzero(~inside)
    return Order(
        place, start, end, Pool(at_in, rows[at_in]), Pool(at_out, rows[at_out]), Pool(np.arange(m), rows)
    )
