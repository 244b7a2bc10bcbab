"""Scores of one target, and thresholds among those of its members, its non-members or all of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evenhand.tables.schema import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Pool:
    """A set of rows whose scores define thresholds.

    Attributes:
        holds: [n] mask of the table's rows that belong to it.
        table: [n] scores of all rows of the table.
    """

    holds: BoolArray
    table: FloatArray

    @cached_property
    def size(self) -> int:
        """Number of rows."""
        return int(np.count_nonzero(self.holds))

    @cached_property
    def scores(self) -> FloatArray:
        """[m] the scores of its rows, ascending."""
        return np.sort(self.table[self.holds])

    def threshold(self, rank: float) -> float:
        """Return the rank-th score from the top; rows with a strictly higher score are called.

        Rank 0 calls no rows; a rank beyond the pool calls all rows.
        """
        index = int(rank)
        if index < 1:
            return np.inf
        if index > self.size:
            return -np.inf
        return float(self.scores[self.size - index])

    def share_above(self, scores: FloatArray, rank: float) -> float:
        """Share of scores above the threshold at a rank; interpolated linearly between integer ranks."""
        low, high = (
            np.count_nonzero(scores > self.threshold(r)) / len(scores)
            for r in (np.floor(rank), np.ceil(rank))
        )
        return float(low + (rank - np.floor(rank)) * (high - low))


@dataclass(frozen=True)
class Order:
    """The rows of one target.

    Attributes:
        scores: [n] score of each row of the table.
        member: [n] mask of the members.
        known: [n] mask of the rows with a score.
    """

    scores: FloatArray
    member: BoolArray
    known: BoolArray

    @cached_property
    def members(self) -> Pool:
        """The members."""
        return Pool(self.known & self.member, self.scores)

    @cached_property
    def non_members(self) -> Pool:
        """The non-members."""
        return Pool(self.known & ~self.member, self.scores)

    @cached_property
    def all_rows(self) -> Pool:
        """All rows with a score."""
        return Pool(self.known, self.scores)

    def parts(self, rows: IntArray) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
        """Return scores and indices of the members among some rows, and the same of the non-members."""
        scores = self.scores[rows]
        inside, outside = (np.flatnonzero(pool.holds[rows]) for pool in (self.members, self.non_members))
        return scores[inside], inside, scores[outside], outside


def order_of(scores: FloatArray, member: BoolArray) -> Order:
    """Build the order of one target.

    Args:
        scores: [n] scores; rows without a finite score are left out.
        member: [n] membership.
    """
    return Order(scores, member, np.isfinite(scores))


def placement_values(scores: FloatArray, rising: FloatArray) -> FloatArray:
    """[m] placement values: the share of other scores below each score; equal ones count half.

    Args:
        scores: [m] the scores to place.
        rising: [k] the other scores, ascending.
    """
    below = np.searchsorted(rising, scores, side="left")
    not_above = np.searchsorted(rising, scores, side="right")
    return np.asarray((below + not_above) / (2 * len(rising)))
