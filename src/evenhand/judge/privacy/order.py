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
        member: [n] whether a row of the table is a member.
        start: [m] first place with the same score.
        end: [m] first place with a higher score.
        inside: the members.
        outside: the non-members.
        everyone: all.
    """

    place: IntArray
    member: BoolArray
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
        """Share of some rows above a threshold; between two ranks on the line."""
        low, high = (
            np.count_nonzero(places >= self.threshold(pool, r)) / len(places)
            for r in (np.floor(rank), np.ceil(rank))
        )
        return float(low + (rank - np.floor(rank)) * (high - low))

    def standing(self, places: IntArray, others: IntArray) -> FloatArray:
        """Share of other rows below each of some rows; equal scores count half."""
        rising = np.sort(others)
        below = np.searchsorted(rising, self.start[places], side="left")
        not_above = np.searchsorted(rising, self.end[places], side="left")
        return np.asarray((below + not_above) / (2 * len(others)))

    def places(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Places of the members among some rows, and which of these they are; the same of non-members."""
        place, member = self.place[rows], self.member[rows]
        known = place >= 0
        inside, outside = np.flatnonzero(member & known), np.flatnonzero(~member & known)
        return place[inside], inside, place[outside], outside


def order_of(scores: FloatArray, member: BoolArray) -> Order:
    """Sort the rows of one target.

    Args:
        scores: [n]; rows without a finite one are left out.
        member: [n].
    """
    known = np.flatnonzero(np.isfinite(scores))
    rows = known[np.argsort(scores[known])]
    ordered = scores[rows]
    m = len(rows)
    everyone = np.arange(m)
    new = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if len(new) == m - 1:
        start, end = everyone, everyone + 1
    else:
        edges = np.concatenate([[0], new, [m]])
        lengths = np.diff(edges)
        start, end = np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)
    place = np.full(len(scores), -1)
    place[rows] = everyone
    inside = member[rows]
    at_in, at_out = np.flatnonzero(inside), np.flatnonzero(~inside)
    return Order(
        place,
        member,
        start,
        end,
        Pool(at_in, rows[at_in]),
        Pool(at_out, rows[at_out]),
        Pool(everyone, rows),
    )
